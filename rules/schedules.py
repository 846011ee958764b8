"""When a schedule fires next, from its moments or its cron line in the shop's zone.

Must live here: the calendar of `at` and `cron`. Must not: whom it reaches, clocks.
"""

import datetime as dt
from bisect import bisect_right
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from rules.errors import BadText
from rules.model import ScheduleTrigger

CRON_FIELDS: Final = 5
_SAMPLE: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def cron(text: str) -> str:
    """A cron line of five fields, checked: minute hour day month weekday.

    >>> cron("0 10 8 * *")
    '0 10 8 * *'
    """
    try:
        found = next(CronSim(text, _SAMPLE), None)
        reason = "" if found else ": there is no such day"
    except CronSimError as error:
        reason = f": {error}"
    if reason or len(text.split()) != CRON_FIELDS:
        raise BadText(
            f'`{text}` is not a schedule like "0 10 8 * *" (minute hour day month weekday, '
            f"10:00 on the 8th){reason}"
        )
    return text


def next_firing(trigger: ScheduleTrigger, after: int, zone: ZoneInfo) -> int:
    """The first firing later than `after` (ms UTC), 0 for none."""
    if not trigger.cron:
        at = bisect_right(trigger.moments, after)
        return trigger.moments[at] if at < len(trigger.moments) else 0
    return _next(trigger.cron, after, zone)


@lru_cache(maxsize=4_096)
def _next(line: str, after: int, zone: ZoneInfo) -> int:
    start = dt.datetime.fromtimestamp(after / 1_000, zone)
    try:
        found = next(CronSim(line, start))
    except StopIteration:
        return 0
    return round(found.timestamp() * 1_000)
