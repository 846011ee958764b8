"""What others would do to tell who buys next: frequency, batch models, one pass of SGD.

Must live here: the baselines of the report on purchases. Must not: ours. They are given the same
customers at the same days; scikit-learn is loaded when one is asked for.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from features.fold import DAY_MS
from simulator.propensity_history import Buyer, Replayed

Label = Callable[[Buyer, int], int]


def chances(past: Replayed, cut: int, days: int, label: Label) -> dict[str, Sequence[float]]:
    """What each baseline gives to the buyers of a cut day, by its name."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - takes a second
    from sklearn.linear_model import LogisticRegression, SGDClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    known = [day for day in past.buyers if day + days * DAY_MS <= cut]
    labels = np.array([label(one, day) for day in known for one in past.buyers[day]])
    plain = np.array([one.plain for day in known for one in past.buyers[day]])
    inputs = np.array([one.inputs for day in known for one in past.buyers[day]])
    now = past.buyers[cut]
    plain_now, inputs_now = np.array([one.plain for one in now]), np.array([o.inputs for o in now])

    def fitted(model: Any, given: Any, asked: Any) -> Sequence[float]:
        return list(model.fit(given, labels).predict_proba(asked)[:, 1])

    def logistic() -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))

    scaler = StandardScaler().fit(plain)
    one_pass = SGDClassifier(loss="log_loss", learning_rate="adaptive", eta0=0.01, random_state=1)
    one_pass.partial_fit(scaler.transform(plain), labels, classes=[0, 1])
    trees = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=6, learning_rate=0.05, random_state=1
    )
    return {
        "frequency": list(plain_now[:, 2]),
        "batch logistic, RFM": fitted(logistic(), plain, plain_now),
        "one-pass SGD, RFM": list(one_pass.decision_function(scaler.transform(plain_now))),
        "boosted trees, RFM": fitted(trees, plain, plain_now),
        "batch logistic, our inputs": fitted(logistic(), inputs, inputs_now),
    }
