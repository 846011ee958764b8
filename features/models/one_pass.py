"""Regressions that learn each example once and end nearly where all at once would have ended.

Must live here: the recursions. Must not: any model's inputs. A step weighs an example by the
inverse of what is known (Newton's step, online), so there is no rate to tune; River's own
regressions that take such steps have no logistic one. What was learned is forgotten by half in
30 days or in 1,200 examples, whichever takes longer: a small shop keeps what it has.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from features.fold import DAY_MS
from features.models.purchase import sigmoid

HALF_LIFE_EXAMPLES: Final = 1_200
HALF_LIFE_MS: Final = 30 * DAY_MS
VARIANCE_MAX: Final = 100.0  # of a weight that nothing has been said of for long
LEAST: Final = 1e-4  # of the variance of one answer
NOISE: Final = 1.0  # of an amount's logarithm


class Recursion:
    """Weights, the first of them the bias, and how far each is known."""

    def __init__(self, names: Sequence[str], begin: float = 0.0, prior: float = 1.0) -> None:
        self._names = ("bias", *names)
        self._weights = np.array([0.0, *[begin] * len(names)])
        self._covariance = np.eye(len(self._names)) * prior
        self._at = 0

    def line(self, inputs: Sequence[float]) -> float:
        """The weighted sum as it stands."""
        return float(self._weights @ _row(inputs))

    def weights(self) -> dict[str, float]:
        """By name."""
        return dict(zip(self._names, self._weights.tolist(), strict=True))

    def _step(self, inputs: Sequence[float], error: float, variance: float, at: int) -> None:
        """Move by an error whose size goes with `variance`; `at` (ms) is when it was known."""
        row = _row(inputs)
        self._forget(at)
        reach = self._covariance @ row
        self._covariance -= np.outer(reach, reach) / (variance + float(row @ reach))
        self._covariance = (self._covariance + self._covariance.T) / 2
        self._weights += self._covariance @ row * (error / variance)

    def _forget(self, at: int) -> None:
        passed = max(0, at - self._at) / HALF_LIFE_MS if self._at else 0.0
        self._at = max(self._at, at)
        self._covariance *= 2.0 ** min(1.0 / HALF_LIFE_EXAMPLES, passed)
        widest = float(self._covariance.diagonal().max())
        if widest > VARIANCE_MAX:
            self._covariance *= VARIANCE_MAX / widest

    def state(self) -> dict[str, Any]:
        """Plain JSON, restorable to the bit."""
        return {
            "names": list(self._names),
            "weights": self._weights.tolist(),
            "covariance": self._covariance.tolist(),
            "at": self._at,
        }

    @classmethod
    def restore(cls, names: Sequence[str], state: Mapping[str, Any]) -> Self:
        """As it was; of other inputs, what both know goes on and what is new begins."""
        found = cls(names)
        was = [str(name) for name in state["names"]]
        weights, covariance = np.array(state["weights"]), np.array(state["covariance"])
        if weights.shape != (len(was),) or covariance.shape != (len(was), len(was)):
            raise ValueError("a regression: its names, weights and covariance do not fit together")
        if not (np.isfinite(weights).all() and np.isfinite(covariance).all()):
            raise ValueError("a regression: expected finite numbers")
        both = [(i, was.index(name)) for i, name in enumerate(found._names) if name in was]
        here, there = [i for i, _ in both], [i for _, i in both]
        found._weights[here] = weights[there]
        found._covariance[np.ix_(here, here)] = covariance[np.ix_(there, there)]
        found._at = int(state["at"])
        return found


class Logistic(Recursion):
    """The chance of a yes."""

    def chance(self, inputs: Sequence[float]) -> float:
        """As it stands."""
        return sigmoid(self.line(inputs))

    def learn(self, inputs: Sequence[float], label: int, at: int) -> None:
        """One example, whose label came at `at` (ms)."""
        chance = self.chance(inputs)
        spread = max(chance * (1.0 - chance), LEAST)
        self._step(inputs, (label - chance) / spread, 1.0 / spread, at)


class Linear(Recursion):
    """A number, squares of errors being least."""

    def learn(self, inputs: Sequence[float], answer: float, at: int) -> None:
        """One example, whose answer came at `at` (ms)."""
        self._step(inputs, answer - self.line(inputs), NOISE, at)


def _row(inputs: Sequence[float]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    row = np.array((1.0, *inputs))
    if not np.isfinite(row).all():
        raise ValueError(f"inputs: expected finite numbers, got {list(inputs)}")
    return row


def log_loss(chance: float, label: int) -> float:
    """Of a label that was given this chance."""
    return -math.log(max(chance if label else 1.0 - chance, 1e-12))
