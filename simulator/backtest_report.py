"""What a backtest found, as plain values: the same history and rules give the same bytes.

Must live here: the report's shape, conversions and their interval. Must not: clocks, showing.

A customer counts from his first entry into a rule, in the arm that he had then: intention to
treat. Only those are compared whose days after it have passed. In a history without this rule the
difference is chance alone, and `half_width` the smallest lift that so many customers would show.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import Any, Final

from rules.book import Book
from simulator.backtest_tally import RuleTally, Tally

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
Report = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """What was replayed: from where to where (ms), and how long after a conversion counts."""

    start: int
    end: int
    window: int


def report(tally: Tally, book: Book, span: Span) -> Report:
    """Everything, in a fixed order."""
    paid: dict[str, list[int]] = {}
    for cid, times in sorted(tally.paid.items()):
        paid.setdefault(tally.who(cid), []).extend(times)
    for times in paid.values():
        times.sort()
    rules = {
        name: _rule(tally, tally.rules.get(name, RuleTally()), book, name, paid, span)
        for name in sorted(book.rules)
        if name in tally.rules or book.rules[name].status in {"live", "shadow"}
    }
    acting = {tally.who(cid) for one in tally.rules.values() for cid in one.reached}
    return {
        "from": span.start, "to": span.end, "window_days": span.window / 86_400_000,
        "timezone": book.shop.timezone, "currency": book.shop.currency, "rules_version": book.hash,
        "events": tally.counts["events"], "duplicates": tally.counts["duplicate"],
        "quarantined": tally.counts["quarantined"],
        "acts": sum(one.acts for one in tally.rules.values()),
        "customers": len(acting),
        "coupons": sum(one.coupons for one in tally.rules.values()),
        "cost": sum(one.cost for one in tally.rules.values()) / 100,
        "not_run": {
            name: rule.status
            for name, rule in sorted(book.rules.items())
            if rule.status in {"draft", "paused"}
        },
        "rules": rules,
        "collisions": collisions(tally),
        "decisions_sha256": tally.digest,
        "decisions_left_off": max(0, sum(one.acts for one in tally.rules.values())
                                  - len(tally.shown)),
        "decisions": [
            dict(zip(_SHOWN, [*row[:2], tally.who(row[2]), *row[3:]], strict=True))
            for row in tally.shown
        ],
    }  # fmt: skip


_SHOWN: Final = ("at", "rule", "customer", "subject", "step", "decision_id", "did", "cost")


def _rule(
    tally: Tally, one: RuleTally, book: Book, name: str, paid: dict[str, list[int]], span: Span
) -> Report:
    rule = book.rules[name]
    return {
        "title": rule.title,
        "status": rule.status,
        "acts": one.acts,
        "customers": len({tally.who(cid) for cid in one.reached}),
        "actions": dict(sorted(one.actions.items())),
        "coupons": one.coupons,
        "cost": one.cost / 100,
        "held": dict(sorted(one.held.items())),
        "days": dict(sorted(one.days.items())),
        "conversions": _conversions(tally, one, paid, span),
    }


def _conversions(
    tally: Tally, one: RuleTally, paid: dict[str, list[int]], span: Span
) -> dict[str, Any]:
    """Who paid within the window after his first entry, treated against held out."""
    entered: dict[str, tuple[int, str]] = {}
    for cid, entry in sorted(one.entered.items()):
        who = tally.who(cid)
        entered[who] = min(entered.get(who, entry), entry)
    seen = {"treated": [0, 0], "holdout": [0, 0]}
    too_young = 0
    for who, (at, arm) in entered.items():
        if at + span.window > span.end:
            too_young += 1
            continue
        times = paid.get(who, [])
        bought = bisect_right(times, at) < bisect_right(times, at + span.window)
        seen[arm][0] += 1
        seen[arm][1] += bought
    found = {"too_young": too_young} | {
        arm: {"customers": many, "converted": some, "rate": round(some / many, 6) if many else None}
        for arm, (many, some) in seen.items()
    }
    return found | difference(*seen["treated"], *seen["holdout"])


def difference(
    treated: int, treated_yes: int, holdout: int, holdout_yes: int
) -> dict[str, float | None]:
    """The difference of two shares and its 95% interval, by Newcombe's hybrid score.

    R. G. Newcombe, Statistics in Medicine 17 (1998), method 10: it holds for few customers too.

    >>> difference(70, 56, 80, 48)
    {'lift': 0.2, 'low': 0.052369, 'high': 0.333868, 'half_width': 0.14075}
    """
    if not treated or not holdout:
        return dict.fromkeys(("lift", "low", "high", "half_width"))
    p1, p0 = treated_yes / treated, holdout_yes / holdout
    low1, high1 = _wilson(p1, treated)
    low0, high0 = _wilson(p0, holdout)
    lift = p1 - p0
    low = lift - sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    high = lift + sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    told = {"lift": lift, "low": low, "high": high, "half_width": (high - low) / 2}
    return {name: round(value, 6) for name, value in told.items()}


def _wilson(share: float, many: int) -> tuple[float, float]:
    """Wilson's score interval of one share."""
    z2 = _Z * _Z
    middle = (share + z2 / (2 * many)) / (1 + z2 / many)
    half = _Z * sqrt(share * (1 - share) / many + z2 / (4 * many * many)) / (1 + z2 / many)
    return middle - half, middle + half


def collisions(tally: Tally) -> dict[str, int]:
    """Two rules that acted on one customer on one day: how often, by pair."""
    days: dict[tuple[str, str], set[str]] = {}
    for (cid, day), rules in tally.acted.items():
        days.setdefault((tally.who(cid), day), set()).update(rules)
    found: dict[str, int] = {}
    for rules in days.values():
        for pair in combinations(sorted(rules), 2):
            name = " + ".join(pair)
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))
