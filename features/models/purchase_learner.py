"""How likely a customer is to pay within 24 hours, learned by River one example at a time.

Must live here: learning, its figures, its snapshot. Must not: scoring customers (purchase.py does,
without River). Progressive scores: each example is predicted before it is learned from, so no
figure here has seen its own answer.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from river import compose, linear_model, optim, preprocessing, utils

from features.models.progress import area_under_curve, calibration_error
from features.models.purchase import INPUTS, MODEL

RECENT_MAX: Final = 2000
START_LOGIT: Final = -3.0  # before the first example: about 5 in 100 buy within a day
LEARNING_RATE: Final = 0.1
LEAST_OF_EACH: Final = 10
LOSS_MIN: Final = 1e-12


class Learner:
    """River's logistic regression on standardised inputs, with AdaGrad; restorable to the bit."""

    def __init__(self) -> None:
        self._scaler = preprocessing.StandardScaler()
        self._optimizer = optim.AdaGrad(lr=LEARNING_RATE)
        self._regression = linear_model.LogisticRegression(
            optimizer=self._optimizer, intercept_init=START_LOGIT, intercept_lr=0.02
        )
        self._model = compose.Pipeline(self._scaler, self._regression)
        self.examples = 0
        self.positives = 0
        self._loss = 0.0
        self._base_loss = 0.0
        self.last_loss = 0.0
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_MAX)

    def score(self, inputs: Sequence[float]) -> float:
        """The probability that the model as it stands gives."""
        return float(self._model.predict_proba_one(_named(inputs)).get(True, 0.5))

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`."""
        self.learn_one(example["features"], example["label"])

    def learn_one(self, inputs: Sequence[float], label: int) -> float:
        """Learn from one example; the probability given before it was learned from."""
        if label not in (0, 1):
            raise ValueError(f"label: expected 0 or 1, got {label!r}")
        named = _named(inputs)
        score = float(self._model.predict_proba_one(named).get(True, 0.5))
        base_rate = (self.positives + 0.5) / (self.examples + 1.0)
        self.last_loss = _log_loss(score, label)
        self._loss += self.last_loss
        self._base_loss += _log_loss(base_rate, label)
        self._recent.append((int(label), round(score, 6)))
        self.examples += 1
        self.positives += int(label)
        self._model.learn_one(named, bool(label))
        return score

    def metrics(self) -> dict[str, float]:
        """Progressive figures: log_loss over all examples, the others over the last 2,000.

        base_log_loss is what always saying the rate so far would have lost. auc is left out
        while the examples are all of one kind.
        """
        if not self.examples:
            return {}
        found = {
            "log_loss": self._loss / self.examples,
            "base_log_loss": self._base_loss / self.examples,
            "positive_rate": self.positives / self.examples,
            "brier": sum((label - score) ** 2 for label, score in self._recent) / len(self._recent),
            "calibration_error": calibration_error(self._recent),
        }
        if len({label for label, _ in self._recent}) == 2:
            found["auc"] = area_under_curve(self._recent)
        return found

    def weights(self) -> dict[str, Any]:
        """What Scorer reads, once there are ten of either kind: the first day's are all yeses."""
        if min(self.positives, self.examples - self.positives) < LEAST_OF_EACH:
            return {}
        return {
            "model": MODEL,
            "weights": _plain(self._regression.weights),
            "intercept": float(self._regression.intercept),
            "means": _plain(self._scaler.means),
            "variances": _plain(self._scaler.vars),
        }

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        return {
            "model": MODEL,
            "weights": _plain(self._regression.weights),
            "intercept": float(self._regression.intercept),
            "means": _plain(self._scaler.means),
            "variances": _plain(self._scaler.vars),
            "gradients": _plain(self._optimizer.g2),
            "iterations": int(self._optimizer.n_iterations),
            "examples": self.examples,
            "positives": self.positives,
            "loss": self._loss,
            "base_loss": self._base_loss,
            "recent": [list(pair) for pair in self._recent],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was; one of other inputs begins anew for those that are new."""
        if state.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {state.get('model')!r}")
        learner = cls()
        known = [name for name in INPUTS if name in state["means"]]
        for name in known:
            learner._scaler.counts[name] = state["examples"]
            learner._scaler.means[name] = state["means"][name]
            learner._scaler.vars[name] = state["variances"][name]
            learner._optimizer.g2[name] = state["gradients"].get(name, 0.0)
        learner._regression._weights = utils.VectorDict(  # noqa: SLF001 - River has no setter
            {name: state["weights"].get(name, 0.0) for name in known}
        )
        learner._regression.intercept = state["intercept"]
        learner._optimizer.n_iterations = state["iterations"]
        learner.examples = state["examples"]
        learner.positives = state["positives"]
        learner._loss = state["loss"]
        learner._base_loss = state["base_loss"]
        learner._recent.extend((label, score) for label, score in state["recent"])
        return learner


def _named(inputs: Sequence[float]) -> dict[str, float]:
    named = dict(zip(INPUTS, inputs, strict=True))
    for name, value in named.items():
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
    return named


def _plain(values: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def _log_loss(probability: float, label: int) -> float:
    return -math.log(max(probability if label else 1.0 - probability, LOSS_MIN))
