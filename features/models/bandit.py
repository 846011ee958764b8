"""Which of a rule's offers to make: the odds of its arms for a customer, and what they rest on.

Must live here: what the worker needs, by plain weights: the inputs, an arm's worth, the odds. Must
not: learning (bandit_learner.py), drawing (engine/bandits.py).

The odds are inverse-gap weighting (SquareCB; Foster and Rakhlin, 2020): every arm but the best has
1 / (arms + sharpness * gap), the best has the rest, where the gap is how much less the arm is worth
than the best. Each is then mixed with the even odds by the rule's `explore`, so none is ever below
explore / arms. They are exact numbers, so they are the propensities that are logged.

    worth of an arm = expected reward / spread of rewards - price * mean cost / usual cost

`price` rises while the rule spends faster than its budget's even pace, and falls below it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.catalog import FEATURES
from features.customer import Customer

MODEL: Final = "bandit"
INPUTS: Final[tuple[str, ...]] = (
    "visits.count",
    "visits.days_since_last",
    "windows.views_7d",
    "windows.adds_7d",
    "cart.value",
    "orders.count",
    "orders.average",
    "orders.days_since_last",
    "coupons.redeemed",
    "messages.clicked",
    "seen.days_since_first",
)
_READERS: Final = tuple((name, FEATURES[name].facet, FEATURES[name].read) for name in INPUTS)
_AGES: Final = frozenset(name for name in INPUTS if FEATURES[name].unit == "days")


def readings(customer: Customer, now: int) -> dict[str, float]:
    """What is known of the customer at `now` (ms); a missing number is nan."""
    states = customer.states
    return {name: float(read(states[facet], now)) for name, facet, read in _READERS}


def vector(known: Mapping[str, float]) -> list[float]:
    """The inputs from readings: 1, then each of INPUTS; what is missing is 0, and all are finite.

    An age in days enters as 1 / (1 + days), so that never is infinitely long ago; everything else
    as log(1 + value).
    """
    return [1.0, *(_scaled(name, known.get(name, math.nan)) for name in INPUTS)]


def _scaled(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        return 0.0
    return 1.0 / (1.0 + value) if name in _AGES else math.log1p(value)


def place(rule: str, step: str) -> str:
    """How a rule's bandit is called among all that learn."""
    return f"{rule}/{step}"


def odds(worths: Sequence[float], sharpness: float, explore: float) -> list[float]:
    """Inverse-gap weighting, no arm below explore / arms; infinite worth is untried, and best.

    >>> odds([0.0, 0.0], 100.0, 0.1)
    [0.5, 0.5]
    >>> [round(one, 3) for one in odds([0.5, 0.3, 0.0], 100.0, 0.0)]
    [0.938, 0.043, 0.019]
    """
    many = len(worths)
    best = max(worths)
    gaps = [0.0 if one == best else min(best - one, 1e9) for one in worths]
    found = [1.0 / (many + sharpness * gap) for gap in gaps]
    winners = [n for n, gap in enumerate(gaps) if gap == 0.0]
    rest = 1.0 - math.fsum(found[n] for n in range(many) if gaps[n])
    for n in winners:
        found[n] = rest / len(winners)
    return [(1.0 - explore) * one + explore / many for one in found]


class _Place:
    """One bandit's weights; an arm it has not seen has none."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        shared = [float(one) for one in weights["shared"]]
        self.arms: dict[str, list[float]] = {
            arm: [a + b for a, b in zip(shared, own, strict=True)]
            for arm, own in weights["arms"].items()
        }
        self.spread = float(weights["spread"])
        self.sharpness = float(weights["sharpness"])
        price = float(weights["price"])
        self.prices = {arm: price * float(cost) for arm, cost in weights["costs"].items()}
        known = [*self.prices.values(), *(one for own in self.arms.values() for one in own)]
        if not self.spread > 0 or not all(map(math.isfinite, (self.sharpness, *known))):
            raise ValueError("bandit: expected finite weights, and a spread above 0")


class Scorer:
    """Every rule's bandit, as its learner published them."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        if weights.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {weights.get('model')!r}")
        self._places = {name: _Place(one) for name, one in weights["places"].items()}

    def worths(self, name: str, arms: Sequence[str], inputs: Sequence[float]) -> list[float] | None:
        """What each arm is worth to him, in spreads of the reward; None before anything is known.

        An arm that is new is worth infinitely much: it is tried.
        """
        known = self._places.get(name)
        if known is None:
            return None
        found = []
        for arm in arms:
            own = known.arms.get(arm)
            if own is None or len(own) != len(inputs):
                found.append(math.inf)
                continue
            expected = math.fsum(weight * value for weight, value in zip(own, inputs, strict=True))
            found.append(expected / known.spread - known.prices.get(arm, 0.0))
        return found

    def odds(
        self, name: str, arms: Sequence[str], inputs: Sequence[float], explore: float
    ) -> list[float]:
        """The probability of each arm for a customer of these inputs; even before a model is."""
        worths = self.worths(name, arms, inputs)
        if worths is None:
            return [1.0 / len(arms)] * len(arms)
        return odds(worths, self._places[name].sharpness, explore)
