"""How unlike the shop's other buyers he orders: the inputs, and Half-Space Trees as plain numbers.

Must live here: what the worker needs. Must not: River (anomaly_learner.py learns). The inputs are
what stands of his last orders, so that the score is the same between two of them. The score is a
rank: .99 is stranger than 99 of 100 orders the model has seen; strange is not yet bad.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features import risk
from features.customer import Customer

MODEL: Final = "risk_anomaly"
# A name, and what counts as most of it: the input is log(1 + it) / log(1 + most), 0 to 1.
_COUNTS: Final = {
    "orders": 20.0, "coupon_returns": 5.0, "burst": 8.0, "fast": 5.0, "after_review": 3.0,
    "merchant_orders": 20.0, "devices": 8.0, "addresses": 8.0, "payments": 8.0,
    "neighbours": 8.0, "referrals": 16.0, "ring": 2.0, "own_referrals": 2.0,
}  # fmt: skip
INPUTS: Final[tuple[str, ...]] = ("coupon_share", "blind_share", "spent", *_COUNTS)
SPENT_MOST: Final = 100_000.0
DIGITS: Final = 4


def vector(customer: Customer) -> list[float] | None:
    """The inputs as of his last order, each 0 to 1; None before the first."""
    facts = risk.facts(customer.states["risk"])
    if not facts["orders"]:
        return None
    orders = customer.states["orders"]
    spent = orders.total / 100 / orders.count if orders.count else 0.0
    return [
        round(facts["coupon_share"], DIGITS),
        round(facts["blind"] / facts["orders"], DIGITS),
        _part(spent, SPENT_MOST),
        *[parts[int(facts[name])] for name, parts in _PARTS],
    ]


def _part(value: float, most: float) -> float:
    return round(min(1.0, math.log1p(max(0.0, value)) / math.log1p(most)), DIGITS)


_PARTS: Final = [
    (name, [_part(count, most) for count in range(risk.ORDERS_MAX + 1)])
    for name, most in _COUNTS.items()
]


class Scorer:
    """Whole binary trees in lists: the children of node i are 2i + 1 and 2i + 2."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        if weights.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {weights.get('model')!r}")
        inputs, self._window = weights["inputs"], float(weights["window"])
        places = [INPUTS.index(name) for name in inputs]
        inner = 2 ** int(weights["height"]) - 1
        self._trees: list[tuple[list[int], list[float], list[float]]] = []
        for features, thresholds, masses in weights["trees"]:
            if (len(features), len(thresholds), len(masses)) != (inner, inner, 2 * inner + 1):
                raise ValueError(f"trees: expected {inner} inner nodes each")
            at = [places[one] for one in features]
            self._trees.append((at, [float(one) for one in thresholds], list(map(float, masses))))
        self._inner = inner
        self._ranks = [float(one) for one in weights["ranks"]]
        if not self._trees or not self._ranks or self._ranks != sorted(self._ranks):
            raise ValueError("trees and ranks: expected some, the ranks in order")

    def score(self, inputs: Sequence[float]) -> float:
        """The share of orders seen that were less strange, 0 to 1."""
        return bisect_left(self._ranks, self.strangeness(inputs)) / len(self._ranks)

    def strangeness(self, inputs: Sequence[float]) -> float:
        """As River's HalfSpaceTrees has it: the less mass where he falls, the nearer to 1."""
        limit, mass = 0.1 * self._window, 0.0
        for features, thresholds, masses in self._trees:
            node, deep = 0, 1
            while True:
                mass += masses[node] * deep
                if node >= self._inner or masses[node] < limit:
                    break
                node = 2 * node + (1 if inputs[features[node]] < thresholds[node] else 2)
                deep *= 2
        most: float = len(self._trees) * self._window * (2 * self._inner + 1)
        return 1.0 - mass / most
