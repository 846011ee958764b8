"""Next baskets, judged: the protocol on a made-up year that is small enough to be counted by hand."""

import csv
import gzip
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from features.fold import DAY_MS
from simulator import learning_recommendations as learning
from simulator.basket_baselines import Order, Past, baselines

COLUMNS = (
    *("ts", "event", "order_id", "customer_id", "sku", "description", "quantity", "unit_price"),
    *("country", "is_product"),
)


def year(seed=7, until=365):
    """Customers of five tastes, four products each: some are bought again, some follow others."""
    chance, number = random.Random(seed), 0
    rows = []
    for who in range(60):
        kind, day, held = who % 5, chance.randrange(20), 0
        while day < until:
            number += 1
            basket = {f"again{kind}", f"step{kind}x{min(held, 5)}", f"odd{chance.randrange(60)}"}
            rows += [(day, number, who, product) for product in sorted(basket)]
            held += 1
            day += chance.randrange(20, 45)
    return sorted(rows)


def write(folder: Path, rows) -> Path:
    start = datetime(2010, 12, 1, 12, tzinfo=UTC)
    path = folder / learning.ORDERS
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for day, number, who, product in rows:
            at = (start + timedelta(days=day)).strftime("%Y-%m-%d %H:%M:%S")
            writer.writerow(
                [at, "order_completed", number, who + 1, product, product, 1, "2.5", "UK", 1]
            )
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return learning.measured(write(tmp_path_factory.mktemp("year"), year()), (6, 9))


def test_ours_is_ahead_where_there_is_something_to_learn(found):
    for month in found.values():
        for kind in ("any", "new"):
            ours = month[learning.OURS][kind]
            assert ours.asked > 20
            assert ours.recall > month["popularity"][kind].recall
        assert month[learning.OURS]["any"].hits == month[learning.OURS]["any"].asked
        assert len({one["any"].asked for one in month.values()}) == 1
        assert len({one["new"].asked for one in month.values()}) == 1


def test_what_comes_after_a_day_changes_no_list_of_that_day(found, tmp_path):
    cut = (datetime(2011, 6, 1, tzinfo=UTC) - datetime(2010, 12, 1, tzinfo=UTC)).days
    known = [row for row in year() if row[0] < cut + 31]
    assert learning.measured(write(tmp_path, known), (6,))[6] == found[6]


def test_the_section_tells_means_over_the_days(found):
    section = learning.report(found)
    ours = [found[month][learning.OURS]["new"] for month in found]
    hits, asked = sum(one.hits for one in ours), sum(one.asked for one in ours)
    assert section.rows[0]["list"] == learning.OURS
    assert section.rows[0]["new: hit"] == pytest.approx(hits / asked)
    assert section.figures["new"]["hit_rate"] == section.rows[0]["new: hit"]
    assert set(section.figures["any"]["baselines"]) == {row["list"] for row in section.rows[1:]}
    assert {len(chart.curves) for chart in section.charts} == {len(section.rows)}


def test_a_path_without_the_data_has_no_section(tmp_path):
    assert learning.next_basket(tmp_path) is None


def test_the_baselines_are_what_their_names_say():
    orders = [
        Order(0, "1", ["a", "b"]), Order(0, "2", ["a", "b"]), Order(DAY_MS, "2", ["c"]),
        Order(8 * DAY_MS, "", ["c", "d"]), Order(8 * DAY_MS, "", ["d"]),
    ]  # fmt: skip
    past = Past(8 * DAY_MS, orders, {"a": 0, "b": 1, "c": 2, "d": 3}, ["2", "1"])
    scores = {name: made.tolist() for name, made in baselines(past)}
    assert scores["popularity"][0] == [2, 2, 2, 2]
    assert scores["popularity, half-life 7 days"][1][2] == 1.5
    own = scores["his own most bought, then popularity"]
    assert own[1][0] > own[1][2] == own[1][3] > 0
    near = np.array(scores["item-kNN, all neighbours"])
    assert near[1] == pytest.approx([1, 1, 2 * 0.5**0.5, 0], abs=1e-6)
    itself = np.array(scores["item-kNN, itself the nearest"])
    assert itself - near == pytest.approx(np.array([[1, 1, 1, 0], [1, 1, 0, 0]]), abs=1e-6)
