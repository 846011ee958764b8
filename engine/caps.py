"""Caps: how often a customer is reached, over all rules, by purpose and channel.

Must live here: the gate, and counting what was sent. Must not: one rule's own limit (gates.py).
A message counts when it is decided, by the channel that it is to go by first. A channel whose cap
is spent is no way for a message any more; one without a way is `held: cap`, unless it is optional.
Rules that come to the act at one moment come in the order of priority, then name: the later one
finds the cap spent, `held: priority`. An offer's `limit` is counted alike, by coupon.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from engine.case import Case
from engine.effects import Row
from engine.journal import REACHED_MAX
from engine.subjects import period
from engine.turn import Turn
from rules.book import Book
from rules.model import PURPOSES, Coupon, Notify, Rate, Rule

PRIORITY: Final = "priority"  # the reason where a rule of higher priority took what was left
WON_MAX: Final = 20
KINDS_MAX: Final = 64  # of what is counted of one customer; the one that was longest ago goes


def spent(rate: Rate, times: Sequence[int], at: int, zone: str) -> bool:
    """Whether as many `times` (ms) as the rate allows lie in its window or calendar period."""
    if rate.calendar in {"run", "ever"}:
        used = len(times)
    elif rate.calendar:
        now = period(rate.calendar, at, zone)
        used = sum(period(rate.calendar, time, zone) == now for time in times)
    else:
        used = sum(time > at - rate.per_ms for time in times)
    return used >= rate.count


def capped(case: Case) -> str:
    """The gate: each message keeps the channels whose caps have room."""
    if not case.turn.book.shop.caps:
        return ""
    sent: list[str] = []  # by the messages of this act before
    for message in case.messages():
        ways = uncapped(case.turn, case.rule.purpose, case.allowed(message), case.at, sent)
        if not ways and not message.optional:
            return PRIORITY if _lost(case) and _had_room(case, message, sent) else "cap"
        case.ways[message.name] = ways
        sent += ways[:1]
    return ""


def uncapped(
    turn: Turn, purpose: str, via: Iterable[str], at: int, sent: Sequence[str] = ()
) -> list[str]:
    """The channels whose caps have room for a message of this purpose; `sent` go before it."""
    return [way for way in via if not _full(turn, purpose, way, at, sent)]


def outranked(book: Book, rule: Rule, other: str) -> bool:
    """Whether another rule comes before this one where they compete."""
    first = book.rules.get(other)
    mine = (-rule.priority, rule.name)
    return first is not None and (-first.priority, first.name) < mine


def _lost(case: Case) -> bool:
    """Whether what counts as of this moment is by rules that come before this one."""
    at, rules = case.turn.journey.won
    if at != case.at or not rules:
        return False
    return all(outranked(case.turn.book, case.rule, name) for name in rules)


def _had_room(case: Case, message: Notify, sent: Sequence[str]) -> bool:
    """Whether it had a way before this moment."""
    purpose, ways = case.rule.purpose, case.allowed(message)
    return any(not _full(case.turn, purpose, way, case.at, sent, but_now=True) for way in ways)


def _full(
    turn: Turn, purpose: str, via: str, at: int, sent: Sequence[str], *, but_now: bool = False
) -> bool:
    for cap in turn.book.shop.caps:
        if cap.purpose not in {"", purpose} or cap.via not in {"", via}:
            continue
        times = [at for way in sent if cap.via in {"", way}]
        for key, known in turn.journey.reached.items():
            of, _, way = key.partition(":")
            if of in PURPOSES and cap.purpose in {"", of} and cap.via in {"", way}:
                times += [time for time in known if not (but_now and time == at)]
        if _used_up(turn, cap.limit, times, at):
            return True
    return False


def limited(case: Case) -> str:
    """The gate of the offers' own limits: so many of its coupons a customer."""
    offers = case.turn.book.offers
    given: dict[str, list[int]] = {}
    for action in case.act.actions:
        if not isinstance(action, Coupon) or action.to != "customer":
            continue
        offer = offers.get(action.offer)
        if offer is None or not offer.limits:
            continue
        times = given.setdefault(
            offer.name, list(case.turn.journey.reached.get(f"offer:{offer.name}", ()))
        )
        if any(_used_up(case.turn, rate, times, case.at) for rate in offer.limits):
            before = [time for time in times if time != case.at]
            full = any(_used_up(case.turn, rate, before, case.at) for rate in offer.limits)
            return PRIORITY if not full and _lost(case) else "limit"
        times.append(case.at)
    return ""


def again(turn: Turn, what: str, rates: Sequence[Rate], at: int) -> bool:
    """Whether the customer may have this once more; then it counts.

    For what comes to him by another's decision: `referrer:<rule>` and its referrer's limits.
    """
    times = turn.journey.reached.get(what, [])
    if any(_used_up(turn, rate, times, at) for rate in rates):
        return False
    if rates:
        _note(turn, what, at)
    return True


def _used_up(turn: Turn, rate: Rate, times: Sequence[int], at: int) -> bool:
    rate = Rate(min(rate.count, REACHED_MAX), rate.per_ms, rate.calendar)
    return spent(rate, times, at, turn.zone)


def count(turn: Turn, rule: Rule, rows: Iterable[Row], at: int) -> None:
    """These actions come to the customer: the messages and coupons among them count from now on."""
    book, purpose = turn.book, rule.purpose
    won, names = turn.journey.won
    turn.journey.won = (at, [*names, rule.name][-WON_MAX:] if won == at else [rule.name])
    for row in rows:
        if row.get("to") != "customer":
            continue
        if row["kind"] == "notify" and book.shop.caps:
            _note(turn, f"{purpose}:{row['channel']}", at)
        elif row["kind"] == "coupon" and (offer := book.offers.get(row["offer"])) and offer.limits:
            _note(turn, f"offer:{offer.name}", at)


def _note(turn: Turn, what: str, at: int) -> None:
    reached = turn.journey.reached
    reached[what] = sorted([*reached.get(what, ()), at])[-REACHED_MAX:]
    if len(reached) > KINDS_MAX:
        del reached[min(reached, key=lambda key: (reached[key][-1], key))]
