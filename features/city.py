"""City: where he lives, as his profile names it. A street is a contact and never stands here."""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import later

_LENGTH_MAX: Final = 64


class City(msgspec.Struct, array_like=True):
    """The city that was named last, and when that was (ms)."""

    name: str = ""
    at: int = 0


def fold(city: City, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Take the latest that the trait `city` tells."""
    told = (event.traits or {}).get("city")
    if isinstance(told, str) and (name := told.strip()[:_LENGTH_MAX]) and event.at >= city.at:
        city.name, city.at = name, event.at


FACET: Final = Facet(
    name="city",
    version=1,
    state=City,
    doc="Where he lives, for rules of a place and for reports.",
    events=frozenset(("Identified", "Signed Up", "Signed In")),
    fold=fold,
    merge=later,
    features=(
        Feature(
            name="city.name",
            type="text",
            unit="as written",
            doc="The city of his profile; missing when nobody told.",
            read=lambda city, now: city.name or None,  # noqa: ARG005 - a reader's shape
        ),
    ),
)
