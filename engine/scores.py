"""The scores of a customer, each had from what a shard's model says of him.

Must live here: the table from a score's name to how it is had. Must not: a model
(features/models), when it is asked (laid.py does so for a rule that reads it).
"""

from collections.abc import Callable
from typing import Final

from engine.effects import Moment
from features.customer import Customer
from features.models import purchase

Score = Callable[[Customer, Moment, int], float | None]


def scores_of(customer: Customer, moment: Moment, now: int) -> dict[str, float]:
    """All the scores that can be had of him at `now` (ms)."""
    found = {name: score(customer, moment, now) for name, score in SCORES.items()}
    return {name: value for name, value in found.items() if value is not None}


def _purchase_24h(customer: Customer, moment: Moment, now: int) -> float | None:
    scorer = moment.models.get(purchase.MODEL)
    return scorer.score(purchase.vector(customer, now)) if scorer else None


SCORES: Final[dict[str, Score]] = {
    "purchase.chance_24h": _purchase_24h,
}
