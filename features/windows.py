"""Windows: views, adds, searches, orders and spend of the last 1 h, 24 h, 7 d and 30 d.

Counted in buckets of 5 minutes, 1 hour and 12 hours, at most 13, 25 and 61 of them: a window
holds all of its time and at most one bucket more.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

import msgspec

from features import order_lines
from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import DAY_MS, HOUR_MS, MINOR_MAX, major
from features.vocabulary import PAID

FINE_MS: Final = HOUR_MS // 12
COARSE_MS: Final = 12 * HOUR_MS
SPANS: Final = (HOUR_MS // FINE_MS, 24, 30 * DAY_MS // COARSE_MS)  # buckets, beside the open one


class Counts(msgspec.Struct, array_like=True, gc=False):
    """What happened in one bucket; spend in minor units."""

    views: int = 0
    adds: int = 0
    searches: int = 0
    orders: int = 0
    spend: int = 0


class Windows(msgspec.Struct, array_like=True):
    """Bucket number (time in ms over the bucket's width) -> counts, the latest last."""

    fine: dict[int, Counts] = {}
    hours: dict[int, Counts] = {}
    coarse: dict[int, Counts] = {}


def fold(windows: Windows, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Count the event in its three buckets."""
    at, name = event.at, event.name
    number = at // FINE_MS
    fine = windows.fine.get(number) or _new(windows.fine, number, SPANS[0])
    number = at // HOUR_MS
    hour = windows.hours.get(number) or _new(windows.hours, number, SPANS[1])
    number = at // COARSE_MS
    coarse = windows.coarse.get(number) or _new(windows.coarse, number, SPANS[2])
    if name == "Product Viewed":
        fine.views += 1
        hour.views += 1
        coarse.views += 1
        return
    amount = order_lines.paid_amount(event) if name in PAID else 0
    for counts in (fine, hour, coarse):
        if name == "Product Added":
            counts.adds += 1
        elif name == "Products Searched":
            counts.searches += 1
        else:
            counts.orders += 1
            counts.spend = min(counts.spend + amount, MINOR_MAX)


def _new(buckets: dict[int, Counts], number: int, span: int) -> Counts:
    """A new bucket; those a span behind the latest go, this one perhaps too."""
    is_late = bool(buckets) and number < next(reversed(buckets))
    counts = buckets[number] = Counts()
    if is_late:
        _sort(buckets)
    _trim(buckets, span)
    return counts


def _sort(buckets: dict[int, Counts]) -> None:
    in_order = sorted(buckets.items())
    buckets.clear()
    buckets.update(in_order)


def _trim(buckets: dict[int, Counts], span: int) -> None:
    if not buckets:
        return
    oldest = next(reversed(buckets)) - span
    while (first := next(iter(buckets))) < oldest:
        del buckets[first]


def merge(mine: Windows, theirs: Windows) -> Windows:
    """The counts of both, bucket by bucket."""
    united = Windows()
    for side in (mine, theirs):
        for buckets, ours in (
            (side.fine, united.fine),
            (side.hours, united.hours),
            (side.coarse, united.coarse),
        ):
            for number, counts in buckets.items():
                known = ours.setdefault(number, Counts())
                known.views += counts.views
                known.adds += counts.adds
                known.searches += counts.searches
                known.orders += counts.orders
                known.spend = min(known.spend + counts.spend, MINOR_MAX)
    for buckets, span in zip((united.fine, united.hours, united.coarse), SPANS, strict=True):
        _sort(buckets)
        _trim(buckets, span)
    return united


WINDOWS: Final = {
    "1h": ("fine", HOUR_MS, FINE_MS, "5 minutes"),
    "24h": ("hours", DAY_MS, HOUR_MS, "1 hour"),
    "7d": ("coarse", 7 * DAY_MS, COARSE_MS, "12 hours"),
    "30d": ("coarse", 30 * DAY_MS, COARSE_MS, "12 hours"),
}
COUNTED: Final = {
    "views": ("views", "Product Viewed"),
    "adds": ("adds", "Product Added"),
    "searches": ("searches", "Products Searched"),
    "orders": ("orders", "Paid orders"),
    "spend": ("money", "Paid"),
}


def _reader(what: str, over: str) -> Callable[[Windows, int], float]:
    """The sum of `what` over the window; of spend in the shop's money."""
    buckets, span_ms, width_ms, _ = WINDOWS[over]
    held, counted = attrgetter(buckets), attrgetter(what)

    def total(windows: Windows, now: int) -> int:
        since, until = (now - span_ms) // width_ms, now // width_ms
        result = 0
        for number, counts in reversed(held(windows).items()):
            if number < since:
                break
            if number <= until:
                result += counted(counts)
        return result

    def spent(windows: Windows, now: int) -> float:
        return major(total(windows, now))

    return spent if what == "spend" else total


def activity(windows: Windows, over: str, now: int) -> tuple[int, int, int]:
    """Views, adds and searches over a window, in one pass."""
    buckets, span_ms, width_ms, _ = WINDOWS[over]
    since, until = (now - span_ms) // width_ms, now // width_ms
    views = adds = searches = 0
    for number, counts in reversed(getattr(windows, buckets).items()):
        if number < since:
            break
        if number <= until:
            views += counts.views
            adds += counts.adds
            searches += counts.searches
    return views, adds, searches


def _in_order(data: bytes) -> Windows:
    """Version 1 kept the buckets in the order in which they came."""
    windows: Windows = msgspec.msgpack.decode(data, type=Windows)
    for buckets in (windows.fine, windows.hours, windows.coarse):
        _sort(buckets)
    return windows


FACET: Final = Facet(
    name="windows",
    version=2,
    state=Windows,
    upgrades={1: _in_order},
    doc="Views, adds, searches, orders and spend of the last 1 h, 24 h, 7 d, 30 d.",
    events=PAID | {"Product Viewed", "Product Added", "Products Searched"},
    fold=fold,
    merge=merge,
    features=tuple(
        Feature(
            name=f"windows.{what}_{over}",
            type="number",
            unit=unit,
            doc=f"{doc} in the last {over}, in steps of {WINDOWS[over][3]}.",
            read=_reader(what, over),
        )
        for what, (unit, doc) in COUNTED.items()
        for over in WINDOWS
    ),
)
