"""Caps: how often a customer is reached, over all rules, by purpose and channel.

Must live here: the gate, and counting what was sent. Must not: one rule's own limit (gates.py).
A message counts when it is decided, by the channel that it is to go by first. A channel whose cap
is spent is no way for a message any more; one without a way is `held: cap`, unless it is optional.
Rules that come to the act at one moment come in the order of priority, then name: the later one
finds the cap spent. An offer's `limit` is counted alike, by coupon.
"""

from collections.abc import Iterable, Sequence

from engine.case import Case
from engine.effects import Row
from engine.journal import REACHED_MAX
from engine.subjects import period
from rules.model import Cap, Coupon, Rate


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
    caps = case.turn.book.shop.caps
    if not caps:
        return ""
    sent: list[str] = []  # by the messages of this act before
    for message in case.messages():
        ways = [via for via in case.allowed(message) if not _full(case, caps, via, sent)]
        if not ways and not message.optional:
            return "cap"
        case.ways[message.name] = ways
        sent += ways[:1]
    return ""


def _full(case: Case, caps: Iterable[Cap], via: str, sent: Sequence[str]) -> bool:
    purpose, reached = case.rule.purpose, case.turn.journey.reached
    for cap in caps:
        if cap.purpose not in {"", purpose} or cap.via not in {"", via}:
            continue
        times = [case.at for way in sent if cap.via in {"", way}]
        for way, at in reached.items():
            of, _, channel = way.partition(":")
            if of != "offer" and cap.purpose in {"", of} and cap.via in {"", channel}:
                times += at
        if _used_up(case, cap.limit, times):
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
        if any(_used_up(case, rate, times) for rate in offer.limits):
            return "limit"
        times.append(case.at)
    return ""


def _used_up(case: Case, rate: Rate, times: Sequence[int]) -> bool:
    rate = Rate(min(rate.count, REACHED_MAX), rate.per_ms, rate.calendar)
    return spent(rate, times, case.at, case.turn.zone)


def count(case: Case, rows: Iterable[Row]) -> None:
    """These actions are done: the messages and coupons among them count from now on."""
    book, reached = case.turn.book, case.turn.journey.reached
    for row in rows:
        if row.get("to") != "customer":
            continue
        if row["kind"] == "notify" and book.shop.caps:
            way = f"{case.rule.purpose}:{row['channel']}"
        elif row["kind"] == "coupon" and row["offer"] in book.offers:
            if not book.offers[row["offer"]].limits:
                continue
            way = f"offer:{row['offer']}"
        else:
            continue
        reached[way] = sorted([*reached.get(way, ()), case.at])[-REACHED_MAX:]
