"""Which products suit a customer: his tastes, and the scorer of the tables that the learner made.

Must live here: what the worker needs, by plain weights. Must not: learning (recommend_learner.py),
which kind a rule or a call asks for (engine/recommending.py).

A product's worth to a customer is what his own tastes lead to, plus what he buys anyway:

    spread = sum over his tastes i: taste[i] * near[i][product]
    again  = orders he bought it in * 0.5 ** (days / 120) * rebuy[product]
    worth  = (again + spread + 0.4 * popular[product]) * (1 - returned[product])

Spread and popular (orders lately) are each over the mean of their 20 highest.
`near` is co-occurrence over the roots of both products' totals, so that what everybody buys is not
near to everything, times how much more it is bought lately (see the learner). `rebuy` is 1.5 times
how often those who have a product buy it again, over the shop's mean. A product that is hardly ever
bought twice (a lamp) is not shown to who has it; one that is (coffee) is: the product's own rate
decides, not the shop.
"""

import base64
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from features.customer import Customer
from features.fold import DAY_MS, HOUR_MS, short

MODEL: Final = "recommend"
Bought = Literal["learned", "never", "always"]  # whether who has a product is shown it
REBUY_MIN: Final = 0.02  # of later orders: what is bought again less often is not shown to owners
TASTE_HALF_LIFE_MS: Final = 60 * DAY_MS
AGAIN_HALF_LIFE_MS: Final = 120 * DAY_MS
LOOK_HALF_LIFE_MS: Final = 12 * HOUR_MS
LOOKED: Final = 1.0
WISHED: Final = 2.0
ADDED: Final = 3.0
TOP: Final = 20
POPULAR: Final = 0.4
NEW_EVERY: Final = 10  # of so many places one is kept for a new product of what he likes
CATEGORY_SHARE: Final = 0.5  # of the places, at most so many go to one category

Floats = npt.NDArray[np.float64]


class Taste(NamedTuple):
    """What a customer is to this model, by product id."""

    seeds: dict[str, float]  # what he bought, looked at, wished for, has in his cart
    again: dict[str, float]  # what he bought and kept, by how often and how lately
    owned: frozenset[str]  # what he bought, as far as it is remembered
    barred: frozenset[str]  # what is in his cart, and what he gave back
    categories: tuple[str, ...]  # those he is drawn to, the strongest first
    brands: tuple[str, ...]


def taste(customer: Customer, now: int) -> Taste:
    """What the customer's facets say at `now` (ms)."""
    states = customer.states
    seeds: dict[str, float] = {}
    again: dict[str, float] = {}
    back = []
    for name, (times, last) in states["bought"].products.items():
        if not times:
            back.append(name)
            continue
        age = max(0, now - last)
        seeds[name] = times * 0.5 ** (age / TASTE_HALF_LIFE_MS)
        again[name] = times * 0.5 ** (age / AGAIN_HALF_LIFE_MS)
    for name, times in states["products"].viewed.items():
        age = max(0, now - times[-1])
        seeds[name] = seeds.get(name, 0.0) + LOOKED * 0.5 ** (age / LOOK_HALF_LIFE_MS)
    for name in states["favourites"].products:
        seeds[name] = seeds.get(name, 0.0) + WISHED
    cart = states["cart"].lines
    for name in cart:
        seeds[name] = seeds.get(name, 0.0) + ADDED
    liked = states["affinity"]
    return Taste(
        seeds, again, frozenset(again), frozenset((*cart, *back)),
        _ranked(liked.categories), _ranked(liked.brands),
    )  # fmt: skip


def _ranked(weights: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(weights, key=lambda name: (-weights[name], name)))


