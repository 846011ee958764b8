"""Half-Space Trees: what is rare ranks high, the plain scorer says what River says, restorable."""

import json
import random

import pytest

from features.catalog import REGISTRY
from features.customer import Customer
from features.models.anomaly import INPUTS, Scorer, vector
from features.models.anomaly_learner import WINDOW, Learner


def usual(rng):
    return [min(1.0, max(0.0, rng.gauss(0.3, 0.08))) for _ in INPUTS]


STRANGE = [0.95] * len(INPUTS)


@pytest.fixture(scope="module")
def taught():
    rng = random.Random(4)
    learner = Learner()
    for _ in range(3 * WINDOW):
        learner.learn({"model": "risk_anomaly", "features": usual(rng)})
    return learner


def test_what_is_rare_ranks_above_what_is_usual(taught):
    scorer = Scorer(taught.weights())
    rng = random.Random(6)
    scores = [scorer.score(usual(rng)) for _ in range(200)]
    assert sum(scores) / 200 == pytest.approx(0.5, abs=0.1)
    assert scorer.score(STRANGE) == 1.0


def test_the_scorer_walks_as_rivers_trees_do(taught):
    scorer = Scorer(json.loads(json.dumps(taught.weights())))
    rng = random.Random(8)
    for one in [STRANGE, *(usual(rng) for _ in range(100)), [rng.random() for _ in INPUTS]]:
        assert scorer.strangeness(one) == pytest.approx(taught.strangeness(one), abs=1e-12)


def test_before_two_windows_it_says_nothing():
    learner, rng = Learner(), random.Random(1)
    for _ in range(2 * WINDOW - 1):
        learner.learn({"features": usual(rng)})
        assert learner.weights() == {}
    learner.learn({"features": usual(rng)})
    assert learner.weights()
    assert learner.metrics()["strangeness_p99"] >= learner.metrics()["strangeness_p50"]


def test_it_is_small_whatever_was_learned(taught):
    assert len(json.dumps(taught.weights())) < 60_000
    assert len(json.dumps(taught.state())) < 80_000


def test_restored_it_goes_on_to_the_bit(taught):
    kept = json.dumps(taught.state())
    again, once = Learner.restore(json.loads(kept)), Learner.restore(json.loads(kept))
    assert json.dumps(again.state()) == kept
    rng = random.Random(2)
    for _ in range(WINDOW + 10):
        one = {"features": usual(rng)}
        again.learn(one)
        once.learn(one)
        assert again.strangeness(STRANGE) == once.strangeness(STRANGE)
    assert again.state() == once.state()
    assert Learner.restore(Learner().state()).examples == 0


def test_what_is_none_of_its_own_is_refused(taught):
    for wrong in ({"model": "x"}, {**taught.state(), "inputs": ["a"]}):
        with pytest.raises(ValueError, match="expected"):
            Learner.restore(wrong)
    with pytest.raises(ValueError, match="nodes each"):
        Learner.restore({**taught.state(), "trees": [[[], [], [], []]] * 15})
    with pytest.raises(ValueError, match="expected"):
        Scorer({**taught.weights(), "trees": [[[0], [0.5], [1, 2]]]})
    with pytest.raises(ValueError, match="from 0 to 1"):
        taught.learn({"features": [2.0] * len(INPUTS)})


def test_who_never_ordered_has_no_inputs():
    assert vector(Customer.decode("u:1", None, REGISTRY)) is None
