"""The protocol of the report on reviews, over a part of the real ones and over made ones."""

import gzip
import os
from pathlib import Path

import pytest

from features.models.reviews_learner import Learner
from simulator import learning_reviews
from simulator.learning_reviews import Told, accuracy, calibration_error, last_fifth, reviews

DATA = Path(os.environ.get("LAIKE_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
FILE = DATA / "optional/reviews_zh_10cats.csv.gz"
MADE = (("很好用，喜欢", 1), ("太差了，坏的", 0), ("物流快，满意", 1), ("客服不理人，失望", 0))


def test_real_reviews_of_ten_categories_are_foretold():
    if not FILE.exists():
        pytest.skip(f"the Chinese reviews are not at {FILE}")
    learner, right = Learner(), []
    for row in reviews(FILE, limit=6_000):
        before = learner.metrics().get("accuracy", 0) * learner.examples
        learner.learn_tone(row.text, row.label)
        right.append(round(learner.metrics()["accuracy"] * learner.examples - before))
    assert sum(right) / len(right) > 0.88
    assert sum(last_fifth(right)) / len(last_fifth(right)) > 0.89


def test_the_report_tells_ours_and_the_baselines(tmp_path):
    lines = [f"茶,{label},{text}{number}" for number in range(60) for text, label in MADE]
    file = tmp_path / "reviews_zh_10cats.csv.gz"
    file.write_bytes(gzip.compress("\n".join(["cat,label,review", *lines]).encode()))
    found = learning_reviews.report(tmp_path)
    assert found is not None
    assert found.figures["accuracy_last_fifth"] == 1.0
    assert found.figures["baselines"]["batch_tfidf_logistic_last_fifth"] == 1.0
    assert [row["of"] for row in found.rows][-1] == "ours, 茶"
    assert learning_reviews.report(tmp_path / "nothing") is None


def test_figures_of_what_was_told():
    told = [Told("a", 0.9, 1), Told("a", 0.9, 0), Told("b", 0.1, 0), Told("b", 0.2, 0)]
    assert accuracy(told) == 0.75
    assert calibration_error(told) == pytest.approx((0.8 + 0.1 + 0.2) / 4)
