"""Weights of pairs of names, of each name the nearest only: how a product leads to others.

Must live here: the bounded table. Must not: what a pair is. A row of over `full` is cut to the
`most` nearest: by weight over the root of what leads to the other in all (inverse popularity), for
what everybody buys is near to nothing.
"""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self

from features.models.recommend import pack, unpack

_EVEN: Final[Mapping[str, float]] = {}


class Neighbours:
    """Directed pairs; `out` and `into` are each name's totals, cut pairs included."""

    def __init__(self, most: int, full: int) -> None:
        self.most = most
        self.full = full
        self.rows: dict[str, dict[str, float]] = {}
        self.out: dict[str, float] = {}
        self.into: dict[str, float] = {}

    def add(self, name: str, others: Sequence[str], weight: float) -> None:
        """Add weight to the pairs of a name with each of the others but itself; see `total`."""
        row = self.rows.get(name)
        if row is None:
            row = self.rows[name] = {}
        get = row.get
        for other in others:
            row[other] = get(other, 0.0) + weight
        row.pop(name, None)
        if len(row) > self.full:
            self._cut(name, row)

    def total(self, names: Sequence[str], others: Sequence[str], weights: Sequence[float]) -> None:
        """Note what `add` is told of each of the names: what leads out of it, and into the others.

        Once for all of them: pair by pair it would cost as much again.
        """
        out, into, whole = self.out, self.into, math.fsum(weights)
        own = dict(zip(names, weights, strict=True))
        held = set(others)
        for name, weight in own.items():
            out[name] = out.get(name, 0.0) + weight * (len(others) - (name in held))
        for other in others:
            into[other] = into.get(other, 0.0) + whole - own.get(other, 0.0)

    def _cut(self, name: str, row: dict[str, float]) -> None:
        into, most = self.into, self.most
        nearness = [weight * weight / (into[other] or 1.0) for other, weight in row.items()]
        least = sorted(nearness)[-most]
        both = list(zip(row.items(), nearness, strict=True))
        kept = dict(pair for pair, near in both if near > least)
        equal = (pair for pair, near in both if near == least)
        self.rows[name] = kept | dict(islice(equal, most - len(kept)))

    def nearest(
        self, name: str, many: int, floor: float, favour: Mapping[str, float] = _EVEN
    ) -> list[tuple[str, float]]:
        """The nearest by weight over the roots of both totals, each with `floor` more.

        What is favoured counts so many times as much.
        """
        row, into = self.rows.get(name, {}), self.into
        mine = math.sqrt(self.out.get(name, 0.0) + floor)
        scored = (
            (weight * favour.get(other, 1.0) / (mine * math.sqrt(into[other] + floor)), other)
            for other, weight in row.items()
        )
        return [(other, score) for score, other in heapq.nlargest(many, scored)]

    def scale(self, factor: float) -> None:
        """Multiply all weights."""
        for table in (*self.rows.values(), self.out, self.into):
            for name in table:
                table[name] *= factor

    def forget(self, gone: Collection[str]) -> None:
        """Leave names out, wherever they stand."""
        for table in (self.rows, self.out, self.into):
            for name in gone:
                table.pop(name, None)
        for name, row in self.rows.items():
            if not row.keys().isdisjoint(gone):
                self.rows[name] = {other: row[other] for other in row if other not in gone}

    def state(self, names: Sequence[str]) -> dict[str, Any]:
        """As plain JSON: numbers of `names`, and base64 of little-endian doubles."""
        number = {name: at for at, name in enumerate(names)}
        return {
            "rows": [
                [
                    number[name],
                    pack((number[other] for other in row), "<u2"),
                    pack(row.values(), "<f8"),
                ]
                for name, row in self.rows.items()
            ],
            "out": _table(self.out, number),
            "into": _table(self.into, number),
        }

    @classmethod
    def restore(
        cls, bounds: tuple[int, int], state: Mapping[str, Any], names: Sequence[str]
    ) -> Self:
        """As it was; LookupError, ValueError or TypeError on what is none."""
        found = cls(*bounds)
        for name, others, weights in state["rows"]:
            found.rows[names[name]] = _pairs(others, weights, names)
        (out, out_weights), (into, into_weights) = state["out"], state["into"]
        found.out = _pairs(out, out_weights, names)
        found.into = _pairs(into, into_weights, names)
        return found


def _table(weights: Mapping[str, float], number: Mapping[str, int]) -> list[str]:
    return [pack((number[name] for name in weights), "<u2"), pack(weights.values(), "<f8")]


def _pairs(others: str, weights: str, names: Sequence[str]) -> dict[str, float]:
    places, found = unpack(others, "<u2").tolist(), unpack(weights, "<f8").tolist()
    if not all(map(math.isfinite, found)):
        raise ValueError("neighbours: expected finite weights")
    return {names[place]: weight for place, weight in zip(places, found, strict=True)}
