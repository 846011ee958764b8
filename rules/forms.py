"""The grammar as tables: a Form is a mapping of the language, a Key one of its keys.

Law: readers, the JSON Schema and the reference are made from the same tables; they stand beside
their readers. Must not live here: any one form, reading.

A key's `kind` says what its value is, in a small notation:
    duration           an atom, one of rules/json_schema.py's ATOMS
    #wait              a mapping with the keys of the form of that place
    marketing*/service one of these words; the star marks the default
    [event]            one of it, or a list
    a | b              either
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Key:
    """One key: what its value is, what it does, and how it is written (YAML)."""

    kind: str
    doc: str
    example: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Form:
    """One mapping: where it stands, its keys, and words that are often meant for them.

    `what` is how messages call it. `others` is the kind of any further key, "" for none.
    """

    place: str
    what: str
    keys: Mapping[str, Key]
    meant: Mapping[str, str] = field(default_factory=dict)
    others: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """The keys without which it is nothing."""
        return tuple(name for name, key in self.keys.items() if key.needed)
