"""Who is persuaded, learned by River from those who were treated and those who were held out.

Must live here: learning, its progressive figures, its state. Must not: scoring customers
(uplift.py does, without River). It is an R-learner (Nie and Wager 2021): what the answer y leaves
over beside the expected answer m(x) is regressed on the treatment t less its chance e,

    y - m(x)  =  (t - e) (average + readily (m(x) - mean m) + own(x))  +  noise

m and own by River's Bayesian linear regression, which has no rate to tune. `readily` is how much
the effect rises with how readily he comes whatever is done. His own part is held back by a prior
worth PRIOR and, again, by how well its earlier words foretold the answers that came after them:
from few examples everybody has the average. Until ARM_MIN of either arm there is no score.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
from river import linear_model, preprocessing

from features.models.uplift import COUPON, INPUTS, VISIT

ARM_MIN: Final = 100
PRIOR: Final = 300.0  # of (t - e)^2, which an example has .25 of at even arms, .09 at nine to one
EXPECTED_PRIOR: Final = 100.0
RANKED_MAX: Final = 500
_ONE: Final = "1"


class Regression:
    """River's Bayesian linear regression over fixed names, each with its own prior."""

    def __init__(self, names: Sequence[str], priors: Sequence[float]) -> None:
        self._names = tuple(names)
        self._scales = [1.0 / math.sqrt(prior) for prior in priors]
        self._model: Any = linear_model.BayesianLinearRegression()  # River gives it no types
        self._model._ensure_features(self._names)  # noqa: SLF001 - fixes their order

    def weights(self) -> list[float]:
        """Of each value, in order."""
        self._model._ensure_m()  # noqa: SLF001
        means = self._model._m_arr  # noqa: SLF001 - River has no reader
        if not len(means):
            return [0.0] * len(self._names)
        return [float(means[i]) * scale for i, scale in enumerate(self._scales)]

    def learn(self, values: Sequence[float], answer: float) -> None:
        """One more."""
        scaled = (value * scale for value, scale in zip(values, self._scales, strict=True))
        self._model.learn_one(dict(zip(self._names, scaled, strict=True)), answer)

    def state(self) -> dict[str, Any]:
        """What is known: the covariance and the natural mean."""
        return {
            "covariance": self._model._ss_inv_arr.tolist(),  # noqa: SLF001
            "mean": self._model._eta_arr.tolist(),  # noqa: SLF001
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        model = self._model
        covariance = np.array(state["covariance"], dtype=np.float64, order="F")
        mean = np.array(state["mean"], dtype=np.float64)
        if covariance.shape != model._ss_inv_arr.shape or mean.shape != model._eta_arr.shape:  # noqa: SLF001
            raise ValueError("a regression of other inputs")
        model._ss_inv_arr, model._eta_arr = covariance, mean  # noqa: SLF001
        model._ss_arr = np.linalg.inv(covariance)  # noqa: SLF001 - which nothing reads here
        model._m_dirty = True  # noqa: SLF001


class Uplift:
    """The learner of one effect; a subclass names its model and its inputs."""

    MODEL: ClassVar[str]
    INPUTS: ClassVar[tuple[str, ...]] = INPUTS

    def __init__(self) -> None:
        inputs = self.INPUTS
        self._scaler: Any = preprocessing.StandardScaler()
        self._expected = Regression((_ONE, *inputs), (1.0, *[EXPECTED_PRIOR] * len(inputs)))
        self._effect = Regression(inputs, [PRIOR] * len(inputs))
        self.examples = 0
        self.last_loss = 0.0
        self._sums: dict[str, float] = dict.fromkeys(_SUMS, 0.0)
        self._recent: deque[float] = deque(maxlen=RANKED_MAX)
        self._ranked: list[float] = []

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`; treated (0, 1), propensity of being treated, reward (0, 1)."""
        treated, chance = int(example["treated"]), float(example["propensity"])
        answer, values = float(example["reward"]), [float(one) for one in example["features"]]
        if treated not in {0, 1} or not 0.0 < chance < 1.0:
            raise ValueError(f"treated 0 or 1 with a chance between, got {treated}, {chance}")
        if len(values) != len(self.INPUTS) or not all(map(math.isfinite, (*values, answer))):
            raise ValueError(f"features: expected {len(self.INPUTS)} finite numbers")
        named = dict(zip(self.INPUTS, values, strict=True))
        standing = self._standing(named)
        expected, ready = self._expect(standing)
        sums, pull, left = self._sums, treated - chance, answer - expected
        shared, own = self._average() + self._readily() * ready, self._own(standing)
        score = shared + self._kept() * own
        self._judge(score, pull, chance, answer)
        self.last_loss = (left - pull * score) ** 2
        for name, more in (
            ("treated", treated), ("held", 1 - treated), ("answers", answer),
            ("pull", pull * pull), ("pulled", pull * left),
            ("ready", (pull * ready) ** 2),
            ("readily", pull * ready * (left - pull * self._average())),
            ("own", (pull * own) ** 2),
            ("foretold", pull * own * (left - pull * shared)),
            ("noise", self.last_loss),
        ):  # fmt: skip
            sums[name] += more
        self._expected.learn([1.0, *standing], answer)
        self._effect.learn([pull * one for one in standing], left - pull * shared)
        self._scaler.learn_one(named)
        self.examples += 1

    def score(self, inputs: Sequence[float]) -> float:
        """The effect on him as it is known now."""
        standing = self._standing(dict(zip(self.INPUTS, inputs, strict=True)))
        _, ready = self._expect(standing)
        shared = self._average() + self._readily() * ready
        return shared + self._kept() * self._own(standing)

    def response(self, inputs: Sequence[float]) -> float:
        """How readily he comes whatever is done, which is no uplift: to be compared with it."""
        return self._expect(self._standing(dict(zip(self.INPUTS, inputs, strict=True))))[0]

    def metrics(self) -> dict[str, float]:
        """Progressive: the average effect, the area of the Qini curve, each with its error.

        qini is what choosing by score wins over choosing by lot, a customer, on average over
        how many are chosen; auuc the same with the lot's own part in it.
        """
        sums = self._sums
        if min(sums["treated"], sums["held"]) < ARM_MIN or not sums["ranked"]:
            return {}
        ranked, average = sums["ranked"], self._average()
        qini = sums["qini"] / ranked
        error = math.sqrt(max(0.0, sums["qini_squares"] / ranked - qini**2) / ranked)
        return {
            "average": average,
            "average_error": math.sqrt(self._noise() / sums["pull"]),
            "qini": qini,
            "qini_error": error,
            "auuc": qini + average / 2,
            "readily": self._readily(),
            "own_kept": self._kept(),
            "answer_rate": sums["answers"] / self.examples,
            "held_share": sums["held"] / self.examples,
        }

    def weights(self) -> dict[str, Any]:
        """One linear function of the inputs; nothing before ARM_MIN of either arm."""
        if min(self._sums["treated"], self._sums["held"]) < ARM_MIN:
            return {}
        of_expected, of_effect = self._expected.weights(), self._effect.weights()
        readily, kept = self._readily(), self._kept()
        intercept, found = self._average(), {}
        for at, name in enumerate(self.INPUTS):
            mean, spread = self._scaler.means[name], self._scaler.vars[name]
            if spread <= 0:
                continue
            weight = kept * of_effect[at] + readily * of_expected[1 + at]
            found[name] = weight / math.sqrt(spread)
            intercept -= found[name] * mean
        return {"model": self.MODEL, "weights": found, "intercept": intercept}

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        inputs, scaler = self.INPUTS, self._scaler
        return {
            "model": self.MODEL, "inputs": list(inputs), "examples": self.examples,
            "means": [float(scaler.means[name]) for name in inputs],
            "variances": [float(scaler.vars[name]) for name in inputs],
            "expected": self._expected.state(), "effect": self._effect.state(),
            "sums": self._sums, "recent": list(self._recent), "last_loss": self.last_loss,
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was."""
        if state.get("model") != cls.MODEL or tuple(state["inputs"]) != cls.INPUTS:
            raise ValueError(f"model: expected {cls.MODEL!r} with its inputs")
        made = cls()
        made.examples, made.last_loss = int(state["examples"]), float(state["last_loss"])
        if made.examples:
            for name, mean, spread in zip(
                cls.INPUTS, state["means"], state["variances"], strict=True
            ):
                made._scaler.counts[name] = made.examples
                made._scaler.means[name], made._scaler.vars[name] = float(mean), float(spread)
        made._expected.load(state["expected"])
        made._effect.load(state["effect"])
        made._sums = {name: float(state["sums"][name]) for name in _SUMS}
        made._recent.extend(float(one) for one in state["recent"])
        made._ranked = sorted(made._recent)
        return made

    def _standing(self, named: Mapping[str, float]) -> list[float]:
        """The inputs, standardised by what was seen before."""
        means, spreads = self._scaler.means, self._scaler.vars
        return [
            (value - means[name]) / math.sqrt(spreads[name]) if spreads[name] > 0 else 0.0
            for name, value in named.items()
        ]

    def _expect(self, standing: Sequence[float]) -> tuple[float, float]:
        """The answer expected of him, and how far that is from the average one."""
        first, *rest = self._expected.weights()
        ready = math.fsum(weight * one for weight, one in zip(rest, standing, strict=True))
        return first + ready, ready

    def _own(self, standing: Sequence[float]) -> float:
        """What his inputs say beside how readily he comes."""
        weights = self._effect.weights()
        return math.fsum(weight * one for weight, one in zip(weights, standing, strict=True))

    def _average(self) -> float:
        return self._sums["pulled"] / self._sums["pull"] if self._sums["pull"] else 0.0

    def _noise(self) -> float:
        return self._sums["noise"] / max(1, self.examples)

    def _readily(self) -> float:
        """How much the effect rises with how readily he comes; from few examples, little."""
        known = self._sums["ready"] + self._noise()
        return self._sums["readily"] / known if known > 0 else 0.0

    def _kept(self) -> float:
        """The share of his own deviation that is believed: by what earlier ones foretold."""
        known = self._sums["own"] + self._noise()
        return min(1.0, max(0.0, self._sums["foretold"] / known)) if known > 0 else 0.0

    def _judge(self, score: float, pull: float, chance: float, answer: float) -> None:
        """Where his score ranks among the last ones, and what he would have won there."""
        sums, ranked = self._sums, self._ranked
        if min(sums["treated"], sums["held"]) >= ARM_MIN and ranked:
            below = (bisect_left(ranked, score) + bisect_right(ranked, score)) / 2 / len(ranked)
            usual = sums["answers"] / self.examples
            won = pull / (chance * (1.0 - chance)) * (answer - usual) * (below - 0.5)
            sums["ranked"] += 1
            sums["qini"] += won
            sums["qini_squares"] += won * won
        if len(self._recent) == RANKED_MAX:
            del ranked[bisect_left(ranked, self._recent[0])]
        self._recent.append(score)
        insort(ranked, score)


_SUMS: Final = (
    *("treated", "held", "answers", "pull", "pulled", "noise", "ready"),
    *("readily", "own", "foretold", "ranked", "qini", "qini_squares"),
)


class CouponUplift(Uplift):
    """What a coupon does to buying."""

    MODEL = COUPON


class VisitUplift(Uplift):
    """What a message does to visiting."""

    MODEL = VISIT
