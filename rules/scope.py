"""What names an expression may use: the catalog's features, an event's properties, a few more.

Law: the catalog is the one list; no name exists here that it does not give.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

Kind = Literal["number", "text", "flag", "list", "any"]
KINDS: Final[tuple[Kind, ...]] = ("number", "text", "flag", "list", "any")


class Known(NamedTuple):
    """A feature as an expression reads it: `read(state of its facet, now in ms)`."""

    facet: str
    kind: Kind
    read: Callable[[Any, int], Any]
    unit: str = ""


@dataclass(frozen=True)
class Scope:
    """The names in reach of one expression."""

    features: Mapping[str, Known]
    properties: Mapping[str, Kind] = field(default_factory=dict)
    event: bool = False
    heard: bool = False  # the event that began the rule: values may read it, conditions may not
    laid_over: Mapping[str, Kind] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)  # names out of reach here: why
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))

    def with_event(self, event: bool = True) -> "Scope":
        """The same names, with or without an event at hand."""
        alike = event == self.event and not self.heard
        return self if alike else replace(self, event=event, heard=False)

    def with_names(self, **names: Kind) -> "Scope":
        """The same names and some that the engine lays over (`arrived`)."""
        return self.opened(names)

    def opened(self, names: Mapping[str, Kind]) -> "Scope":
        """The same names and some that the engine lays over (`order.total`)."""
        return replace(self, laid_over={**self.laid_over, **names})

    def kind_of(self, name: str) -> Kind | None:
        """The kind of a feature or of a name laid over; None for neither."""
        known = self.features.get(name)
        return known.kind if known else self.laid_over.get(name)


def _kind(name: str) -> Kind:
    return next((kind for kind in KINDS if kind == name), "any")


@functools.cache
def catalog_scope(timezone: str = "Asia/Shanghai") -> Scope:
    """The scope of the catalog, without an event."""
    from features import catalog  # noqa: PLC0415 - the catalog walks every facet: on first use

    features = {
        feature.name: Known(facet.name, _kind(feature.type), feature.read, feature.unit)
        for facet in catalog.FACETS.values()
        for feature in facet.features
    }
    properties = {
        name.removeprefix("event."): _kind(kind) for name, kind in catalog.EVENT_PROPERTIES.items()
    }
    return Scope(features, properties, zone=ZoneInfo(timezone))
