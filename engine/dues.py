"""Rules that are due at a date: of the customer, or of each of his orders, coupons, tickets.

Must live here: when each date is due, moved when the date moves; what it does when it comes. Must
not: what a date comes to (dates.py), what else waits for a time (timers.py).
"""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from engine.dates import moment_of
from engine.fields import names_of
from engine.subjects import subject_at
from engine.turn import Turn
from features.fold import DAY_MS
from rules.model import DueTrigger, Rule

DUES_MAX: Final = 20  # dates a rule waits for with one customer, the soonest ones


def redate(turn: Turn, rule: Rule, at: int) -> None:
    """Set anew when the rule is due, by what is known at `at` (ms); what is past by then is not."""
    trigger = rule.trigger
    if not isinstance(trigger, DueTrigger):
        return
    kind = trigger.date.subject
    found = {}
    for name in names_of(turn.customer, kind) if kind else [""]:
        due = _due(turn, rule, trigger, name, at)
        if due > at:
            found[name] = due
    soonest = sorted(found, key=lambda name: (found[name], name))[:DUES_MAX]
    if soonest:
        turn.journey.dues[rule.name] = {name: found[name] for name in soonest}
        turn.journey.arm(found[soonest[0]])
    else:
        turn.journey.dues.pop(rule.name, None)


def _due(turn: Turn, rule: Rule, trigger: DueTrigger, name: str, at: int) -> int:
    turn.about(rule, name)
    offset = trigger.offset.get(turn.context(at))
    if not isinstance(offset, int | float):
        return 0
    date = moment_of(turn, trigger.date, at - int(offset))
    if trigger.date.yearly and 0 < date + offset <= at:  # today's, already past: the next year's
        date = moment_of(turn, trigger.date, date + DAY_MS)
    if not date:
        return 0
    due = date + int(offset)
    return due if trigger.at_minute is None else _at_minute(due, trigger.at_minute, turn.zone)


def _at_minute(at: int, minute: int, timezone: str) -> int:
    """The minute of the day that `at` (ms) falls in, in the shop's zone, in ms.

    >>> _at_minute(5 * 3_600_000, 600, "UTC") // 60_000
    600
    """
    zone = ZoneInfo(timezone)
    day = dt.datetime.fromtimestamp(at / 1_000, zone).date()
    told = dt.datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    return int(told.timestamp() * 1_000)


def came(turn: Turn, rule: Rule, name: str, due: int) -> str | None:
    """The date has come: the subject to enter with, or None; a yearly one is set anew."""
    dues = turn.journey.dues.get(rule.name, {})
    dues.pop(name, None)
    if not dues:
        turn.journey.dues.pop(rule.name, None)
    trigger = rule.trigger
    if isinstance(trigger, DueTrigger) and trigger.date.yearly:
        redate(turn, rule, due)
    turn.about(rule, name)
    holds = isinstance(trigger, DueTrigger) and turn.holds(trigger.condition, None, due)
    return subject_at(rule, name, due, turn.zone) if holds else None
