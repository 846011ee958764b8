"""When many complaints of one kind are too many: counted against what this kind is used to.

Must live here: a kind's memory and the test, both plain enough to be told to a merchant. Must not:
whose complaints they are (engine/complaints.py). Times are ms.

A kind (a product and a topic) counts the complaints of the last seven days by the hour, and the
older ones as a count that halves every 28 days over the time it was counted in. That gives the
usual rate a day; none is held to have less than half a complaint a week. A spike is a window of 24
hours or 7 days with at least MIN complaints by different people, of which the usual rate would give
as many or more only once in 100,000 windows (the tail of a Poisson distribution). It is over when
the windows are as usual again; until then it raises no second alarm.
"""

import math
from bisect import insort
from typing import Final, NamedTuple

import msgspec

from features.fold import DAY_MS, HOUR_MS, decayed

HALF_LIFE_MS: Final = 28 * DAY_MS
WINDOWS: Final = ((24, 4), (7 * 24, 6))  # hours, and how many complaints at least
LONGEST: Final = WINDOWS[-1][0]
RARE: Final = 1e-5
USUAL: Final = 0.05  # of such a chance or more, a window is as usual
LEAST_A_DAY: Final = 0.5 / 7
PRIOR_DAYS: Final = 1.0
HELD_MAX: Final = 32


class Said(msgspec.Struct, array_like=True, order=True):
    """One complaint: when (ms), by whom (a mark that names nobody), and its first words."""

    at: int
    by: str
    text: str = ""


class Kind(msgspec.Struct, array_like=True):
    """Complaints of one kind, by hour, and the last ones; `weight` is the old ones' as of `since`.

    `first` is when the first was made (ms); one person counts once among the `held`.
    """

    first: int
    hours: dict[int, int] = {}
    held: list[Said] = []
    weight: float = 0.0
    since: int = 0
    high: bool = False


class Spike(NamedTuple):
    """So `many` within `hours`, where `expected` is usual; `chance` of so many or more."""

    hours: int
    many: int
    expected: float
    chance: float


def tail(count: int, expected: float) -> float:
    """The chance of `count` or more where `expected` is the mean of a Poisson distribution.

    >>> [round(tail(count, 2.0), 4) for count in (0, 1, 5)]
    [1.0, 0.8647, 0.0527]
    """
    term = below = math.exp(-expected)
    if count <= 0:
        return 1.0
    for number in range(1, count):
        term *= expected / number
        below += term
    if below < 0.999:
        return 1.0 - below
    total, number = 0.0, count  # summed upwards: the difference from 1 would have no digits
    term *= expected / count
    while term > total * 1e-12:
        total += term
        number += 1
        term *= expected / number
    return total


def note(kind: Kind, said: Said) -> bool:
    """Take one complaint in; False when this person's is held already, and this is no other."""
    if any(one.by == said.by for one in kind.held):
        return False
    kind.first = min(kind.first, said.at)
    insort(kind.held, said)
    hour = said.at // HOUR_MS
    kind.hours[hour] = kind.hours.get(hour, 0) + 1
    least = max(kind.hours) - LONGEST
    for old in sorted(hour for hour in kind.hours if hour <= least):
        at = old * HOUR_MS
        since = max(kind.since, at)
        kind.weight = decayed(kind.weight, kind.since, since, HALF_LIFE_MS) + decayed(
            float(kind.hours.pop(old)), at, since, HALF_LIFE_MS
        )
        kind.since = since
    while len(kind.held) > HELD_MAX or kind.held[0].at // HOUR_MS <= least:
        kind.held.pop(0)
    return True


def usual_a_day(kind: Kind) -> float:
    """How many a day are usual, as of the week before the latest."""
    start = (max(kind.hours) - LONGEST + 1) * HOUR_MS
    weight = decayed(kind.weight, kind.since, start, HALF_LIFE_MS)
    counted = 1.0 - 2.0 ** (-max(0, start - kind.first) / HALF_LIFE_MS)
    days: float = counted * HALF_LIFE_MS / math.log(2) / DAY_MS
    return max(LEAST_A_DAY, (weight + LEAST_A_DAY * PRIOR_DAYS) / (days + PRIOR_DAYS))


def judge(kind: Kind) -> Spike | None:
    """A spike that begins now; None when there is none, or it has been raised."""
    rate, latest = usual_a_day(kind), max(kind.hours)
    found: list[tuple[bool, Spike]] = []
    for window, least in WINDOWS:
        count = sum(many for hour, many in kind.hours.items() if hour > latest - window)
        expected = rate * window / 24
        chance = tail(count, expected)
        spike = Spike(window, count, round(expected, 2), chance)
        found.append((count >= least and chance < RARE, spike))
    if kind.high:
        kind.high = any(spike.chance < USUAL for _, spike in found)
        return None
    rare = [spike for is_rare, spike in found if is_rare]
    kind.high = bool(rare)
    return min(rare, key=lambda spike: spike.chance) if rare else None
