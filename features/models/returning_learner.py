"""Who comes back, and for how much: learned one example at a time.

Must live here: the learners of `returning`, their figures, their states. Must not: scoring
customers (returning.py). Every figure is of a prediction made before its example was learned from.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from features.models.one_pass import Linear, Logistic
from features.models.progress import Progress
from features.models.returning import (
    AMOUNT_LOG_MAX,
    BIAS,
    CHURN,
    INPUTS,
    MONTH_DAYS,
    PURCHASE,
    QUARTER_DAYS,
    VALUE,
)

LEAST_EXAMPLES: Final = 30  # before them a score would be the prior's word, not the shop's
RIGHT_PRIOR: Final = 0.01  # variance of level and slope: set right by many, not by few
SMEAR_HALF_LIFE: Final = 1_200  # examples
SMEAR_ERROR_MAX: Final = 3.0  # in logarithms: twenty times what was expected counts no more


class Chance:
    """One horizon's chance from what several horizons say: the mean of their logits, set right.

    Who comes within 30 days is told better with what is known of 90, and the other way round. The
    mean is set right, by its level and its slope, by what came of the horizon that is asked for.
    """

    def __init__(self, asked: int, horizons: Sequence[int]) -> None:
        self._asked = asked
        self._lines = {days: Logistic(INPUTS) for days in horizons}
        self._heard = dict.fromkeys(horizons, 0)
        self._right = Logistic(("mean",), begin=1.0, prior=RIGHT_PRIOR)

    def chance(self, inputs: Sequence[float]) -> float:
        """As it stands."""
        return self._right.chance([self._mean(inputs)])

    def _speak(self) -> list[int]:
        """The horizons that have heard enough; until one has, the one that is asked for."""
        return [d for d, n in self._heard.items() if n >= LEAST_EXAMPLES] or [self._asked]

    def _mean(self, inputs: Sequence[float]) -> float:
        speak = self._speak()
        return sum(self._lines[days].line(inputs) for days in speak) / len(speak)

    def learn(self, inputs: Sequence[float], label: int, days: int, known: int) -> None:
        """What came of a horizon, known at `known` (ms)."""
        if days == self._asked and self._heard[days] >= LEAST_EXAMPLES:
            self._right.learn([self._mean(inputs)], label, known)
        self._lines[days].learn(inputs, label, known)
        self._heard[days] += 1

    def weights(self) -> dict[str, float]:
        """One weighted sum: the horizons' mean, set right."""
        speak, right = self._speak(), self._right.weights()
        lines = [self._lines[days].weights() for days in speak]
        slope = right["mean"] / len(speak)
        found = {name: slope * sum(line[name] for line in lines) for name in lines[0]}
        found[BIAS] += right[BIAS]
        return found

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "lines": {str(days): line.state() for days, line in self._lines.items()},
            "heard": {str(days): number for days, number in self._heard.items()},
            "right": self._right.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        for days in self._lines:
            self._lines[days] = Logistic.restore(INPUTS, state["lines"][str(days)])
            self._heard[days] = int(state["heard"][str(days)])
        self._right = Logistic.restore(("mean",), state["right"])


class ChanceLearner:
    """A yes or no about a customer; a subclass names its model and what horizons it hears of."""

    MODEL: ClassVar[str]
    DAYS: ClassVar[int]  # of the horizon that is asked for; 0: each customer's own
    HORIZONS: ClassVar[tuple[int, ...]]

    def __init__(self) -> None:
        self._chance = Chance(self.DAYS, self.HORIZONS)
        self._progress = Progress()
        self.examples = 0
        self.last_loss = 0.0

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`; `features`, `label` (0, 1), `days` of it, `known` when (ms)."""
        inputs, label, days = example["features"], example["label"], int(example["days"])
        if label not in {0, 1}:
            raise ValueError(f"label: expected 0 or 1, got {label!r}")
        if len(inputs) != len(INPUTS) or not all(map(math.isfinite, inputs)):
            raise ValueError(f"features: expected {len(INPUTS)} finite numbers, got {inputs!r}")
        if days not in self.HORIZONS:
            raise ValueError(f"days: expected one of {self.HORIZONS}, got {days}")
        known = int(example["known"])
        self.last_loss = math.nan  # the other horizon is not foretold
        if days == self.DAYS:
            self.last_loss = self._progress.add(self._chance.chance(inputs), label)
            self.examples += 1
        self._chance.learn(inputs, label, days, known)

    def metrics(self) -> dict[str, float]:
        """See `progress`; of the horizon that is asked for."""
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
        self._chance.load(state["chance"])
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
    DAYS = MONTH_DAYS
    HORIZONS = (MONTH_DAYS, QUARTER_DAYS)


class Churn(ChanceLearner):
    """Will he order nothing within the horizon of his rhythm."""

    MODEL = CHURN
    DAYS = 0
    HORIZONS = (0,)


class Value(ChanceLearner):
    """Will he order within 90 days, and what will he have paid: the mean, not the median.

    The amount's logarithm is regressed among those who came; the mean of what that leaves over
    brings it back to money (Duan's smearing, 1983), lately weighing more.
    """

    MODEL = VALUE
    DAYS = QUARTER_DAYS
    HORIZONS = (MONTH_DAYS, QUARTER_DAYS)

    def __init__(self) -> None:
        super().__init__()
        self._amount = Linear(INPUTS)
        self._smears = self._smeared = 0.0
        self._predicted = self._paid = self._off = self._base_off = 0.0

    def learn(self, example: Mapping[str, Any]) -> None:
        """Of the 90 days also `paid`, in the shop's money, 0 for one who did not come."""
        if int(example["days"]) != self.DAYS:
            super().learn(example)
            return
        inputs, paid, mean = example["features"], float(example["paid"]), self._mean()
        if not 0.0 <= paid < math.inf:
            raise ValueError(f"paid: expected 0 or more, got {paid}")
        chance = self._chance.chance(inputs)
        super().learn(example)
        log = self._amount.line(inputs)
        value = chance * math.exp(min(log, AMOUNT_LOG_MAX)) * self._smear()
        self._off += abs(value - paid)
        self._base_off += abs(mean - paid)
        self._predicted += value
        self._paid += paid
        if paid > 0:
            left = min(math.log(paid) - log, SMEAR_ERROR_MAX)
            kept = 0.5 ** (1 / SMEAR_HALF_LIFE)
            self._smears = self._smears * kept + 1
            self._smeared = self._smeared * kept + math.exp(left)
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
