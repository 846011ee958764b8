"""How much a coupon raises his chance to buy, a message his chance to visit: inputs and score.

Must live here: what the worker needs, by plain weights. Must not: River (uplift_learner.py
learns), who was held out (engine/persuasion.py). It tells who is persuaded, not who comes anyway.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.catalog import FEATURES
from features.customer import Customer

COUPON: Final = "uplift_coupon"
VISIT: Final = "uplift_visit"
INPUTS: Final[tuple[str, ...]] = (
    "visits.count",
    "visits.days_since_last",
    "windows.views_24h",
    "windows.views_7d",
    "windows.adds_24h",
    "windows.searches_7d",
    "cart.value",
    "cart.idle_hours",
    "orders.count",
    "orders.average",
    "orders.days_since_last",
    "orders.refunds",
    "coupons.redeemed",
    "coupons.unused",
    "messages.opened",
    "messages.clicked",
    "messages.days_since_opened",
    "member.days_since_joined",
)
_TIMES: Final = frozenset(("minutes", "hours", "days"))
_READERS: Final = tuple(
    (FEATURES[name].facet, FEATURES[name].read, FEATURES[name].unit in _TIMES) for name in INPUTS
)


def vector(customer: Customer, now: int) -> list[float]:
    """The inputs at `now` (ms), all finite: a time as 1 / (1 + it), the rest as log(1 + it)."""
    peek = customer.states.peek
    found: list[float] = []
    for facet, read, is_time in _READERS:
        value = read(peek(facet), now)
        if not value >= 0:  # missing (nan): never, or nothing
            found.append(0.0)
        else:
            found.append(1.0 / (1.0 + value) if is_time else math.log1p(value))
    return found


class Scorer:
    """The effect as a linear function of the inputs: the average, and what he is above it.

    Weights are taken by name, so that a snapshot of other inputs scores by those both know.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        if weights.get("model") not in {COUPON, VISIT}:
            raise ValueError(f"model: expected an uplift, got {weights.get('model')!r}")
        self.weights = [float(weights["weights"].get(name, 0.0)) for name in INPUTS]
        self.intercept = float(weights["intercept"])
        if not all(map(math.isfinite, (*self.weights, self.intercept))):
            raise ValueError("weights and intercept: expected finite numbers")

    def score(self, inputs: Sequence[float]) -> float:
        """What being treated adds to his chance, -1 to 1."""
        found = self.intercept
        for weight, value in zip(self.weights, inputs, strict=True):
            found += weight * value
        return min(1.0, max(-1.0, found))
