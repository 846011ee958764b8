"""Every model's scorer, made from the weights that its learner published.

Must live here: the table. Must not: a model, River. A scorer refuses weights that are none of its
own by ValueError, LookupError or TypeError.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from features.models import anomaly, bandit, purchase, recommend, returning, reviews, uplift

SCORERS: Final[dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    anomaly.MODEL: anomaly.Scorer,
    bandit.MODEL: bandit.Scorer,
    purchase.MODEL: purchase.Scorer,
    recommend.MODEL: recommend.Scorer,
    returning.CHURN: returning.Chance,
    returning.PURCHASE: returning.Chance,
    returning.VALUE: returning.Value,
    reviews.MODEL: reviews.Scorer,
    uplift.COUPON: uplift.Scorer,
    uplift.VISIT: uplift.Scorer,
}
