"""What a facet of a customer is: a small state, its fold over events, its merge, its features.

Must live here: the shape every facet has. Must not: any one facet, nor IO.
A facet's module defines FACET; the catalog finds it, and the contract tests try it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from features.events import Event

S = TypeVar("S")
Emit = Callable[[str, dict[str, Any]], None]  # (table, row): a fact for the outbox
Fold = Callable[[Any, Event, Emit], None]
FeatureType = Literal["number", "text", "flag", "list"]
ENCODER: Final = msgspec.msgpack.Encoder()


class StateError(Exception):
    """A stored state that this program cannot read: the program is wrong, so the process ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One value of a customer that rules and models may read.

    `read(state, now_ms)` gives it; a missing number is nan, any other missing value None.
    """

    name: str
    type: FeatureType
    unit: str
    doc: str
    read: Callable[[Any, int], Any]
    facet: str = field(init=False)  # that it is read from: the first part of the name

    def __post_init__(self) -> None:
        object.__setattr__(self, "facet", self.name.partition(".")[0])


def number(name: str, unit: str, doc: str, read: Callable[[Any, int], float]) -> Feature:
    """A feature that is a number."""
    return Feature(name=name, type="number", unit=unit, doc=doc, read=read)


@dataclass(frozen=True, kw_only=True)
class Facet(Generic[S]):
    """One side of a customer; `state()` is its initial state, a msgspec array struct.

    `events` are the names it folds, None for all but `ignores`. `fold` changes the state in
    place. `merge(mine, theirs)` unites two customers, the known user's first, leaving `theirs`
    as it was. `upgrades` turn the bytes of an older version into today's state.
    """

    name: str
    version: int
    state: type[S]
    fold: Callable[[S, Event, Emit], None]
    merge: Callable[[S, S], S]
    features: tuple[Feature, ...] = ()
    events: frozenset[str] | None = None
    ignores: frozenset[str] = frozenset()
    upgrades: Mapping[int, Callable[[bytes], S]] = field(default_factory=dict)
    doc: str = ""
    blank: S = field(init=False, repr=False)
    read: Callable[[bytes], S] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blank", self.state())
        object.__setattr__(self, "read", msgspec.msgpack.Decoder(self.state).decode)

    def hears(self, event_name: str) -> bool:
        """Whether an event of this name is folded here."""
        if self.events is None:
            return event_name not in self.ignores
        return event_name in self.events

    def upgrade(self, version: int, data: bytes) -> S:
        """The state in `data`, written by an older version of this facet."""
        if version in self.upgrades:
            return self.upgrades[version](data)
        known = ", ".join(str(v) for v in sorted({*self.upgrades, self.version}))
        raise StateError(f"facet {self.name}: version {version} is not one of {known}")


def unfolded(name: str, state: type[S], merge: Callable[[S, S], S] | None = None) -> Facet[S]:
    """A facet that no event changes: its owner writes it. Without `merge` the known one stays."""
    return Facet(
        name=name,
        version=1,
        state=state,
        events=frozenset(),
        fold=_nothing,
        merge=merge or _mine,
    )


def _nothing(_state: Any, _event: Event, _emit: Emit) -> None:
    """No event comes here."""


def _mine(mine: S, _theirs: S) -> S:
    return mine
