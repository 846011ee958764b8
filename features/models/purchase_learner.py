"""How likely a customer is to pay within 24 hours, learned by River one example at a time.

Must live here: learning, its figures, its snapshot. Must not: scoring customers (purchase.py does,
without River). Progressive scores: each example is predicted before it is learned from, so no
figure here has seen its own answer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from river import compose, linear_model, optim, preprocessing, utils

from features.models.progress import Progress
from features.models.purchase import INPUTS, MODEL

START_LOGIT: Final = -3.0  # before the first example: about 5 in 100 buy within a day
LEARNING_RATE: Final = 0.1
LEAST_OF_EACH: Final = 10


class Learner:
    """River's logistic regression on standardised inputs, with AdaGrad; restorable to the bit."""

    def __init__(self) -> None:
        self._scaler = preprocessing.StandardScaler()
        self._optimizer = optim.AdaGrad(lr=LEARNING_RATE)
        self._regression = linear_model.LogisticRegression(
            optimizer=self._optimizer, intercept_init=START_LOGIT, intercept_lr=0.02
        )
        self._model = compose.Pipeline(self._scaler, self._regression)
        self._progress = Progress()
        self.last_loss = 0.0

    @property
    def examples(self) -> int:
        """How many were learned from."""
        return self._progress.examples

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
        self.last_loss = self._progress.add(score, int(label))
        self._model.learn_one(named, bool(label))
        return score

    def metrics(self) -> dict[str, float]:
        """See `progress`."""
        return self._progress.metrics()

    def weights(self) -> dict[str, Any]:
        """What Scorer reads, once there are ten of either kind: fewer say little."""
        yeses = self._progress.positives
        return self._fitted() if min(yeses, self.examples - yeses) >= LEAST_OF_EACH else {}

    def _fitted(self) -> dict[str, Any]:
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
            **self._fitted(),
            "gradients": _plain(self._optimizer.g2),
            "iterations": int(self._optimizer.n_iterations),
            **self._progress.state(),
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
        learner._progress = Progress.restore(state)
        return learner


def _named(inputs: Sequence[float]) -> dict[str, float]:
    named = dict(zip(INPUTS, inputs, strict=True))
    for name, value in named.items():
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
    return named


def _plain(values: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
