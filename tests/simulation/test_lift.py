"""The lift that analysts read against a truth that is known: both arms lived by the same people."""

import pytest

from simulator.lift import estimates, summary
from simulator.lift_trial import Design

SMALL = Design(customers=320, days=18, holdout=0.5)
SEEDS = 6


@pytest.fixture(scope="module")
def found():
    return list(estimates(range(SEEDS), 2, SMALL))


def test_the_interval_covers_the_true_lift(found):
    told = summary(found)
    assert told["no_interval"] == 0
    assert told["covered"] >= SEEDS - 1
    assert told["coverage_revenue"] >= (SEEDS - 1) / SEEDS


def test_the_estimate_is_about_those_who_entered_and_not_biased(found):
    assert all(one["n1"] + one["n0"] == one["entered"] > 60 for one in found)
    told = summary(found)
    assert told["true_lift"] > 0.02
    assert abs(told["estimated_lift"] - told["true_lift"]) < 0.1


def test_seeds_are_different_worlds_and_each_the_same_again(found):
    assert len({one["true_lift"] for one in found}) > SEEDS / 2
    first = next(one for one in found if one["seed"] == 0)
    (again,) = estimates(range(1), 1, SMALL)
    assert again == first
