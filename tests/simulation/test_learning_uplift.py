"""The Qini curve on answers that are known, and the model on a real mailing."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from simulator.learning_uplift import (
    FILE,
    NONE,
    WOMENS,
    Mailing,
    Streamed,
    area,
    curve,
    everybody,
    first_half,
    streamed,
    uplift,
)

DATA = Path(os.environ.get("LAIKE_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(not (DATA / FILE).exists(), reason="the real data is not here")


def known(seed=1, many=4_000):
    """Half of the people come because of the mail, the others whatever is done, or never."""
    rng = np.random.default_rng(seed)
    persuaded, treated = rng.random(many) < 0.5, (rng.random(many) < 0.5).astype(float)
    anyway = ~persuaded & (rng.random(many) < 0.5)
    visited = (anyway | (persuaded & (treated == 1))).astype(float)
    scores = {"right": persuaded.astype(float), "lot": rng.random(many), "anyway": anyway * 1.0}
    return Streamed(treated, visited, scores, Mailing())


def test_the_curve_of_who_knows_wins_and_of_who_comes_anyway_loses():
    found = known()
    right, lot, anyway = (area(found.scores[name], found) for name in ("right", "lot", "anyway"))
    assert right.low > 0
    assert right.value == pytest.approx(125, abs=15)  # a triangle of half by a quarter, of 1,000
    assert lot.low < 0 < lot.high
    assert anyway.high < 0
    assert first_half(found.scores["right"], found) == pytest.approx(500, abs=30)
    assert everybody(found) == pytest.approx(500, abs=30)


def test_every_curve_ends_where_all_are_treated():
    found = known(2)
    ends = [curve(score, found)[-1] for score in found.scores.values()]
    assert ends == pytest.approx([ends[0]] * 3)


def test_where_the_data_is_not_there_is_nothing_to_say(tmp_path):
    assert uplift(tmp_path) is None


@needs_data
def test_a_real_mailing_streamed_once_is_better_sent_by_who_is_persuaded():
    with gzip.open(DATA / FILE, "rt", encoding="utf-8") as opened:
        rows = [row for row in csv.DictReader(opened) if row["segment"] in {WOMENS, NONE}]
    found = streamed(rows)
    assert len(found.treated) == (len(rows) + 1) // 2
    ours = area(found.scores["ours"], found)
    assert ours.low > 0
    assert ours.value > area(found.scores["response"], found).value
    assert found.learner.metrics()["average"] == pytest.approx(0.0457, abs=0.001)
