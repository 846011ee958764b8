"""A real shop's year, streamed: who buys next is told better than the baselines tell it.

Every third customer, to be quick; `laike learn report` tells of all of them.
"""

import csv
import gzip
import os
from pathlib import Path

import pytest

from simulator import learning_propensity
from simulator.learning_propensity import churn, next_30_day_purchase, value

DATA = Path(os.environ.get("LAIKE_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
ORDERS = DATA / learning_propensity.ORDERS

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not ORDERS.exists(), reason=f"{ORDERS.name} is not in LAIKE_DATA_DIR"),
]


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("orders") / ORDERS.name
    with gzip.open(ORDERS, "rt") as source, gzip.open(path, "wt", compresslevel=1) as target:
        reader = csv.reader(source)
        header = next(reader)
        who = header.index("customer_id")
        writer = csv.writer(target)
        writer.writerow(header)
        writer.writerows(row for row in reader if row[who] and not int(row[who]) % 3)
    return path


@pytest.fixture(autouse=True)
def one_day_each(monkeypatch):
    """The day that is told of, not the months before it."""
    monkeypatch.setattr(learning_propensity, "FIRST_TOLD", learning_propensity.MAIN)


def test_who_orders_within_thirty_days(orders):
    found = next_30_day_purchase(orders).figures
    baselines = found["baselines"]
    assert found["auc"] > 0.73
    assert found["auc"] > baselines.pop("batch logistic, our inputs") - 0.015
    assert found["auc"] > max(baselines.values()), found
    progressive = found["progressive"]
    assert progressive["log_loss"] < 0.92 * progressive["base_log_loss"]
    assert progressive["calibration_error"] < 0.08


def test_who_leaves(orders):
    found = churn(orders).figures
    assert found["auc"] > max(found["baselines"].values()) + 0.02


def test_what_the_next_ninety_days_bring(orders):
    found = value(orders).figures
    mean = found["baselines"]["mean of the last 90 days"]
    assert found["mean_absolute_error"] < 0.8 * mean["mean_absolute_error"]
    assert found["top_tenth_share"] > 0.4
