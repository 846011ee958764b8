"""`digest`: several instances of a rule that are due together are one decision, so many a period.

Must live here: gathering what is due together, the rate, who is in a decision with another. Must
not: the other gates, what the decision says. All that comes to the act at one moment waits for the
end of that moment; then the first of them (by subject) decides for all, and the others end with
rows `held: digest` that name its decision. With the rate spent, all wait until it has room and are
decided anew then, with whatever has come meanwhile. What the rule's texts and amounts name of a
subject is the first one's; `digest.count` and `digest.subjects` say whom it speaks for.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from engine.caps import spent
from engine.case import Case
from engine.journal import REACHED_MAX
from rules.model import Rate

HELD: Final = "digest"
AGAIN: Final = "again"  # no reason of a hold: the decision waits
DAY: Final = dt.timedelta(days=1)


def digested(case: Case) -> str:
    """The gate: wait for all that is due now, and for the rate to have room."""
    rate, one, at = case.rule.digest, case.instance, case.at
    if rate is None:
        return ""
    if one.gathered != at:
        one.gathered = one.again = at
        return AGAIN
    times = case.turn.journey.digests.get(case.rule.name, ())
    counted = replace(rate, count=min(rate.count, REACHED_MAX))
    if not spent(counted, times, at, case.turn.zone):
        return ""
    one.due = one.again = _room(counted, times, at, case.turn.zone)
    one.gathered = 0
    return AGAIN


def count(case: Case) -> None:
    """A decision was made, and it counts."""
    digests, name = case.turn.journey.digests, case.rule.name
    digests[name] = sorted([*digests.get(name, ()), case.at])[-REACHED_MAX:]


def _room(rate: Rate, times: Sequence[int], at: int, timezone: str) -> int:
    """When a rate that is spent at `at` (ms) has room again."""
    if rate.calendar:
        zone = ZoneInfo(timezone)
        today = dt.datetime.fromtimestamp(at / 1_000, zone).date()
        begins = dt.datetime.combine(_NEXT[rate.calendar](today), dt.time(), zone)
        return max(at + 1, round(begins.timestamp() * 1_000))
    return max(at + 1, sorted(times)[-rate.count] + rate.per_ms)


_NEXT: Final[dict[str, Callable[[dt.date], dt.date]]] = {
    "day": lambda day: day + DAY,
    "week": lambda day: day + (7 - day.weekday()) * DAY,
    "month": lambda day: (day.replace(day=1) + 32 * DAY).replace(day=1),
    "year": lambda day: day.replace(year=day.year + 1, month=1, day=1),
}
