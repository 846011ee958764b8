"""Chances held against a made-up shop whose chances are known."""

import pytest

from simulator.propensity_known import trial


@pytest.mark.parametrize("seed", [1, 2])
def test_chances_are_near_the_truth(seed):
    found = trial(seed)
    assert found.from_truth < 0.05
    assert found.from_labels < 0.08  # 400 labels, by lot
    assert found.auc > 0.85
    assert found.auc_of_truth > found.auc
