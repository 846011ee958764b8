"""Dates that a rule names: a moment in ms, or a day of every year in the shop's zone.

Must live here: what a written or read date comes to. Must not: whose timer it is.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from engine.turn import Turn
from rules.model import DateFeature


def moment_of(turn: Turn, date: int | DateFeature, at: int) -> int:
    """The date in ms UTC as known at `at`; of a yearly one its next day from then on; 0 unknown."""
    if isinstance(date, int):
        return date
    found = date.read.value(turn.customer, None, at, turn.extra)
    if not isinstance(found, int | float) or not found > 0:
        return 0
    return next_day(int(found), at, turn.zone) if date.yearly else int(found)


def next_day(month_day: int, at: int, timezone: str) -> int:
    """When the day `month x 100 + day` begins next, from the day of `at` (ms) on; 0 for no day.

    The 29th of February comes on the 28th in other years.

    >>> next_day(101, 0, "UTC"), next_day(1301, 0, "UTC")
    (0, 0)
    """
    zone = ZoneInfo(timezone)
    today = dt.datetime.fromtimestamp(at / 1_000, zone).date()
    for year in (today.year, today.year + 1):
        day = _day(year, *divmod(month_day, 100))
        if day is not None and day >= today:
            begins = dt.datetime(day.year, day.month, day.day, tzinfo=zone)
            return int(begins.timestamp() * 1_000)
    return 0


def _day(year: int, month: int, day: int) -> dt.date | None:
    for wanted in (day, 28) if (month, day) == (2, 29) else (day,):
        try:
            return dt.date(year, month, wanted)
        except ValueError:
            continue
    return None
