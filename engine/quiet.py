"""Quiet hours and closing days: when no message leaves, and what a decision does meanwhile.

Must live here: whether a moment is quiet, when it ends, the gate. Must not: the send, which asks
again for what was decided before and leaves later (sinks/). A deferred decision is none yet: all of
it is decided anew at the end of the quiet, conditions, gates and a coupon's days alike.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from engine.case import Case
from rules.model import Quiet, Shop

DAYS_MAX = 400
AGAIN = "again"  # no reason of a hold: the decision waits


def quieted(case: Case) -> str:
    """The gate: what speaks to the customer waits for the end of the quiet, or is dropped.

    The shop's hours are for marketing; those that a rule names itself are for it, of any purpose.
    """
    rule, shop = case.rule, case.turn.book.shop
    marketing = rule.purpose == "marketing"
    quiet = rule.quiet if rule.quiet or not marketing else shop.quiet
    closed = shop.closing_days if marketing else frozenset()
    if not (quiet or closed) or not any(case.messages()):
        return ""
    end = release(quiet, closed, case.at, shop)
    if end == case.at:
        return ""
    if quiet and quiet.then == "drop":
        return "quiet"
    case.instance.due = case.instance.again = end
    return AGAIN


def release(quiet: Quiet | None, closed: frozenset[str], at: int, shop: Shop) -> int:
    """When the quiet that `at` (ms) lies in ends, in ms; `at` itself when it is not quiet."""
    for _ in range(DAYS_MAX):
        now = dt.datetime.fromtimestamp(at / 1_000, shop.zone)
        if now.date().isoformat() in closed:
            at = _moment(now.date() + dt.timedelta(days=1), 0, shop.zone)
        elif quiet and quiet.holds(minute := now.hour * 60 + now.minute):
            day = now.date() + dt.timedelta(days=int(minute >= quiet.ends))
            at = max(at + 1, _moment(day, quiet.ends, shop.zone))
        else:
            break
    return at


def _moment(day: dt.date, minute: int, zone: ZoneInfo) -> int:
    time = dt.time(minute // 60, minute % 60)
    return round(dt.datetime.combine(day, time, zone).timestamp() * 1_000)
