"""How likely a customer is to pay for something within 24 hours: the inputs and the score.

Must live here: what the worker needs, by plain weights. Must not: River (purchase_learner.py
learns), where examples come from or snapshots go.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log1p
from typing import Any, Final

from features.catalog import FEATURES
from features.customer import Customer

MODEL: Final = "purchase_24h"
INPUTS: Final[tuple[str, ...]] = (
    "visits.count",
    "visits.session_views",
    "windows.views_1h",
    "windows.views_24h",
    "windows.views_7d",
    "windows.adds_24h",
    "windows.searches_24h",
    "products.most_views_24h",
    "cart.value",
    "cart.items",
    "cart.idle_hours",
    "orders.count",
    "orders.days_since_last",
)

Reader = tuple[str, Callable[[Any, int], Any], bool]  # facet, how it is read, a length of time?


def readers(names: Sequence[str]) -> tuple[Reader, ...]:
    """How `scaled` reads these features."""
    found = [FEATURES[name] for name in names]
    return tuple((one.facet, one.read, one.unit in {"minutes", "hours", "days"}) for one in found)


def scaled(asked: Iterable[Reader], customer: Customer, now: int) -> list[float]:
    """The features at `now` (ms), all finite.

    A length of time enters as 1 / (1 + time), so that never (missing) is 0, infinitely long ago;
    everything else as log(1 + value), missing as 0. One loop without calls of its own: every
    example that is opened comes by here.
    """
    states, found = customer.states, list[float]()
    for facet, read, is_time in asked:
        value = read(states[facet], now)
        if not value >= 0:  # missing (nan), or below what any of these can be
            found.append(0.0)
        else:
            found.append(1.0 / (1.0 + value) if is_time else log1p(value))
    return found


_READERS: Final = readers(INPUTS)


def vector(customer: Customer, now: int) -> list[float]:
    """The inputs of the customer at `now` (ms), in the order of INPUTS."""
    return scaled(_READERS, customer, now)


def sigmoid(logit: float) -> float:
    """The probability of a logit, without overflow."""
    if logit < 0:
        odds = math.exp(max(logit, -700.0))
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(-min(logit, 700.0)))


class Scorer:
    """The model as plain weights: standardising is folded into them.

    Weights are taken by name, so that a snapshot of other inputs scores by those both know.
    """

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        if snapshot.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {snapshot.get('model')!r}")
        weights, means, variances = (snapshot[part] for part in ("weights", "means", "variances"))
        self.weights: list[float] = [
            weights[name] / math.sqrt(variances[name])
            if name in weights and variances.get(name, 0.0) > 0
            else 0.0
            for name in INPUTS
        ]
        self.intercept: float = snapshot["intercept"] - math.fsum(
            weight * means.get(name, 0.0) for name, weight in zip(INPUTS, self.weights, strict=True)
        )
        if not all(map(math.isfinite, (*self.weights, self.intercept))):
            raise ValueError("weights and intercept: expected finite numbers")

    def score(self, inputs: Sequence[float]) -> float:
        """The probability of paying within 24 hours."""
        logit = self.intercept
        for weight, value in zip(self.weights, inputs, strict=True):
            logit += weight * value
        return sigmoid(logit)
