"""What is known of products and pairs of them, and what of it is published.

Must live here: the tables, each product's own numbers, what Scorer reads. Must not: learning
(recommend_learner.py), choosing (recommend.py).
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from features.fold import DAY_MS
from features.models.heavy import Decay, Heavy
from features.models.neighbours import Neighbours
from features.models.recommend import MODEL, TOP, pack

PUBLISHED_NEAR: Final = 50
PUBLISHED_FEW: Final = 16  # of each of `together` and `alike`
TRENDING_MAX: Final = 64
SHOWN_TRENDING: Final = 30
SLOW_MS: Final = 90 * DAY_MS
FAST_MS: Final = 7 * DAY_MS
NEW_MS: Final = 14 * DAY_MS
NEW_SOLD_MAX: Final = 5
NEW_MAX: Final = 200
NEAR: Final = (128, 256)  # neighbours a product keeps, and may have in between
FEW: Final = (24, 72)
FLOOR: Final = 0.3  # of an order, added to all totals: one order alone makes no neighbour
TREND_POWER: Final = 0.25
AGAIN: Final = 1.5  # what one order of a product of the usual rate counts beside the nearest
PRIOR: Final = 3.0  # of later orders, by which a product's own rate is drawn to the shop's


class Item(msgspec.Struct, array_like=True):
    """A product: what is said of it, and what it came to."""

    name: str
    category: str = ""
    brand: str = ""
    known_at: int = 0
    sold: int = 0
    returned: int = 0
    fast: float = 0.0  # orders lately, as of the fast landmark
    slow: float = 0.0
    chances: float = 0.0  # later orders of those who had it
    again: float = 0.0  # those of them that had it again
    out: bool = False
    launched: int = 0


class Tables:
    """The tables, and what follows from them."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.near = Neighbours(*NEAR)  # both of these
        self.order_pairs = Neighbours(*FEW)  # of one order
        self.path_pairs = Neighbours(*FEW)  # from what he had or looked at
        self.trending: dict[str, Heavy] = {"": Heavy(TRENDING_MAX)}
        self.slow = Decay(SLOW_MS)
        self.fast = Decay(FAST_MS)
        self.at = 0
        self.chances = 0.0  # later orders of those who had a product, over all products
        self.again = 0.0  # those that had it again

    def rebuy(self, item: Item) -> float:
        """How much buying it before counts: its rate of being bought again, over the shop's."""
        mean = self.again / self.chances if self.chances else 0.0
        return AGAIN * self.rate(item) / mean if mean else 0.0

    def rate(self, item: Item) -> float:
        """How often those who have the product buy it again, of their later orders."""
        mean = self.again / self.chances if self.chances else 0.0
        return (item.again + PRIOR * mean) / (item.chances + PRIOR)

    def out_of(self, names: Iterable[str]) -> list[int]:
        """The places of those names that are out of stock."""
        items = self.items
        return [at for at, name in enumerate(names) if name in items and items[name].out]

    def made(self) -> dict[str, Any]:
        """What Scorer reads, as plain JSON."""
        items = list(self.items.values())
        place = {item.name: at for at, item in enumerate(items)}
        slow, fast = self.slow.lead(self.at), self.fast.lead(self.at)
        unit = FLOOR * slow
        heat = [(item.fast / fast + 1.0) / (item.slow / slow + 5.0) for item in items]
        middle = sorted(heat)[len(heat) // 2]
        top = heapq.nlargest(TOP, (item.fast for item in items))
        most = math.fsum(top) / len(top) or 1.0
        trend = {
            item.name: (one / middle) ** TREND_POWER for item, one in zip(items, heat, strict=True)
        }
        trending = {
            category: [name for name in heavy.ranked()[:SHOWN_TRENDING] if name in place]
            for category, heavy in self.trending.items()
        }
        new = [
            at for at, item in enumerate(items)
            if self.at - (item.launched or item.known_at) <= NEW_MS and item.sold < NEW_SOLD_MAX
            and (item.category or item.brand) and item.launched
        ]  # fmt: skip
        return {
            "model": MODEL,
            "names": [item.name for item in items],
            "categories": _words([item.category for item in items]),
            "brands": _words([item.brand for item in items]),
            "popular": pack([item.fast / most for item in items], "<f4"),
            "rebuy": pack([self.rebuy(item) for item in items], "<f4"),
            "again_rate": pack([self.rate(item) if self.again else 0.0 for item in items], "<f4"),
            "returned": pack(
                [min(0.9, item.returned / (item.sold + 10.0)) for item in items], "<f4"
            ),
            "out": self.out_of(place),
            "new": new[-NEW_MAX:],
            "trending": trending,
            "near": _rows(
                [self.near.nearest(item.name, PUBLISHED_NEAR, unit, trend) for item in items], place
            ),
            "together": _rows(
                [self.order_pairs.nearest(item.name, PUBLISHED_FEW, unit) for item in items], place
            ),
            "alike": _rows(
                [self.path_pairs.nearest(item.name, PUBLISHED_FEW, unit) for item in items], place
            ),
        }


def _words(texts: Sequence[str]) -> dict[str, Any]:
    words = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return {"words": list(words), "of": pack([words[text] for text in texts], "<u2")}


def _rows(rows: Sequence[Iterable[tuple[str, float]]], place: Mapping[str, int]) -> dict[str, str]:
    known = [[(place[name], weight) for name, weight in row if name in place] for row in rows]
    return {
        "counts": pack([len(row) for row in known], "<u2"),
        "places": pack([at for row in known for at, _ in row], "<u2"),
        "weights": pack([weight for row in known for _, weight in row], "<f4"),
    }
