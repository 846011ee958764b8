"""Whether one who has ordered comes back, when, and for how much: inputs and scores.

Must live here: what the worker needs, by plain weights. Must not: learning (returning_learner.py),
where examples come from (engine/returns.py). Three questions share one list of inputs:

    purchase_30d   will he order within 30 days
    churn          will he order nothing within twice his usual gap, of 30 to 90 days
    value_90d      will he order within 90 days, and what he will have paid then, less refunds
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features import rhythm as rhythms
from features.catalog import FEATURES
from features.customer import Customer
from features.fold import days
from features.models.purchase import sigmoid

PURCHASE: Final = "purchase_30d"
CHURN: Final = "churn"
VALUE: Final = "value_90d"
MONTH_DAYS: Final = 30
QUARTER_DAYS: Final = 90
INPUTS: Final[tuple[str, ...]] = (
    "order_days",
    "days_since_first",
    "days_since_last",
    "overdue",
    "alive",
    "due",
    "strength",
    "recent_orders",
    "lines_an_order",
    "pieces_a_line",
    "largest",
    "refunds",
    "views_7d",
    "cart_items",
)
BIAS: Final = "bias"
_VIEWS: Final = FEATURES["windows.views_7d"].read
_ITEMS: Final = FEATURES["cart.items"].read
_LAYOUT: Final = struct.Struct(f"<{len(INPUTS)}e")
_CEILING: Final = 60_000.0  # below the greatest number of two bytes
AMOUNT_LOG_MAX: Final = 30.0


def vector(customer: Customer, now: int) -> list[float] | None:
    """The inputs at `now` (ms), in the order of INPUTS; None for one who never ordered.

    Numbers and times enter as their logarithms. `alive` falls by e with each usual gap that has
    passed, `due` is greatest when just one has.
    """
    states = customer.states
    rhythm, orders = states["rhythm"], states["orders"]
    if not rhythm.days or not orders.first:
        return None
    since, gap = days(rhythm.last, now), rhythms.usual_gap(rhythm)
    gaps = since / max(gap, 1.0)
    apart = math.log1p(since) - math.log1p(gap)
    return [
        math.log(rhythm.days),
        math.log1p(days(orders.first, now)),
        math.log1p(since),
        math.log1p(gaps),
        math.exp(-gaps),
        math.exp(-apart * apart / 2),
        math.log1p(rhythms.strength(rhythm, now)),
        math.log1p(rhythms.recent(rhythm, now)),
        rhythm.lines / rhythm.recent if rhythm.recent else 0.0,
        rhythm.pieces / rhythm.pieced if rhythm.pieced else 0.0,
        math.log1p(rhythm.largest / 100),
        math.log1p(orders.refunds),
        math.log1p(_VIEWS(states["windows"], now)),
        math.log1p(_ITEMS(states["cart"], now)),
    ]


def horizon_days(customer: Customer) -> int:
    """How long he may order nothing before he counts as gone: twice his usual gap."""
    gap = rhythms.usual_gap(customer.states["rhythm"])
    return int(min(max(2 * gap, MONTH_DAYS), QUARTER_DAYS))


def pack(inputs: Sequence[float]) -> bytes:
    """Two bytes a number, zeros at the end left out.

    >>> [round(one, 2) for one in unpack(pack([0.69] + [0.0] * (len(INPUTS) - 1)))[:2]]
    [0.69, 0.0]
    """
    return _LAYOUT.pack(*(min(one, _CEILING) for one in inputs)).rstrip(b"\0")


def unpack(data: bytes) -> list[float]:
    """The numbers that `pack` was given, nearly; fewer inputs than today's end in zeros."""
    return list(_LAYOUT.unpack(data[: _LAYOUT.size].ljust(_LAYOUT.size, b"\0")))


class Line:
    """A weighted sum: weights by name, so that those of other inputs score by what both know."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self._bias = float(weights[BIAS])
        self._weights = [float(weights.get(name, 0.0)) for name in INPUTS]
        if not all(map(math.isfinite, (self._bias, *self._weights))):
            raise ValueError("weights: expected finite numbers")

    def at(self, inputs: Sequence[float]) -> float:
        """Its value."""
        return self._bias + sum(map(float.__mul__, self._weights, inputs))


class Chance:
    """A probability."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self._line = Line(weights["chance"])

    def score(self, inputs: Sequence[float]) -> float:
        """Between 0 and 1."""
        return sigmoid(self._line.at(inputs))


class Value(Chance):
    """What he will have paid, in the shop's money: the chance times what he pays if he comes."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        super().__init__(weights)
        self._amount = Line(weights["amount"])
        self._smear = float(weights["smear"])
        if not 0.0 < self._smear < math.inf:
            raise ValueError("smear: expected a number above 0")

    def value(self, inputs: Sequence[float]) -> float:
        """Never below 0."""
        log = min(self._amount.at(inputs), AMOUNT_LOG_MAX)
        return self.score(inputs) * math.exp(log) * self._smear
