"""A made-up shop lived whole under a bandit, and under each of its arms for everybody.

Must live here: the lives, with the real engine, learner and scorer in them. Must not: the report
(learning_offers.py), many seeds of decisions alone (offers_trial.py). The lives share their people,
whose answers are a function of the seed and the decision's id, the same whatever is drawn; so they
differ by what was offered and nothing else.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

from engine.effects import Effects
from engine.records import Append
from features.models.bandit import MODEL, Scorer
from features.models.bandit_learner import Learner
from rules.book import Book
from rules.load import book_from_sources
from simulator.backtest_engine import Engine
from simulator.doors import to_record
from simulator.habits import DAY, MINUTE
from simulator.world import World

START: Final = 1_767_542_400_000  # 2026-01-05 00:00 in the shop's zone
STEP: Final = 30 * MINUTE
SHARDS: Final = 2
SECRET: Final = b"codes of a trial redeem nothing"
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
        self.told: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.paid: dict[str, list[tuple[int, float]]] = {}
        self.who: dict[str, str] = {}

    async def all(self) -> Life:
        """Live it, and count."""
        engine = Engine(
            _book(self.life.name), SHARDS, SECRET, self._took, [{} for _ in range(SHARDS)]
        )
        await engine.begin(START)
        nature = self._nature()
        answers: list[tuple[int, int, Append]] = []
        position = count = 0
        for end in range(START + STEP, self.until + 1, STEP):
            now: list[Append] = []
            while position < len(nature) and nature[position].hint < end:
                now.append(nature[position])
                position += 1
            while answers and answers[0][0] < end:
                now.append(heappop(answers)[2])
            now.sort(key=lambda append: append.hint)
            await engine.step(end, now)
            for row in self.told:
                for happening in self.world.answers({**row, "at": max(int(row["at"]), end)}):
                    count += 1
                    record = to_record(happening.item, SHARDS, "life", self.until)
                    heappush(answers, (happening.at, count, record))
            self.told.clear()
            self._publish(engine, end)
        return self._counted()

    def _nature(self) -> Sequence[Append]:
        found = [
            to_record(item, SHARDS, "life", self.until)
            for day in range(self.days)
            for item in self.world.step(START + day * DAY, START + (day + 1) * DAY)
            if not item.get("event") or item["event"] in HEARD
        ]
        return sorted(found, key=lambda append: append.hint)

    def _took(self, effects: Effects) -> None:
        rows = [row for row in effects.decisions if row["step"] != "2"]
        self.told += rows
        self.rows += rows
        for row in effects.facts.get("identities", ()):
            self.who[row["alias"]] = row["cid"]
        for row in effects.facts.get("order_facts", ()):
            if row["fact"] == "paid":
                self.paid.setdefault(row["cid"], []).append((row["at"], float(row["amount"])))
        for example in effects.examples:
            if example["model"] == MODEL:
                self.learner.learn(example)

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
