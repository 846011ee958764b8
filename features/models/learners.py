"""Every model that learns, by the name that its examples carry.

Must live here: the table. Must not: a model. Loading this loads River: for the learner alone.
"""

from typing import Final

import features.models.lean  # noqa: F401 - before River is loaded
from features.models import (
    anomaly,
    anomaly_learner,
    bandit,
    bandit_learner,
    purchase,
    purchase_challenger,
    recommend,
    recommend_learner,
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
    purchase.MODEL: purchase_challenger.PurchaseDuel,
    recommend.MODEL: recommend_learner.Learner,
    returning.CHURN: returning_learner.Churn,
    returning.PURCHASE: returning_learner.Purchase,
    returning.VALUE: returning_learner.Value,
    reviews.MODEL: reviews_learner.Learner,
    uplift.COUPON: uplift_learner.CouponUplift,
    uplift.VISIT: uplift_learner.VisitUplift,
}
