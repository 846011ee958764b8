"""Caps: how often a customer is reached, over all rules, by purpose and channel.

Must live here: the gate, and counting what was sent. Must not: one rule's own limit (gates.py).
A message counts when it is decided, by the channel that it is to go by first. A channel whose cap
is spent is no way for a message any more; one without a way is `held: cap`, unless it is optional.
Rules that come to the act at one moment come in the order of priority, then name: the later one
finds the cap spent. An offer's `limit` is counted alike, by coupon.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from engine.case import Case
from engine.effects import Row
from engine.journal import REACHED_MAX
from engine.subjects import period
from engine.turn import Turn
from rules.model import PURPOSES, Coupon, Rate

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
            return "cap"
        case.ways[message.name] = ways
        sent += ways[:1]
    return ""


def uncapped(
    turn: Turn, purpose: str, via: Iterable[str], at: int, sent: Sequence[str] = ()
) -> list[str]:
    """The channels whose caps have room for a message of this purpose; `sent` go before it."""
    return [way for way in via if not _full(turn, purpose, way, at, sent)]


def _full(turn: Turn, purpose: str, via: str, at: int, sent: Sequence[str]) -> bool:
    for cap in turn.book.shop.caps:
        if cap.purpose not in {"", purpose} or cap.via not in {"", via}:
            continue
        times = [at for way in sent if cap.via in {"", way}]
        for key, known in turn.journey.reached.items():
            of, _, way = key.partition(":")
            if of in PURPOSES and cap.purpose in {"", of} and cap.via in {"", way}:
                times += known
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
            return "limit"
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


def count(turn: Turn, purpose: str, rows: Iterable[Row], at: int) -> None:
    """These actions come to the customer: the messages and coupons among them count from now on."""
    book = turn.book
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
