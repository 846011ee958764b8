"""How likely a customer is to pay for something within 24 hours: the inputs and the score.

Must live here: what the worker needs, by plain weights. Must not: River (purchase_learner.py
learns), where examples come from or snapshots go.
"""

import math
from collections.abc import Mapping, Sequence
from math import log1p
from typing import Any, Final

from features import cart as carts
from features.customer import Customer
from features.fold import HOUR_MS, age, days
from features.products import most_views_24h
from features.visits import is_on
from features.windows import activity

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


def vector(customer: Customer, now: int) -> list[float]:
    """The inputs of the customer at `now` (ms), in the order of INPUTS; all finite.

    A length of time enters as 1 / (1 + time), so that never (missing) is 0, infinitely long ago;
    everything else as log(1 + value), missing as 0. Each is the feature of its name, but read by
    hand and each window once: every example that is opened comes by here.
    """
    peek = customer.states.peek
    visits, windows, products, cart = (
        peek("visits"),
        peek("windows"),
        peek("products"),
        peek("cart"),
    )
    orders = peek("orders")
    views, adds, searches = activity(windows, "24h", now)
    value = items = idle = 0.0
    if carts.is_open(cart, now):
        value, items = carts.value(cart, now), log1p(carts.items(cart, now))
        value = log1p(value) if value >= 0 else 0.0  # no price is known
        idle = 1.0 / (1.0 + age(cart.last, now, HOUR_MS))
    return [
        log1p(visits.count),
        log1p(visits.views if is_on(visits, now) else 0),
        log1p(activity(windows, "1h", now)[0]),
        log1p(views),
        log1p(activity(windows, "7d", now)[0]),
        log1p(adds),
        log1p(searches),
        log1p(most_views_24h(products, now)),
        value,
        items,
        idle,
        log1p(orders.count),
        1.0 / (1.0 + days(orders.last, now)) if orders.last else 0.0,
    ]


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
