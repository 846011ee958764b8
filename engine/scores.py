"""The scores of a customer, each had from what a shard's model says of him.

Must live here: the table from a score's name to how it is had. Must not: a model
(features/models), when it is asked (laid.py for a rule that reads it, membership.py for a segment).
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final

from engine.effects import Moment
from features.customer import Customer
from features.models import anomaly, purchase, returning, uplift

Score = Callable[[Customer, Moment, int], float | None]


def scores_of(customer: Customer, moment: Moment, now: int) -> dict[str, float]:
    """All the scores that can be had of him at `now` (ms)."""
    found = {name: score(customer, moment, now) for name, score in SCORES.items()}
    return {name: value for name, value in found.items() if value is not None}


def scores_read(names: AbstractSet[str], customer: Customer, moment: Moment) -> dict[str, Any]:
    """Those of the names that are scores, as of the shard's log time; None where it is missing.

    What an example of a rule lays over the customer is not computed.
    """
    wanted = (SCORES.keys() & names) - moment.presets.keys()
    return {name: SCORES[name](customer, moment, moment.log_time) for name in sorted(wanted)}


def _purchase_24h(customer: Customer, moment: Moment, now: int) -> float | None:
    scorer = moment.models.get(purchase.MODEL)
    return scorer.score(purchase.vector(customer, now)) if scorer else None


def _returning(model: str, read: Callable[[Any, list[float]], float]) -> Score:
    def score(customer: Customer, moment: Moment, now: int) -> float | None:
        scorer = moment.models.get(model)
        inputs = returning.vector(customer, now) if scorer else None
        return read(scorer, inputs) if inputs is not None else None

    return score


def _uplift(model: str) -> Score:
    def score(customer: Customer, moment: Moment, now: int) -> float | None:
        scorer = moment.models.get(model)
        return scorer.score(uplift.vector(customer, now)) if scorer else None

    return score


def _anomaly(customer: Customer, moment: Moment, _now: int) -> float | None:
    scorer = moment.models.get(anomaly.MODEL)
    inputs = anomaly.vector(customer) if scorer else None
    return scorer.score(inputs) if scorer and inputs else None


SCORES: Final[dict[str, Score]] = {
    "purchase.chance_24h": _purchase_24h,
    "purchase.chance_30d": _returning(returning.PURCHASE, returning.Chance.score),
    "churn.risk": _returning(returning.CHURN, returning.Chance.score),
    "value.next_90d": _returning(returning.VALUE, returning.Value.value),
    "uplift.coupon": _uplift(uplift.COUPON),
    "uplift.visit": _uplift(uplift.VISIT),
    "risk.anomaly": _anomaly,
}
