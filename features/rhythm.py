"""Rhythm: how regularly he orders, how much and how recently, what his orders are like.

A day with orders counts once. Weights are as of his latest order: half of `recent` is left after 30
days, of `strength` after 180. The usual gap is a geometric mean that begins at 90 days. A late
order counts with the gap to the latest, which is where its place among the others is lost.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, number
from features.fold import DAY_MS, age, lines, major
from features.order_lines import paid_amount
from features.vocabulary import PAID

HALF_LIFE_MS: Final = 30 * DAY_MS
LONG_HALF_LIFE_MS: Final = 180 * DAY_MS
FIRST_GAP: Final = math.log1p(90)  # what a gap is taken for before there is one, in log days


class Rhythm(msgspec.Struct, array_like=True):
    """Sums of logarithms, so that one great order or one long gap does not rule them."""

    last: int = 0
    days: int = 0
    gaps: float = 0.0  # of log(1 + days) from one order day to the next
    recent: float = 0.0  # orders, of which half is left after 30 days
    lines: float = 0.0  # log(1 + lines) of the same, with the same weights
    strength: float = 0.0  # log(1 + paid) of orders, of which half is left after 180 days
    largest: int = 0
    pieces: float = 0.0  # of log(quantity) over all lines
    pieced: int = 0  # how many lines these were


def fold(rhythm: Rhythm, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Count a paid order; the catalog brings each one once."""
    at, amount, products = event.at, paid_amount(event), lines(event)
    _count_day(rhythm, at)
    if at > rhythm.last:
        _move(rhythm, at)
    recent = _left(rhythm, at, HALF_LIFE_MS)
    rhythm.recent += recent
    rhythm.lines += recent * math.log1p(len(products))
    rhythm.strength += _left(rhythm, at, LONG_HALF_LIFE_MS) * math.log1p(major(amount))
    rhythm.largest = max(rhythm.largest, amount)
    for product in products:
        rhythm.pieces += math.log(max(1, product.get("quantity", 1)))
    rhythm.pieced += len(products)


def _count_day(rhythm: Rhythm, at: int) -> None:
    apart = abs(at // DAY_MS - rhythm.last // DAY_MS)
    if not rhythm.days:
        rhythm.days = 1
    elif apart:
        rhythm.days += 1
        rhythm.gaps += math.log1p(apart)


def _move(rhythm: Rhythm, to: int) -> None:
    """Make `to` the time as of which the weights are."""
    rhythm.recent *= (part := _left(rhythm, to, HALF_LIFE_MS))
    rhythm.lines *= part
    rhythm.strength *= _left(rhythm, to, LONG_HALF_LIFE_MS)
    rhythm.last = to


def _left(rhythm: Rhythm, at: int, half_life_ms: int) -> float:
    """What is left of one between his latest order and `at`, whichever is the earlier."""
    return float(2.0 ** (-abs(at - rhythm.last) / half_life_ms))


def merge(mine: Rhythm, theirs: Rhythm) -> Rhythm:
    """Both one's orders; between the two rhythms lies the gap of their latest orders."""
    if not (mine.days and theirs.days):
        return msgspec.structs.replace(mine if mine.days else theirs)
    united, other = msgspec.structs.replace(mine), msgspec.structs.replace(theirs)
    last = max(mine.last, theirs.last)
    apart = abs(mine.last // DAY_MS - theirs.last // DAY_MS)
    _move(united, last)
    _move(other, last)
    united.days += other.days - (not apart)
    united.gaps += other.gaps + math.log1p(apart)
    united.recent += other.recent
    united.lines += other.lines
    united.strength += other.strength
    united.largest = max(united.largest, other.largest)
    united.pieces += other.pieces
    united.pieced += other.pieced
    return united


def usual_gap(rhythm: Rhythm, now: int = 0) -> float:  # noqa: ARG001 - a reader's shape
    """Days from one order day to the next, as one may expect; nan before the first order."""
    if not rhythm.days:
        return math.nan
    return math.expm1((rhythm.gaps + FIRST_GAP) / rhythm.days)


def overdue(rhythm: Rhythm, now: int) -> float:
    """How often his usual gap has passed since his latest order."""
    return age(rhythm.last, now, DAY_MS) / max(usual_gap(rhythm), 1.0)


def recent(rhythm: Rhythm, now: int) -> float:
    """Orders, of which half is left after 30 days."""
    return rhythm.recent * _left(rhythm, max(now, rhythm.last), HALF_LIFE_MS)


def strength(rhythm: Rhythm, now: int) -> float:
    """The logarithms of what he paid, of which half is left after 180 days."""
    return rhythm.strength * _left(rhythm, max(now, rhythm.last), LONG_HALF_LIFE_MS)


def lines_an_order(rhythm: Rhythm, now: int = 0) -> float:  # noqa: ARG001 - a reader's shape
    """Different products of an order, the geometric mean of his recent ones."""
    return math.expm1(rhythm.lines / rhythm.recent) if rhythm.recent else math.nan


def pieces_a_line(rhythm: Rhythm, now: int = 0) -> float:  # noqa: ARG001 - a reader's shape
    """Pieces of one product, the geometric mean over all lines."""
    return math.exp(rhythm.pieces / rhythm.pieced) if rhythm.pieced else math.nan


FACET: Final = Facet(
    name="rhythm",
    version=1,
    state=Rhythm,
    doc="How regularly he orders, how much and how recently, what his orders are like.",
    events=PAID,
    fold=fold,
    merge=merge,
    features=(
        number(
            "rhythm.order_days", "order days", "Days with a paid order, ever.", lambda s, _: s.days
        ),
        number(
            "rhythm.usual_gap_days",
            "days",
            "From one order day to the next, a geometric mean that begins at 90; "
            "missing before the first order.",
            usual_gap,
        ),
        number(
            "rhythm.overdue",
            "times",
            "How often his usual gap has passed since his latest order; missing before the first.",
            overdue,
        ),
        number("rhythm.recent_orders", "orders", "Orders; half is left after 30 days.", recent),
        number(
            "rhythm.strength",
            "points",
            "Logarithms of what he paid, summed over orders; half is left after 180 days.",
            strength,
        ),
        number(
            "rhythm.lines_an_order",
            "products",
            "Different products of an order, mostly of the recent ones; missing before the first.",
            lines_an_order,
        ),
        number(
            "rhythm.pieces_a_line",
            "pieces",
            "Pieces of one product in an order, a geometric mean; missing when none was listed.",
            pieces_a_line,
        ),
        number("rhythm.largest", "money", "His largest order.", lambda s, _: major(s.largest)),
    ),
)
