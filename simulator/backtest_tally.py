"""What a backtest counts while it runs: who, when, what, what it cost, what held it back.

Must live here: counting the rows of commits, in bounded memory a customer. Must not: deciding,
shares and intervals (backtest_report.py), showing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from engine.effects import Effects
from engine.subjects import period
from sinks.rows import issued_rows

SHOWN_MAX: Final = 50_000  # acting decisions that are kept one by one; the others are counted
ARMS: Final = frozenset({"treated", "holdout"})
Row = Mapping[str, Any]


@dataclass
class RuleTally:
    """One rule's counts. Money is in minor units, times are ms."""

    acts: int = 0
    held: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    coupons: int = 0
    cost: int = 0
    reached: set[str] = field(default_factory=set)
    entered: dict[str, tuple[int, str]] = field(default_factory=dict)  # cid -> first entry, its arm


@dataclass
class Tally:
    """All counts of one run; `zone` is the shop's, for its days."""

    zone: str
    rules: dict[str, RuleTally] = field(default_factory=dict)
    paid: dict[str, list[int]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    acted: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # (cid, day) -> rules
    shown: list[list[Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._digest = sha256()

    @property
    def digest(self) -> str:
        """A hash of every decision's row, acting or held, in order."""
        return self._digest.hexdigest()

    def took(self, effects: Effects) -> None:
        """Count what one commit would write."""
        counts, facts = self.counts, effects.facts
        for name, number in effects.counts.items():
            counts[name] += number
        for fact in facts.get("order_facts", ()):
            if fact["fact"] == "paid":
                times = self.paid.setdefault(fact["cid"], [])
                if fact["at"] not in times[-1:]:  # an order has a row a line
                    times.append(fact["at"])
        for fact in facts.get("identities", ()):
            self.aliases[fact["alias"]] = fact["cid"]
        for row in effects.decisions:
            self._digest.update(orjson.dumps(row))
            self._decision(row)

    def _decision(self, row: Row) -> None:
        tally = self.rules.setdefault(row["rule"], RuleTally())
        if row["arm"] in ARMS:
            tally.entered.setdefault(row["cid"], (row["at"], row["arm"]))
        if row["result"] != "act":
            tally.held[row["held"]] += 1
            return
        day = period("day", row["at"], self.zone)
        issued = issued_rows(row)
        face = round(sum(one["face"] for one in issued) * 100)
        names = [named(action) for action in row["actions"]]
        tally.acts += 1
        tally.days[day] += 1
        tally.coupons += len(issued)
        tally.cost += face
        tally.actions.update(names)
        tally.reached.add(row["cid"])
        self.acted.setdefault((row["cid"], day), set()).add(row["rule"])
        if len(self.shown) < SHOWN_MAX:
            self.shown.append([
                row["at"], row["rule"], row["cid"], row["instance"], row["step"],
                row["decision_id"], names, face / 100,
            ])  # fmt: skip

    def who(self, cid: str) -> str:
        """Whom an id stands for in the end."""
        for _ in range(len(self.aliases)):
            if cid not in self.aliases:
                break
            cid = self.aliases[cid]
        return cid


def named(action: Row) -> str:
    """An action as people call it: `coupon SAVE`.

    >>> named({"kind": "notify", "name": "notify:hello", "template": "hello"})
    'notify hello'
    """
    what = action.get("offer") or action.get("template") or action.get("name", "")
    return f"{action['kind']} {what}".strip()
