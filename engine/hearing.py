"""What an instance keeps of the event that began it: the properties its values and texts read.

Must live here: which of them are kept, and how they are laid over. Must not: who reads them. The
event itself is gone when a decision waits for the morning or a budget; what is large is not kept,
and so missing.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from features.events import Event

KEPT_MAX: Final = 2_000  # bytes of one event


def kept(event: Event, names: Collection[str]) -> str:
    """The properties of these names, as JSON; "" if the event has none of them."""
    found: dict[str, Any] = {}
    for name in sorted(names):
        value = event.properties.get(name)
        if value is not None and len(orjson.dumps({**found, name: value})) <= KEPT_MAX:
            found[name] = value
    return orjson.dumps(found).decode() if found else ""


def laid(heard: str) -> Mapping[str, Any]:
    """`event.NAME` of each that was kept."""
    known = orjson.loads(heard) if heard else {}
    return {f"event.{name}": value for name, value in known.items()}
