"""Visits: how often he comes, and what he looks at in the visit that is on.

A visit ends after 30 minutes without an event of his own; what the shop says about him is none.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import age, days, earlier
from features.vocabulary import NOT_BY_CUSTOMER

IDLE_MS: Final = 30 * 60_000
VIEWS: Final = frozenset({"Product Viewed", "Page Viewed", "Screen Viewed", "Product List Viewed"})


class Visits(msgspec.Struct, array_like=True, gc=False):
    """All visits counted, and the latest: from `started` to `last`, with its views."""

    count: int = 0
    started: int = 0
    last: int = 0
    views: int = 0


def fold(visits: Visits, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """A visit begins, goes on, or (a late event) began earlier than we thought."""
    at = event.at
    if at > visits.last + IDLE_MS or not visits.count:
        visits.count += 1
        visits.started = visits.last = at
        visits.views = 0
    elif at < visits.started - IDLE_MS:
        return  # it belongs to a visit long over
    elif at > visits.last:
        visits.last = at
    elif at < visits.started:
        visits.started = at
    if event.name in VIEWS:
        visits.views += 1


def merge(mine: Visits, theirs: Visits) -> Visits:
    """All visits of both; the latest of them is on, and counts once where they overlap."""
    first, second = (mine, theirs) if mine.last >= theirs.last else (theirs, mine)
    united = Visits(mine.count + theirs.count, first.started, first.last, first.views)
    if second.count and second.last >= first.started - IDLE_MS:
        united.count -= 1
        united.started = earlier(first.started, second.started)
        united.views += second.views
    return united


def is_on(visits: Visits, now: int) -> bool:
    """Whether he is here: less than 30 minutes since his last event."""
    return visits.count > 0 and now - visits.last <= IDLE_MS


FACET: Final = Facet(
    name="visits",
    version=1,
    state=Visits,
    doc="Visits and the one that is on; 30 minutes without an event end it.",
    ignores=NOT_BY_CUSTOMER,
    fold=fold,
    merge=merge,
    features=(
        number("visits.count", "visits", "Visits, ever.", lambda s, _: s.count),
        number(
            "visits.session_views",
            "views",
            "Products, lists, pages and screens seen in this visit; 0 when none is on.",
            lambda s, now: s.views if is_on(s, now) else 0,
        ),
        number(
            "visits.session_minutes",
            "minutes",
            "Since this visit began; missing when none is on.",
            lambda s, now: age(s.started, now, 60_000) if is_on(s, now) else math.nan,
        ),
        Feature(
            name="visits.active",
            type="flag",
            unit="yes or no",
            doc="Whether a visit is on: an event of his own in the last 30 minutes.",
            read=is_on,
        ),
        number(
            "visits.days_since_last",
            "days",
            "Since his last event; missing before the first.",
            lambda s, now: days(s.last, now),
        ),
    ),
)
