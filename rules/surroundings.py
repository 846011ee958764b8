"""What a reader of one rule may look at: the names in reach, and the folder's other files.

Must live here: which names a rule may use, and why not the others. Must not: reading keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from features.models.names import SCORE_NAMES
from rules.model import Offer, Segment
from rules.reading import NOT_BUILT
from rules.scope import Kind, Scope
from rules.subjects import ALL_FIELDS, fields
from rules.unbuilt import UNBUILT

ARRIVED = "arrived"
DIGEST: Final[Mapping[str, Kind]] = {"digest.count": "number", "digest.subjects": "list"}
_NO_ARRIVAL = "says how a wait for an event ended: there is no `wait: {event, for}` before it"


@dataclass(frozen=True)
class Surroundings:
    """The scope, the shop's money, and offers, templates and segments: None if it has no folder.

    `templates` maps a template's name to its (language, channel) pairs.
    """

    scope: Scope
    currency: str = "CNY"
    languages: tuple[str, ...] = ("zh", "en")
    offers: Mapping[str, Offer] | None = None
    templates: Mapping[str, frozenset[tuple[str, str]]] | None = None
    segments: Mapping[str, Segment] | None = None
    exchange: Mapping[str, float] = field(default_factory=dict)

    def about(self, subject: str) -> "Surroundings":
        """The same, with the fields of a subject open."""
        opened = {
            name: one.kind
            for name, one in (fields(subject) if subject else {}).items()
            if self.scope.closed.get(name) != NOT_BUILT
        }
        return replace(self, scope=self.scope.opened(opened))

    def hearing(self) -> "Surroundings":
        """The same, where the event that began the rule may be read."""
        return replace(self, scope=replace(self.scope, heard=True))

    def digesting(self) -> "Surroundings":
        """The same, inside a rule with a digest."""
        return replace(self, scope=self.scope.opened(DIGEST))

    def awaited(self) -> "Surroundings":
        """The same, after a wait for an event."""
        if self.scope.closed.get(ARRIVED) == NOT_BUILT:
            return self
        return replace(self, scope=self.scope.with_names(arrived="flag"))


def language_scope(scope: Scope, unbuilt: frozenset[str] = UNBUILT) -> Scope:
    """The catalog's names and the models' scores; the others closed, each with its reason."""
    closed = {
        name: NOT_BUILT
        if "name.subject" in unbuilt
        else f"is open with `once_per: {name.partition('.')[0]}` only"
        for name in ALL_FIELDS
    }
    closed |= dict.fromkeys(DIGEST, "is open in the steps of a rule with `digest` only")
    closed[ARRIVED] = NOT_BUILT if "name.arrived" in unbuilt else _NO_ARRIVAL
    opened: dict[str, Kind] = {}
    for name, score in SCORE_NAMES.items():
        if f"name.{name}" in unbuilt:
            closed[name] = NOT_BUILT
        else:
            opened[name] = score.kind
    closed["segment.*"] = "is a segment: it is not in reach here"
    return replace(scope.opened(opened), closed=closed)


def with_segments(
    scope: Scope, segments: Mapping[str, Segment], unbuilt: frozenset[str] = UNBUILT
) -> Scope:
    """The same with `segment.NAME`: yes or no, or the tier of a tiered one."""
    if "name.segment" in unbuilt:
        return replace(scope, closed={**scope.closed, "segment.*": NOT_BUILT})
    names: dict[str, Kind] = {
        one.said: "text" if one.tiered else "flag" for one in segments.values()
    }
    closed = {name: why for name, why in scope.closed.items() if name != "segment.*" or not names}
    return replace(scope.opened(names), closed=closed)
