"""A champion that scores and a challenger in its shadow: both learn, the better one is promoted.

Must live here: the rule of promotion. Must not: either of them.

Both predict each example before they learn from it. The challenger is promoted once it is shown to
lose less, by more than a margin of 0.002 an example. The first 500 examples are no test: a yes is
known at once and a no at its deadline, so that they are nearly all of one kind.

    gain    the champion's loss less the challenger's, less the margin, within -1 and 1
    wealth  of one who begins with 1 and stakes the same share of what he has on each gain: 5, 10,
            20, 40 in 100, a quarter of it each

Were the challenger no better than that, the wealth would come to 1,000 with a chance of at most
1 in 1,000, however often one looks (Ville's inequality). It begins anew after 10,000 examples, so
that an old defeat is no burden for ever, and at a promotion: the one who was champion is the
challenger then, and has to win by the margin in his turn, so that the two do not come and go.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from features.models.model import Example, Learner, State, Weights

MARGIN: Final = 0.002  # of the loss, an example
STAKES: Final = (0.05, 0.1, 0.2, 0.4)
ENOUGH: Final = 1_000.0
EPOCH: Final = 10_000  # examples
WARM_UP: Final = 500  # examples
PROMOTIONS_MAX: Final = 20


class Side(Learner, Protocol):
    """One of the two: it says how far off its last prediction was."""

    @property
    def last_loss(self) -> float:
        """Of the example learned last."""


class Duel:
    """Two learners of one model, whose weights one scorer reads; a subclass names them."""

    SIDES: ClassVar[Mapping[str, type[Side]]]  # the first of the two begins as champion

    def __init__(self) -> None:
        self.sides: dict[str, Side] = {name: kind() for name, kind in self.SIDES.items()}
        self.champion, self.challenger = self.sides
        self.promoted = 0
        self.promotions: list[dict[str, Any]] = []  # the last of them
        self._begin()

    def _begin(self) -> None:
        self._wealth = [1.0] * len(STAKES)
        self._heard, self._gained = 0, 0.0

    @property
    def examples(self) -> int:
        """How many the champion learned from."""
        return self.sides[self.champion].examples

    @property
    def last_loss(self) -> float:
        """The champion's."""
        return self.sides[self.champion].last_loss

    def learn(self, example: Example) -> None:
        """See `model.Learner`; then, whether the challenger has shown enough."""
        champion, challenger = self.sides[self.champion], self.sides[self.challenger]
        champion.learn(example)
        challenger.learn(example)
        if challenger.examples > WARM_UP:
            self._bet(champion.last_loss - challenger.last_loss)

    def _bet(self, ahead: float) -> None:
        """Stake on one example that the challenger is ahead by more than the margin."""
        gain = min(1.0, max(-1.0, ahead - MARGIN))
        self._wealth = [
            has * (1.0 + stake * gain) for has, stake in zip(self._wealth, STAKES, strict=True)
        ]
        self._heard += 1
        self._gained += gain
        if self.wealth >= ENOUGH:
            self._promote()
        elif self._heard >= EPOCH:
            self._begin()

    @property
    def wealth(self) -> float:
        """What the challenger has shown: 1 for nothing, 1,000 for enough."""
        return sum(self._wealth) / len(STAKES)

    def _promote(self) -> None:
        self.promotions.append({
            "examples": self.examples, "promoted": self.challenger,
            "gain": self._gained / self._heard + MARGIN, "over": self._heard,
        })  # fmt: skip
        del self.promotions[:-PROMOTIONS_MAX]
        self.promoted += 1
        self.champion, self.challenger = self.challenger, self.champion
        self._begin()

    def metrics(self) -> dict[str, float]:
        """The champion's; the challenger's log loss, what it has shown, how many were promoted."""
        found = self.sides[self.champion].metrics()
        if not found:
            return {}
        other = self.sides[self.challenger].metrics()
        if "log_loss" in other:
            found["challenger_log_loss"] = other["log_loss"]
        if "auc" in other:
            found["challenger_auc"] = other["auc"]
        shown = {"challenger_wealth": self.wealth, "promotions": float(self.promoted)}
        return {**found, **shown}

    def weights(self) -> Weights:
        """The champion's."""
        return self.sides[self.champion].weights()

    def state(self) -> State:
        """See `model.Learner`."""
        return {
            "champion": self.champion,
            "sides": {name: side.state() for name, side in self.sides.items()},
            "wealth": list(self._wealth), "heard": self._heard, "gained": self._gained,
            "promoted": self.promoted, "promotions": list(self.promotions),
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """See `model.Learner`; a side that the state does not know begins anew, as challenger."""
        found = cls()
        known = state["sides"]
        if state["champion"] not in known:
            raise ValueError(f"champion: there is no {state['champion']!r}")
        for name, kind in cls.SIDES.items():
            if name in known:
                found.sides[name] = kind.restore(known[name])
        if state["champion"] not in found.sides:
            raise ValueError(f"champion: {state['champion']!r} is none of {list(cls.SIDES)}")
        if state["champion"] != found.champion:
            found.champion, found.challenger = found.challenger, found.champion
        found.promoted = int(state["promoted"])
        found.promotions = [dict(one) for one in state["promotions"]]
        if set(known) == set(cls.SIDES):
            found._wealth = [float(has) for has in state["wealth"]]
            found._heard, found._gained = int(state["heard"]), float(state["gained"])
        return found