class Scorer:
    """The learner's tables, as published: who stands near whom, and each product's own numbers."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        if weights.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {weights.get('model')!r}")
        self.names: list[str] = [str(name) for name in weights["names"]]
        self.index: dict[str, int] = {name: place for place, name in enumerate(self.names)}
        many = len(self.names)
        self.categories: list[str] = _texts(weights, "categories", many)
        self.brands: list[str] = _texts(weights, "brands", many)
        self._popular = POPULAR * _numbers(weights["popular"], many)
        self._rebuy = _numbers(weights["rebuy"], many)
        self._returned = _numbers(weights["returned"], many)
        self._again_rate = _numbers(weights["again_rate"], many)
        self._out = frozenset(int(place) for place in weights["out"])
        self._new: list[int] = [int(place) for place in weights["new"]]
        self.trending: dict[str, list[str]] = {
            str(of): [str(name) for name in names] for of, names in weights["trending"].items()
        }
        self._near = _Near(weights["near"], many)
        self._together = _Near(weights["together"], many)
        self._alike = _Near(weights["alike"], many)

    def knows(self, name: str) -> bool:
        """Whether a product's category and brand are known here."""
        place = self.index.get(name)
        return place is not None and bool(self.categories[place] or self.brands[place])

    def for_you(
        self, his: Taste, many: int, *, bought: Bought = "learned", diverse: bool = True
    ) -> list[str]:
        """The products worth most to him, the best first; what is lacking is what is trending.

        `bought`: "learned" by the product's own rate of being bought again, "never", "always".
        """
        worth = self._worth(his)
        barred = self._barred(his, bought)
        order = np.argsort(-worth, kind="stable")[: many * 4 + len(barred)]
        best = [self.names[place] for place in order.tolist() if worth[place] > 0]
        found = self._picked(best, many, barred, diverse=diverse)
        self._make_room_for_new(found, his, many, barred)
        return self._filled(found, his, many, barred, diverse=diverse)

    def near(
        self,
        kind: str,
        anchors: Iterable[str],
        his: Taste,
        many: int,
        *,
        bought: Bought = "learned",
    ) -> list[str]:
        """What goes with the anchors (`together`) or in place of them (`similar`).

        An anchor that nobody looked at or bought yet stands for its category and brand.
        """
        near = self._together if kind == "together" else self._alike
        about = [self.index[name] for name in anchors if name in self.index]
        total = near.spread([(place, 1.0) for place in about]) * (1.0 - self._returned)
        barred = self._barred(his, bought) | {self.names[place] for place in about}
        order = np.argsort(-total, kind="stable")[: many * 2 + len(barred)]
        best = [self.names[place] for place in order.tolist() if total[place] > 0]
        found = self._picked(best, many, barred, diverse=False)
        for place in about:
            self._fill(found, self._of_kind(place), many, barred)
        return found

    def trending_for(
        self, his: Taste, many: int, category: str = "", *, bought: Bought = "learned"
    ) -> list[str]:
        """What is wanted most now: of a category, else of those he likes and then of all."""
        barred = self._barred(his, bought)
        if category:
            found: list[str] = []
            self._fill(found, self.trending.get(category, ()), many, barred)
            return found
        return self._filled([], his, many, barred, diverse=True)

    def ranked(self, his: Taste, candidates: Sequence[str]) -> list[tuple[str, float]]:
        """The candidates in his order with their worth; unknown and equal ones stay as they came.

        Beside his worth for a product, its category and brand count: so new ones have their place.
        """
        worth = self._worth(his)
        top = max(float(worth.max(initial=0.0)), 1.0)
        barred = {*his.barred} - {*his.again}
        scores = []
        for name in candidates:
            place = self.index.get(short(name))
            if place is None:
                scores.append(0.0)
                continue
            score = float(worth[place]) / top + 0.2 * self._liking(place, his)
            poor = place in self._out or name in barred
            scores.append(score - 2.0 if poor else score)
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        return [(candidates[at], round(scores[at], 6)) for at in order]

    def _liking(self, place: int, his: Taste) -> float:
        found = 0.0
        for liked, own in (
            (his.categories, self.categories[place]),
            (his.brands, self.brands[place]),
        ):
            if own and own in liked:
                found += 1.0 / (1.0 + liked.index(own))
        return found

    def _worth(self, his: Taste) -> Floats:
        places = ((self.index.get(name), weight) for name, weight in his.seeds.items())
        total = self._near.spread([(at, weight) for at, weight in places if at is not None])
        if (top := min(TOP, len(total))) and (highest := np.partition(total, -top)[-top:].mean()):
            total = total / highest + self._popular
        for name, weight in his.again.items():
            if (at := self.index.get(name)) is not None:
                total[at] += weight * self._rebuy[at]
        total *= 1.0 - self._returned
        return total

    def _barred(self, his: Taste, bought: Bought) -> set[str]:
        """What is not to be shown to him: in his cart, given back, had enough of, out of stock."""
        barred = {*his.barred, *(self.names[place] for place in self._out)}
        if bought != "always":
            barred.update(name for name in his.owned if bought == "never" or self._lasts(name))
        return barred

    def _lasts(self, name: str) -> bool:
        place = self.index.get(name)
        return place is None or bool(self._again_rate[place] < REBUY_MIN)

    def _picked(
        self, best: Iterable[str], many: int, barred: Collection[str], *, diverse: bool
    ) -> list[str]:
        """The best, but no more of one category than its share while there are others."""
        most = max(1, math.ceil(many * CATEGORY_SHARE)) if diverse and many > 2 else many
        found, over, count = list[str](), list[str](), dict[str, int]()
        for name in best:
            if len(found) == many:
                break
            if name in barred:
                continue
            category = self.categories[self.index[name]]
            if category and count.get(category, 0) >= most:
                over.append(name)
                continue
            count[category] = count.get(category, 0) + 1
            found.append(name)
        return found + over[: many - len(found)]

    def _make_room_for_new(
        self, found: list[str], his: Taste, many: int, barred: Collection[str]
    ) -> None:
        """The last of every ten places goes to a new product of what he likes, if there is one."""
        liked = [(self._liking(place, his), -place) for place in self._new]
        fresh = [
            self.names[-place] for liking, place in sorted(liked, reverse=True)
            if liking and self.names[-place] not in barred and self.names[-place] not in found
        ]  # fmt: skip
        for name in fresh[: many // NEW_EVERY]:
            if len(found) == many:
                found.pop()
            found.append(name)

    def _filled(
        self, found: list[str], his: Taste, many: int, barred: Collection[str], *, diverse: bool
    ) -> list[str]:
        """With what is trending in his categories, two of each at first, then of all."""
        if diverse:
            for category in his.categories:
                names = [name for name in self.trending.get(category, ()) if name not in found]
                self._fill(found, names[:2], many, barred)
        self._fill(found, self.trending.get("", ()), many, barred)
        return found

    @staticmethod
    def _fill(found: list[str], names: Iterable[str], many: int, barred: Collection[str]) -> None:
        for name in names:
            if len(found) >= many:
                return
            if name not in barred and name not in found:
                found.append(name)

    def _of_kind(self, place: int) -> list[str]:
        """What is trending in the product's category, its own brand first."""
        names = self.trending.get(self.categories[place], ()) if self.categories[place] else ()
        brand = self.brands[place]
        known = self.index
        return sorted(
            names,
            key=lambda name: not brand or name not in known or self.brands[known[name]] != brand,
        )


class _Near:
    """Rows of neighbours, one a product: places and weights, laid end to end."""

    def __init__(self, packed: Mapping[str, str], many: int) -> None:
        counts = unpack(packed["counts"], "<u2")
        self._places = unpack(packed["places"], "<u2")
        self._weights = unpack(packed["weights"], "<f4")
        ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        if len(counts) != many or not ends[-1] == len(self._places) == len(self._weights):
            raise ValueError("neighbours: expected a row a product, of places and weights")
        if len(self._places) and int(self._places.max()) >= many:
            raise ValueError(f"neighbours: expected places below {many}")
        self._ends: list[int] = ends.tolist()
        self._many = many

    def spread(self, seeds: Sequence[tuple[int, float]]) -> Floats:
        """What is near to the seeds, by how near, over all products."""
        ends = self._ends
        cuts = [(ends[place], ends[place + 1], weight) for place, weight in seeds]
        if not cuts:
            return np.zeros(self._many)
        return np.bincount(
            np.concatenate([self._places[first:last] for first, last, _ in cuts]),
            np.concatenate([self._weights[first:last] * weight for first, last, weight in cuts]),
            self._many,
        ).astype(np.float64, copy=False)  # of nothing it would be whole numbers


def pack(numbers: Iterable[float], kind: str) -> str:
    """Numbers as text: base64 of their little-endian bytes."""
    return base64.b64encode(np.asarray(list(numbers), dtype=kind).tobytes()).decode()


def unpack(text: str, kind: str) -> npt.NDArray[Any]:
    """The numbers again; ValueError on what is none."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=kind)


def _numbers(text: str, many: int) -> Floats:
    found = unpack(text, "<f4").astype(np.float64)
    if len(found) != many or not np.isfinite(found).all():
        raise ValueError(f"expected {many} finite numbers")
    return found


def _texts(weights: Mapping[str, Any], part: str, many: int) -> list[str]:
    """Texts by their number in a list of different ones."""
    words, numbers = weights[part]["words"], unpack(weights[part]["of"], "<u2")
    if len(numbers) != many:
        raise ValueError(f"{part}: expected {many}")
    return [str(words[number]) for number in numbers.tolist()]
