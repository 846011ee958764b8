"""Every model that learns, by the name that its examples carry.

Must live here: the table. Must not: a model. Loading this loads River: for the learner alone.
"""

from typing import Final

from features.models import (
    anomaly,
    anomaly_learner,
    bandit,
    bandit_learner,
    purchase,
    purchase_learner,
    returning,
    returning_learner,
    reviews,
    reviews_learner,
    uplift,
    uplift_learner,
)
from features.models.model import Learner

LEARNERS: Final[dict[str, type[Learner]]] = {
    anomaly.MODEL: anomaly_learner.Learner,
    bandit.MODEL: bandit_learner.Learner,
    purchase.MODEL: purchase_learner.Learner,
    returning.CHURN: returning_learner.Churn,
    returning.PURCHASE: returning_learner.Purchase,
    returning.VALUE: returning_learner.Value,
    reviews.MODEL: reviews_learner.Learner,
    uplift.COUPON: uplift_learner.CouponUplift,
    uplift.VISIT: uplift_learner.VisitUplift,
}
