"""Who comes back, and for how much: learned one example at a time.

Must live here: the learners of `returning`, their figures, their states. Must not: scoring
customers (returning.py). Every figure is of a prediction made before its example was learned from.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from features.models.one_pass import Linear, Logistic
from features.models.progress import Progress
from features.models.returning import CHURN, INPUTS, PURCHASE, VALUE

LEAST_EXAMPLES: Final = 30  # before them a score would be the prior's word, not the shop's
SMEAR_HALF_LIFE: Final = 1_200  # examples
SMEAR_ERROR_MAX: Final = 3.0  # in logarithms: twenty times what was expected counts no more


class ChanceLearner:
    """A yes or no about a customer, by logistic regression; a subclass names its model."""

    MODEL: ClassVar[str]

    def __init__(self) -> None:
        self._chance = Logistic(INPUTS)
        self._progress = Progress()
        self.examples = 0
        self.last_loss = 0.0

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`; `features`, `label` (0, 1), `known` when it was known (ms)."""
        inputs, label, known = example["features"], example["label"], int(example["known"])
        if label not in {0, 1}:
            raise ValueError(f"label: expected 0 or 1, got {label!r}")
        if len(inputs) != len(INPUTS):
            raise ValueError(f"features: expected {len(INPUTS)} numbers, got {len(inputs)}")
        self.last_loss = self._progress.add(self._chance.chance(inputs), label)
        self._chance.learn(inputs, label, known)
        self.examples += 1

    def metrics(self) -> dict[str, float]:
        """See `progress`."""
        return self._progress.metrics()

    def weights(self) -> dict[str, Any]:
        """What its scorer is made of; nothing before 30 examples."""
        if self.examples < LEAST_EXAMPLES:
            return {}
        return {"model": self.MODEL, "chance": self._chance.weights()}

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        return {
            "model": self.MODEL,
            "chance": self._chance.state(),
            "progress": self._progress.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._chance = Logistic.restore(INPUTS, state["chance"])
        self._progress = Progress.restore(state["progress"])
        self.examples = self._progress.examples

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """See `model.Learner`."""
        if state.get("model") != cls.MODEL:
            raise ValueError(f"model: expected {cls.MODEL!r}, got {state.get('model')!r}")
        found = cls()
        found.load(state)
        return found


class Purchase(ChanceLearner):
    """Will he order within 30 days."""

    MODEL = PURCHASE


class Churn(ChanceLearner):
    """Will he order nothing within the horizon of his rhythm."""

    MODEL = CHURN


class Value(ChanceLearner):
    """Will he order within 90 days, and what will he have paid: the mean, not the median.

    The amount's logarithm is regressed among those who came; the mean of what that leaves over
    brings it back to money (Duan's smearing, 1983), lately weighing more.
    """

    MODEL = VALUE

    def __init__(self) -> None:
        super().__init__()
        self._amount = Linear(INPUTS)
        self._smears = self._smeared = 0.0
        self._predicted = self._paid = self._off = self._base_off = 0.0

    def learn(self, example: Mapping[str, Any]) -> None:
        """Also `paid`, in the shop's money, 0 for one who did not come."""
        inputs, label, paid = example["features"], example["label"], float(example["paid"])
        if not 0.0 <= paid < math.inf:
            raise ValueError(f"paid: expected 0 or more, got {paid}")
        chance, mean = self._chance.chance(inputs), self._mean()
        super().learn(example)
        log = self._amount.line(inputs)
        value = chance * math.exp(min(log, 30.0)) * self._smear()
        self._off += abs(value - paid)
        self._base_off += abs(mean - paid)
        self._predicted += value
        self._paid += paid
        if label and paid > 0:
            left = min(math.log(paid) - log, SMEAR_ERROR_MAX)
            kept = 0.5 ** (1 / SMEAR_HALF_LIFE)
            self._smears, self._smeared = self._smears * kept + 1, self._smeared * kept
            self._smeared += math.exp(left)
            self._amount.learn(inputs, math.log(paid), int(example["known"]))

    def _mean(self) -> float:
        return self._paid / self.examples if self.examples else 0.0

    def _smear(self) -> float:
        return (self._smeared + 1.0) / (self._smears + 1.0)

    def metrics(self) -> dict[str, float]:
        """Also how far off the values were in the mean, and what the mean so far was off."""
        found = super().metrics()
        if found:
            found["mean_absolute_error"] = self._off / self.examples
            found["base_mean_absolute_error"] = self._base_off / self.examples
            found["mean_value"] = self._predicted / self.examples
            found["mean_paid"] = self._paid / self.examples
        return found

    def weights(self) -> dict[str, Any]:
        """See `model.Learner`."""
        found = super().weights()
        if found:
            found |= {"amount": self._amount.weights(), "smear": self._smear()}
        return found

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        sums = [self._smears, self._smeared, self._predicted, self._paid]
        sums += [self._off, self._base_off]
        return {**super().state(), "amount": self._amount.state(), "sums": sums}

    def load(self, state: Mapping[str, Any]) -> None:
        """See `ChanceLearner.load`."""
        super().load(state)
        self._amount = Linear.restore(INPUTS, state["amount"])
        smears, smeared, predicted, paid, off, base_off = map(float, state["sums"])
        self._smears, self._smeared, self._predicted = smears, smeared, predicted
        self._paid, self._off, self._base_off = paid, off, base_off
