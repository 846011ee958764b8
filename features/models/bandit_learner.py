"""What each arm of a rule's bandit is worth, learned from what came of the arms that were drawn.

Must live here: learning, its figures, its state. Must not: the odds (bandit.py), examples.

One linear model a bandit, fitted exactly by recursive least squares: what a customer gives whatever
is offered (`shared`), and what an arm adds to that. What an arm adds for some customers and not for
others is held to be little until much is seen (STIFF), so that few examples rank the arms, and many
tell whom each suits. A reward beyond four spreads of the mean counts as that much.

Two kinds of example: `drawn`, at the decision, tells what it cost and what the budget allows a day;
the other, when its watch closes, what came of it. The price of money is the dual variable of the
budget, moved at each `drawn` by what was spent less what the time since then allows; so it is the
pace that it keeps, and the ledger that keeps the budget.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from features.fold import DAY_MS
from features.models.bandit import MODEL, odds

PLACES_MAX: Final = 200
ARMS_MAX: Final = 12  # of one bandit, ever; one more, and it begins anew
INPUTS_MAX: Final = 64
LOOSE: Final = 1.0  # how much each number is held to 0, in examples
STIFF: Final = 50.0
SHARPNESS: Final = 30.0
OUTLIER: Final = 4.0
PRICE_STEP: Final = 0.3  # in spreads, for a whole day's budget too much
Vector = npt.NDArray[np.float64]


class _Place:
    """One bandit."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.arms: list[str] = []
        self.inverse: Vector = np.eye(width) / LOOSE
        self.moment: Vector = np.zeros(width)
        self.weights: Vector = np.zeros(width)
        self.examples = 0
        self.mean = self.squares = 0.0  # of rewards, as Welford has them
        self.value = self.loss = self.base_loss = 0.0  # progressive sums
        self.costs: dict[str, list[float]] = {}  # arm -> how many were drawn, what they cost
        self.price = 0.0
        self.at = 0

    @property
    def spread(self) -> float:
        """The standard deviation of the rewards, 1 while they are all alike."""
        return math.sqrt(self.squares / self.examples) if self.squares > 0 else 1.0

    @property
    def sharpness(self) -> float:
        """How much a gap counts against an arm: more, the more examples a weight rests on."""
        return SHARPNESS * math.sqrt(self.examples / self.width)

    def unit_costs(self) -> dict[str, float]:
        """The mean cost of each arm, in those of the arms that cost something."""
        means = {arm: cost / many for arm, (many, cost) in self.costs.items()}
        dear = [one for one in means.values() if one > 0]
        usual = sum(dear) / len(dear) if dear else 1.0
        return {arm: one / usual for arm, one in means.items()}

    def joined(self, arm: str) -> int:
        """The arm's number; a new one is given room."""
        if arm not in self.arms:
            self.arms.append(arm)
            old, width = len(self.moment), self.width
            wider = np.zeros((old + width, old + width))
            wider[:old, :old] = self.inverse
            wider[old:, old:] = np.diag([1 / LOOSE, *[1 / STIFF] * (width - 1)])
            self.inverse = wider
            self.moment = np.concatenate([self.moment, np.zeros(width)])
            self.weights = np.concatenate([self.weights, np.zeros(width)])
        return self.arms.index(arm)

    def row(self, number: int, inputs: Vector) -> Vector:
        """The inputs as the whole model has them: shared, and the arm's own."""
        found = np.zeros(len(self.weights))
        found[: self.width] = inputs
        begin = (number + 1) * self.width
        found[begin : begin + self.width] = inputs
        return found

    def worth(self, arm: str, inputs: Vector, costs: Mapping[str, float]) -> float:
        """As the scorer has it."""
        if arm not in self.arms:
            return math.inf
        expected = float(self.row(self.arms.index(arm), inputs) @ self.weights)
        return expected / self.spread - self.price * costs.get(arm, 0.0)

    def spent(self, arm: str, cost: float, daily: float, at: int) -> None:
        """An arm was drawn that cost so much, of a budget of `daily` a day (0: none)."""
        known = self.costs.setdefault(arm, [0.0, 0.0])
        known[0] += 1
        known[1] += cost
        if daily > 0:
            allowed = daily * max(0, at - self.at) / DAY_MS if self.at else 0.0
            self.price = max(0.0, self.price + PRICE_STEP * (cost - allowed) / daily)
        self.at = max(self.at, at)

    def learn(self, arms: Sequence[str], arm: str, inputs: Vector, propensity: float,
              reward: float) -> float:  # fmt: skip
        """Predict, keep the figures, then learn; the squared error, in squared spreads."""
        number = self.joined(arm)
        row = self.row(number, inputs)
        spread, costs = self.spread, self.unit_costs()
        error = ((reward - float(row @ self.weights)) / spread) ** 2
        self.loss += error
        self.base_loss += ((reward - self.mean) / spread) ** 2
        worths = [self.worth(one, inputs, costs) for one in arms]
        best = odds(worths, math.inf, 0.0)[arms.index(arm)]  # 1, or its share of a tie
        self.value += reward * best / propensity
        limit = self.mean + OUTLIER * spread
        kept = min(reward, limit) if self.examples >= 30 else reward
        self.examples += 1
        away = reward - self.mean
        self.mean += away / self.examples
        self.squares += away * (reward - self.mean)
        gain = self.inverse @ row
        self.inverse -= np.outer(gain, gain) / (1.0 + float(row @ gain))
        self.moment += kept * row
        self.weights = self.inverse @ self.moment
        return error

    def told(self) -> dict[str, Any]:
        """What the scorer is made from."""
        parts = self.weights.reshape(-1, self.width)
        return {
            "shared": parts[0].tolist(),
            "arms": {arm: parts[n + 1].tolist() for n, arm in enumerate(self.arms)},
            "costs": self.unit_costs(), "price": self.price, "spread": self.spread,
            "sharpness": self.sharpness, "examples": self.examples,
        }  # fmt: skip

    def kept(self) -> dict[str, Any]:
        """Everything; of the symmetric matrix one half."""
        return {
            "width": self.width, "arms": self.arms, "moment": self.moment.tolist(),
            "inverse": [row[n:].tolist() for n, row in enumerate(self.inverse)],
            "weights": self.weights.tolist(), "examples": self.examples, "mean": self.mean,
            "squares": self.squares, "value": self.value, "loss": self.loss,
            "base_loss": self.base_loss, "costs": self.costs, "price": self.price, "at": self.at,
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """As it was kept."""
        found = cls(int(kept["width"]))
        for arm in kept["arms"]:
            found.joined(arm)
        half = np.zeros_like(found.inverse)
        for n, row in enumerate(kept["inverse"]):
            half[n, n:] = row
        found.inverse = half + np.triu(half, 1).T
        found.moment, found.weights = np.array(kept["moment"]), np.array(kept["weights"])
        for name in ("examples", "mean", "squares", "value", "loss", "base_loss", "price", "at"):
            setattr(found, name, kept[name])
        found.costs = {arm: list(told) for arm, told in kept["costs"].items()}
        return found


class Learner:
    """All bandits of the shop; see `model.Learner`."""

    def __init__(self) -> None:
        self.examples = 0
        self.last_loss = math.nan  # of the last example, nan for one that foretells nothing
        self._places: dict[str, _Place] = {}  # the one heard of last at the end

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`."""
        inputs: Vector = np.array(example["inputs"], dtype=float)
        arms, arm = [str(one) for one in example["arms"]], str(example["arm"])
        propensity, at = float(example["propensity"]), int(example["at"])
        if arm not in arms or not 0 < propensity <= 1 or not np.isfinite(inputs).all():
            raise ValueError("bandit: expected an arm of its arms, a propensity, finite inputs")
        if not 1 <= inputs.size <= INPUTS_MAX or inputs.ndim != 1:
            raise ValueError(f"inputs: expected 1 to {INPUTS_MAX} numbers")
        drawn = "reward" not in example
        what = float(example["cost"]) if drawn else float(example["reward"])
        daily = float(example["daily"]) if drawn else 0.0
        if not math.isfinite(what) or not math.isfinite(daily):
            raise ValueError("cost, daily and reward: expected finite numbers")
        one = self._place(str(example["place"]), inputs.size, arm)
        if drawn:
            one.spent(arm, what, daily, at)
            self.last_loss = math.nan
            return
        self.last_loss = one.learn(arms, arm, inputs, propensity, what)
        self.examples += 1

    def _place(self, name: str, width: int, arm: str) -> _Place:
        one = self._places.pop(name, None)
        if one and (one.width != width or (arm not in one.arms and len(one.arms) >= ARMS_MAX)):
            one = None
        one = self._places[name] = one or _Place(width)
        if len(self._places) > PLACES_MAX:
            del self._places[next(iter(self._places))]
        return one

    def metrics(self) -> dict[str, float]:
        """Progressive figures over all bandits, weighted by their examples.

        policy_gain is what always taking the best arm as then known would have brought beside what
        the odds did bring, by inverse propensities: 0.1 is a tenth more.
        """
        found = [one for one in self._places.values() if one.examples]
        if not found:
            return {}
        many = sum(one.examples for one in found)
        gained = [one for one in found if one.mean > 0]
        gain = sum(one.value / one.mean - one.examples for one in gained)
        return {
            "loss": sum(one.loss for one in found) / many,
            "base_loss": sum(one.base_loss for one in found) / many,
            "policy_gain": gain / max(1, sum(one.examples for one in gained)),
            "price_max": max(one.price for one in found),
        }

    def weights(self) -> dict[str, Any]:
        """See `model.Learner`; a bandit nothing came of yet has none: its odds are even."""
        told = {name: one.told() for name, one in self._places.items() if one.examples}
        return {"model": MODEL, "places": told} if told else {}

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        return {
            "model": MODEL, "examples": self.examples,
            "places": [[name, one.kept()] for name, one in self._places.items()],
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """See `model.Learner`."""
        if state.get("model") != MODEL:
            raise ValueError(f"model: expected {MODEL!r}, got {state.get('model')!r}")
        learner = cls()
        learner.examples = int(state["examples"])
        learner._places = {name: _Place.of(one) for name, one in state["places"]}
        return learner
