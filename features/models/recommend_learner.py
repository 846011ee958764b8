"""Which products go together, learned from orders and visits, one example at a time.

Must live here: learning, its figures, what is published. Must not: choosing for a customer
(recommend.py). All of it is bounded: ITEMS_MAX products (the lightest makes room), NEAR and FEW
neighbours a product, TRENDING_MAX names a category.

    {model, cid, at, basket: [ids], had: [ids], days: [ages], viewed: [ids]}    an order
    {model, cid, at, viewed: [ids, in order]}                                  a visit without one
    {model, cid, at, returned: [ids]}                                          what came back
    {model, cid, at, item: id, stock: n?, launched: true?}                     a product's own event

Any of them may carry "facts": {id: [category, brand]}. An order of n lines gives each pair of its
lines 1/n, so that a wholesaler's 200 lines do not outshout 100 baskets; what he had or looked at
before leads to what he bought, the latest most. Half of a weight is left after 90 days.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgspec

from features.models.heavy import Heavy
from features.models.neighbours import Neighbours
from features.models.recommend import MODEL
from features.models.recommend_tables import (
    FEW,
    FLOOR,
    NEAR,
    PUBLISHED_NEAR,
    TRENDING_MAX,
    Item,
    Tables,
)

ITEMS_MAX: Final = 10_000
BASKET_MAX: Final = 60
HAD_MAX: Final = 100
VIEWED_MAX: Final = 20
EXAMPLE_MAX: Final = 400  # products that one example names at most
FACTS_MAX: Final = 100
CATEGORIES_MAX: Final = 300
HAD_HALF_LIFE_DAYS: Final = 60.0
BACKWARD: Final = 0.5  # what was looked at first is less near to what came after than the reverse
LOOK: Final = 0.1  # of an order, what a look at a product counts
TRIED_EVERY: Final = 50  # of orders one is predicted before it is learned
TRIED_SEEDS: Final = 10
SHOWN: Final = 20
RECENT: Final = 0.995  # what is left of the figures at the next try
AGAIN_FEWER: Final = 50  # examples, or 1 in 50 of all: fewer than these change no tables


class Learner(Tables):
    """See the module; restorable to the bit."""

    def __init__(self) -> None:
        super().__init__()
        self.examples = 0
        self.orders = 0
        self.tries = 0.0
        self.hits = 0.0
        self.base_hits = 0.0
        self._categories = Heavy(CATEGORIES_MAX)
        self._made: dict[str, Any] = {}
        self._made_at = 0
        self._stock_told = False

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`."""
        at = int(example["at"])
        basket = _names(example, "basket", BASKET_MAX)
        had = _names(example, "had", HAD_MAX)
        days = [float(age) for age in example.get("days", ())][-HAD_MAX:]
        if len(days) != len(had) or not all(age >= 0 for age in days):
            raise ValueError(f"days: expected {len(had)} ages, as many as `had`")
        viewed = _names(example, "viewed", VIEWED_MAX)
        returned = _names(example, "returned", BASKET_MAX)
        facts = {
            str(name): (str(category), str(brand))
            for name, (category, brand) in list(example.get("facts", {}).items())[:FACTS_MAX]
        }
        self._step(at)
        if basket and had and self.orders % TRIED_EVERY == 0:
            self._try(basket, had, days)
        self.examples += 1
        for name, (category, brand) in facts.items():
            item = self._item(name, at)
            item.category, item.brand = category or item.category, brand or item.brand
        if basket:
            self._order(basket, had, days, viewed, at)
        elif viewed:
            self._visit(viewed, at)
        for name in returned:
            self._item(name, at).returned += 1
        if example.get("item"):
            self._about(example, at)

    def _step(self, at: int) -> None:
        """Time goes on, room is made; what is late weighs what it would have."""
        self.at = max(self.at, at)
        if len(self.items) > ITEMS_MAX - EXAMPLE_MAX:
            self._forget()
        if (factor := self.slow.move(at)) != 1.0:
            for pairs in (self.near, self.order_pairs, self.path_pairs):
                pairs.scale(factor)
            for item in self.items.values():
                item.slow *= factor
        if (factor := self.fast.move(at)) != 1.0:
            for item in self.items.values():
                item.fast *= factor
            for heavy in (*self.trending.values(), self._categories):
                heavy.scale(factor)

    def _item(self, name: str, at: int) -> Item:
        found = self.items.get(name)
        if found is None:
            found = self.items[name] = Item(name, known_at=at)
        return found

    def _forget(self) -> None:
        """The lightest tenth of the products goes, of equal ones the oldest."""
        light = heapq.nsmallest(
            ITEMS_MAX // 10,
            self.items.values(),
            key=lambda item: (item.slow, item.known_at, item.name),
        )
        gone = {item.name for item in light}
        for name in gone:
            del self.items[name]
        for pairs in (self.near, self.order_pairs, self.path_pairs):
            pairs.forget(gone)

    def _order(
        self, basket: Sequence[str], had: Sequence[str], days: Sequence[float],
        viewed: Sequence[str], at: int,
    ) -> None:  # fmt: skip
        slow, fast = self.slow.lead(at), self.fast.lead(at)
        self.orders += 1
        for name in basket:
            item = self._item(name, at)
            item.sold += 1
            item.slow += slow
            item.fast += fast
            self._wanted(item, fast)
        again = set(basket)
        for name in had:
            self.chances += 1.0
            self.again += name in again
            if (known := self.items.get(name)) is not None:
                known.chances += 1.0
                known.again += name in again
        share = slow / len(basket)
        self._pair(self.order_pairs, basket, basket, [share] * len(basket))
        root = math.sqrt(len(basket))
        ages = [0.5 ** (age / HAD_HALF_LIFE_DAYS) for age in days]
        if had and (norm := math.sqrt(math.fsum(age * age for age in ages))):
            ways = [slow * age / (norm * root) for age in ages]
            self._pair(self.path_pairs, had, basket, ways)
        if viewed:
            share = slow / (math.sqrt(len(viewed)) * root)
            self._pair(self.path_pairs, viewed, basket, [share] * len(viewed))

    def _pair(
        self,
        pairs: Neighbours,
        names: Sequence[str],
        others: Sequence[str],
        weights: Sequence[float],
    ) -> None:
        """Each name leads to all the others; one that is not known (any more) to none."""
        known = [
            (name, weight)
            for name, weight in zip(names, weights, strict=True)
            if name in self.items
        ]
        some, ways = [name for name, _ in known], [weight for _, weight in known]
        for table in (self.near, pairs):
            table.total(some, others, ways)
            for name, weight in known:
                table.add(name, others, weight)

    def _visit(self, viewed: Sequence[str], at: int) -> None:
        """What was looked at in one visit: near to each other, most to what came next."""
        slow, fast = self.slow.lead(at), self.fast.lead(at)
        for name in viewed:
            item = self._item(name, at)
            item.slow += slow * LOOK
            item.fast += fast * LOOK
            self._wanted(item, fast * LOOK)
        share = slow / len(viewed)
        for place, name in enumerate(viewed):
            self._pair(self.path_pairs, [name], viewed[place + 1 :], [share])
            self._pair(self.path_pairs, [name], viewed[:place], [share * BACKWARD])

    def _wanted(self, item: Item, weight: float) -> None:
        """Count it among what is trending, and in its category."""
        self.trending[""].add(item.name, weight)
        if not (category := item.category):
            return
        if gone := self._categories.add(category, weight):
            self.trending.pop(gone, None)
        if category not in self.trending:
            self.trending[category] = Heavy(TRENDING_MAX)
        self.trending[category].add(item.name, weight)

    def _about(self, example: Mapping[str, Any], at: int) -> None:
        item = self._item(str(example["item"]), at)
        if "stock" in example:
            item.out = not int(example["stock"]) > 0
            self._stock_told = True
        if example.get("launched"):
            item.launched, item.out = at, False
            self._made_at = -1  # it is in no table yet

    def _try(self, basket: Sequence[str], had: Sequence[str], days: Sequence[float]) -> None:
        """Whether a list of 20 from what is known so far has something of the order."""
        scores: dict[str, float] = {}
        floor = FLOOR * self.slow.lead(self.at)
        for name, age in list(zip(had, days, strict=True))[-TRIED_SEEDS:]:
            weight = 0.5 ** (age / HAD_HALF_LIFE_DAYS)
            for other, near in self.near.nearest(name, PUBLISHED_NEAR, floor):
                scores[other] = scores.get(other, 0.0) + weight * near
        top = heapq.nlargest(SHOWN, scores.values())
        mean = math.fsum(top) / len(top) if top else 1.0
        shown = {name: score / mean for name, score in scores.items()} if mean else {}
        for name, age in zip(had, days, strict=True):
            if (item := self.items.get(name)) is not None:
                own = self.rebuy(item) * 0.5 ** (age / 90.0)
                shown[name] = shown.get(name, 0.0) + own
        best = heapq.nlargest(SHOWN, shown, key=lambda name: (shown[name], name))
        common = self.trending[""].ranked()[:SHOWN]
        wanted = set(basket)
        self.tries = self.tries * RECENT + 1.0
        self.hits = self.hits * RECENT + bool(wanted.intersection(best))
        self.base_hits = self.base_hits * RECENT + bool(wanted.intersection(common))

    def metrics(self) -> dict[str, float]:
        """Progressive: of the orders of who bought before, about the last 200 tried, one in 50.

        hit_rate is how often a list of 20 had something of the order, base_hit_rate how often what
        is trending had.
        """
        if not self.tries:
            return {}
        return {
            "hit_rate": self.hits / self.tries,
            "base_hit_rate": self.base_hits / self.tries,
            "rebuy_rate": self.again / self.chances if self.chances else 0.0,
            "items": float(len(self.items)),
        }

    def weights(self) -> dict[str, Any]:
        """What Scorer reads; made anew once enough was learned, or a product is launched.

        What is out of stock is as of now: what cannot be had is not to be shown for long.
        """
        if not self.items:
            return {}
        fresh = self.examples - self._made_at
        if not self._made or self._made_at < 0 or fresh >= max(AGAIN_FEWER, self.examples // 50):
            self._made, self._made_at = self.made(), self.examples
        elif self._stock_told:
            self._made = {**self._made, "out": self.out_of(self._made["names"])}
        self._stock_told = False
        return self._made

    def state(self) -> dict[str, Any]:
        """See `model.Learner`. Lists keep the order, on which ties and sums rest."""
        return {
            "model": MODEL,
            "examples": self.examples,
            "orders": self.orders,
            "figures": [self.tries, self.hits, self.base_hits],
            "rebuys": [self.chances, self.again],
            "at": self.at,
            "landmarks": [self.slow.landmark, self.fast.landmark],
            "items": [msgspec.to_builtins(item) for item in self.items.values()],
            "near": self.near.state(list(self.items)),
            "order_pairs": self.order_pairs.state(list(self.items)),
            "path_pairs": self.path_pairs.state(list(self.items)),
            "trending": [[of, *heavy.state()] for of, heavy in self.trending.items()],
            "categories": self._categories.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was."""
        if state.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {state.get('model')!r}")
        learner = cls()
        learner.examples, learner.orders = int(state["examples"]), int(state["orders"])
        learner.tries, learner.hits, learner.base_hits = map(float, state["figures"])
        learner.chances, learner.again = map(float, state["rebuys"])
        learner.at = int(state["at"])
        learner.slow.landmark, learner.fast.landmark = map(int, state["landmarks"])
        items = msgspec.convert(state["items"], list[Item])
        learner.items = {item.name: item for item in items}
        names = list(learner.items)
        learner.near = Neighbours.restore(NEAR, state["near"], names)
        learner.order_pairs = Neighbours.restore(FEW, state["order_pairs"], names)
        learner.path_pairs = Neighbours.restore(FEW, state["path_pairs"], names)
        learner.trending = {
            str(of): Heavy.restore(TRENDING_MAX, pairs) for of, *pairs in state["trending"]
        }
        learner._categories = Heavy.restore(CATEGORIES_MAX, state["categories"])
        return learner


def _names(example: Mapping[str, Any], part: str, most: int) -> list[str]:
    """The last different ids of a list; TypeError or ValueError on what is none."""
    found = example.get(part, [])
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        raise TypeError(f"{part}: expected a list of product ids")
    return list(dict.fromkeys(found))[-most:]
