"""The lots on the way to a decision: which branch of a split, which arm of a bandit.

Must live here: drawing. Must not: the odds (features/models/bandit.py), what a bandit's decision
tells its learner (offering.py). A split's lot is the customer's, the same
always; a bandit's is the decision's: a hash of what makes its id, held against the odds of the
model in force, so that a replay draws alike. Its probability is the propensity of the decision's
row, its step the bandit's own, whatever is drawn: nothing drawn is a decision too.
"""

from collections.abc import Sequence

from engine.ids import share
from engine.journal import Instance
from engine.turn import Turn
from features.models import bandit as model
from rules.model import Bandit, Rule, Split, SplitBranch


class Lot:
    """All that is drawn on the way to one decision."""

    __slots__ = ("arm", "at", "bandit", "instance", "known", "propensity", "rule", "turn")

    def __init__(self, turn: Turn, rule: Rule, instance: Instance, at: int) -> None:
        self.turn, self.rule, self.instance, self.at = turn, rule, instance, at
        self.propensity = 1.0
        self.bandit: Bandit | None = None
        self.arm = ""
        self.known: dict[str, float] = {}  # what the odds were made of

    def draw(self, step: Split | Bandit) -> SplitBranch:
        """The branch that falls to the customer; an example of a rule may say which."""
        told = self.turn.moment.draws
        forced = next((one for one in step.branches if one.name in told), None) if told else None
        if isinstance(step, Bandit):
            return self._arm(step, forced)
        it = self.instance
        drawn = forced or step.drawn(share(self.rule.name, self.rule.run, step.step, it.birth))
        self.propensity *= drawn.share
        return drawn

    def _arm(self, step: Bandit, forced: SplitBranch | None) -> SplitBranch:
        turn, rule, it = self.turn, self.rule, self.instance
        self.known = model.readings(turn.customer, self.at)
        self.known |= {name: turn.extra[name] for name in self.known.keys() & turn.extra.keys()}
        arms = [one.name for one in step.branches]
        scorer = turn.moment.models.get(model.MODEL)
        odds = [one.share for one in step.branches]
        if scorer is not None:
            inputs = model.vector(self.known)
            odds = scorer.odds(model.place(rule.name, step.step), arms, inputs, step.explore)
        lot = share("bandit", rule.name, rule.run, it.subject, step.step, it.birth)
        drawn = forced or step.branches[_fallen(odds, lot)]
        self.bandit, self.arm = step, drawn.name
        self.propensity *= odds[arms.index(drawn.name)]
        return drawn

    def values(self) -> dict[str, str]:
        """What the odds were made of, as the decision's row has it."""
        return {name: _text(value) for name, value in self.known.items()}


def _fallen(odds: Sequence[float], lot: float) -> int:
    """Where a lot from 0 to below 1 falls."""
    for number, one in enumerate(odds):
        if lot < one:
            return number
        lot -= one
    return len(odds) - 1


def _text(value: float) -> str:
    return "unknown" if value != value else str(value)  # noqa: PLR0124 - NaN
