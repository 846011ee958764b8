"""The challenger of the purchase model: the same inputs, learned by Newton's steps (one_pass).

Must live here: that learner, and the duel of the two. Must not: AdaGrad's (purchase_learner.py),
the rule of promotion (duel.py). Its weights are read by the same scorer.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from features.models.duel import Duel, Side
from features.models.one_pass import Logistic
from features.models.progress import Progress
from features.models.purchase import INPUTS, MODEL
from features.models.purchase_learner import LEAST_OF_EACH, Learner

_ZEROS: Final = dict.fromkeys(INPUTS, 0.0)
_ONES: Final = dict.fromkeys(INPUTS, 1.0)


class Newton:
    """Logistic regression that forgets by half in 30 days or 1,200 examples."""

    def __init__(self) -> None:
        self._chance = Logistic(INPUTS)
        self._progress = Progress()
        self.last_loss = 0.0

    @property
    def examples(self) -> int:
        """How many were learned from."""
        return self._progress.examples

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`."""
        inputs, label, at = example["features"], example["label"], int(example["at"])
        if label not in (0, 1):
            raise ValueError(f"label: expected 0 or 1, got {label!r}")
        self.last_loss = self._progress.add(self._chance.chance(inputs), label)
        self._chance.learn(inputs, label, at)

    def metrics(self) -> dict[str, float]:
        """See `progress`."""
        return self._progress.metrics()

    def weights(self) -> dict[str, Any]:
        """What purchase.Scorer reads, once there are ten of either kind."""
        yeses = self._progress.positives
        if min(yeses, self.examples - yeses) < LEAST_OF_EACH:
            return {}
        weights = self._chance.weights()
        intercept = weights.pop("bias")
        return {"model": MODEL, "weights": weights, "intercept": intercept,
                "means": _ZEROS, "variances": _ONES}  # fmt: skip

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        return {"chance": self._chance.state(), "progress": self._progress.state()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """See `model.Learner`."""
        found = cls()
        found._chance = Logistic.restore(INPUTS, state["chance"])
        found._progress = Progress.restore(state["progress"])
        return found


class PurchaseDuel(Duel):
    """Of the model of the next 24 hours."""

    SIDES: ClassVar[Mapping[str, type[Side]]] = {"adagrad": Learner, "newton": Newton}
