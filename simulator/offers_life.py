"""A made-up shop lived whole under a bandit, and under each of its arms for everybody.

Must live here: the lives, with the real learner and scorer in them. Must not: the report
(learning_offers.py), many seeds of decisions alone (offers_trial.py), a life's steps
(trial_life.py). The lives share their people, so they differ by what was offered and nothing else.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.effects import Effects
from features.models.bandit import MODEL, Scorer
from features.models.bandit_learner import Learner
from rules.book import Book
from rules.load import book_from_sources
from simulator.backtest_engine import Engine
from simulator.habits import DAY, MINUTE
from simulator.trial_life import START, lived, nature
from simulator.world import World

FACE: Final = 20.0
PUBLISH: Final = 6 * 60 * MINUTE
HEARD: Final = frozenset(("Product Viewed", "Product Added", "Order Paid", "Order Completed"))
_ARMS: Final = {
    "coupon": (
        "[{coupon: {offer: TRY, off: 20, valid: 7d}}, {notify: {via: [push], template: c}}]"
    ),
    "words": "[{notify: {via: [push], template: w}}]",
    "nothing": "[]",
}
_HEAD: Final = """
rule: offers
status: live
purpose: service
when: {event: Product Viewed, count: 3, within: 24h}
once_per: week
do:
"""
_BANDIT: Final = "  - bandit:\n      within: 3d\n      value: count\n      arms:\n"


@dataclass
class Life:
    """What came of one life: the entries, what they spent in time, what coupons cost, the odds."""

    name: str
    entries: int = 0
    bought: int = 0
    revenue: float = 0.0
    coupons: float = 0.0
    drawn: dict[str, list[int]] = field(default_factory=dict)  # arm -> how often, by week

    @property
    def worth(self) -> float:
        """What an entry brought, less its coupons."""
        return (self.revenue - self.coupons) / max(1, self.entries)


def lives(seed: int, customers: int, days: int) -> list[Life]:
    """One seed's shop under the bandit, and under each arm."""
    return [live(name, seed, customers, days) for name in ("bandit", *_ARMS)]


def live(name: str, seed: int, customers: int, days: int) -> Life:
    """One of these lives."""
    return asyncio.run(_Living(name, World(seed, customers, START), days).all())


def _book(name: str) -> Book:
    """The rule with all arms, or with one arm twice: the ids of its decisions are the same."""
    arms = _ARMS if name == "bandit" else {name: _ARMS[name], f"{name}-too": _ARMS[name]}
    lines = "".join(f"        - {{name: {arm}, do: {do}}}\n" for arm, do in arms.items())
    filler = "  - wait: 1d\n  - tag: {add: looked}\n"  # a rule needs an action
    text = _HEAD + _BANDIT + lines + filler
    return book_from_sources({"campaigns/offers.yaml": text, "offers/TRY.yaml": "offer: TRY\n"})


class _Living:
    """One life under way."""

    def __init__(self, name: str, world: World, days: int) -> None:
        self.life = Life(name)
        self.world, self.days = world, days
        self.until = START + days * DAY
        self.learner = Learner()
        self.published = START
        self.rows: list[dict[str, Any]] = []
        self.paid: dict[str, list[tuple[int, float]]] = {}
        self.who: dict[str, str] = {}

    async def all(self) -> Life:
        """Live it, and count."""
        happens = nature(self.world, self.days, lambda name: not name or name in HEARD)
        await lived(
            _book(self.life.name), self.world, happens, self.until, self._took, self._publish
        )
        return self._counted()

    def _took(self, effects: Effects) -> list[dict[str, Any]]:
        rows = [row for row in effects.decisions if row["step"] != "2"]
        self.rows += rows
        for row in effects.facts.get("identities", ()):
            self.who[row["alias"]] = row["cid"]
        for row in effects.facts.get("order_facts", ()):
            if row["fact"] == "paid":
                self.paid.setdefault(row["cid"], []).append((row["at"], float(row["amount"])))
        for example in effects.examples:
            if example["model"] == MODEL:
                self.learner.learn(example)
        return rows

    def _publish(self, engine: Engine, now: int) -> None:
        weights = self.learner.weights()
        if weights and now - self.published >= PUBLISH:
            self.published = now
            engine.decide_by({MODEL: Scorer(weights)}, f"of {now}")

    def _counted(self) -> Life:
        """Entries whose three days were over, each with what was paid in them."""
        life, paid = self.life, self._orders()
        for row in self.rows:
            at, who = int(row["at"]), self._now(row["cid"])
            if at + 3 * DAY > self.until or row["held"]:
                continue
            worth = [one for when, one in paid.get(who, ()) if at < when <= at + 3 * DAY]
            life.entries += 1
            life.bought += bool(worth)
            life.revenue += sum(worth)
            used = any(one["kind"] == "coupon" for one in row["actions"]) and worth
            life.coupons += FACE if used else 0.0
            weeks = life.drawn.setdefault(
                row["split"].partition("-")[0], [0] * (self.days // 7 + 1)
            )
            weeks[(at - START) // (7 * DAY)] += 1
        return life

    def _orders(self) -> Mapping[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for cid, orders in self.paid.items():
            found.setdefault(self._now(cid), []).extend(orders)
        return found

    def _now(self, cid: str) -> str:
        while cid in self.who:
            cid = self.who[cid]
        return cid
