"""The uplift model: it finds who is persuaded, says nothing from few, and is restorable."""

import json
import random

import pytest

from features.catalog import REGISTRY
from features.customer import Customer
from features.models.uplift import INPUTS, Scorer, vector
from features.models.uplift_learner import ARM_MIN, CouponUplift, VisitUplift

TREATED = 0.9


def example(rng, effect):
    """A person of two traits: one makes him buy anyway, the other makes him open to persuasion."""
    features = [0.0] * len(INPUTS)
    features[0], features[1] = rng.random(), rng.random()
    treated = int(rng.random() < TREATED)
    chance = 0.05 + 0.6 * features[0] + treated * effect(features[1])
    reward = float(rng.random() < chance)
    return {
        "model": "uplift_coupon", "cid": "u:1", "at": 1, "features": features, "treated": treated,
        "propensity": TREATED, "reward": reward,
    }  # fmt: skip


def taught(effect, number=4_000, seed=3):
    rng = random.Random(seed)
    learner = CouponUplift()
    for _ in range(number):
        learner.learn(example(rng, effect))
    return learner


def somebody(anyway, open_to_it):
    return [anyway, open_to_it, *[0.0] * (len(INPUTS) - 2)]


@pytest.fixture(scope="module")
def persuading():
    return taught(lambda open_to_it: 0.3 * (open_to_it > 0.5))


def test_it_ranks_by_persuasion_and_not_by_who_buys_anyway(persuading):
    scorer = Scorer(persuading.weights())
    open_one, closed_one = somebody(0.2, 0.9), somebody(0.9, 0.1)
    assert scorer.score(open_one) > scorer.score(closed_one) + 0.03
    assert persuading.response(closed_one) > persuading.response(open_one)
    figures = persuading.metrics()
    assert figures["qini"] > 2 * figures["qini_error"] > 0
    assert figures["average"] == pytest.approx(0.15, abs=3 * figures["average_error"])
    assert figures["held_share"] == pytest.approx(0.1, abs=0.02)


def test_the_scorer_says_what_the_learner_says(persuading):
    scorer = Scorer(json.loads(json.dumps(persuading.weights())))
    rng = random.Random(5)
    for _ in range(20):
        one = [rng.random() for _ in INPUTS]
        one[2:] = [0.0] * (len(INPUTS) - 2)
        assert scorer.score(one) == pytest.approx(persuading.score(one), abs=1e-9)


def test_an_effect_that_is_the_same_for_all_gives_all_the_average():
    learner = taught(lambda _: 0.15)
    scores = [learner.score(somebody(a / 4, b / 4)) for a in range(5) for b in range(5)]
    assert max(scores) - min(scores) < 0.1
    assert abs(learner.metrics()["qini"]) < 3 * learner.metrics()["qini_error"]


def test_from_too_few_of_an_arm_it_says_nothing():
    rng = random.Random(1)
    learner = VisitUplift()
    assert learner.metrics() == {}
    held = 0
    while held < ARM_MIN:
        assert learner.weights() == {}
        one = example(rng, lambda _: 0.2)
        learner.learn(one)
        held += 1 - one["treated"]
    assert learner.weights()["model"] == "uplift_visit"


def test_restored_it_goes_on_to_the_bit(persuading):
    again = CouponUplift.restore(json.loads(json.dumps(persuading.state())))
    assert again.state() == persuading.state()
    assert again.weights() == persuading.weights()
    once = CouponUplift.restore(json.loads(json.dumps(persuading.state())))
    rng = random.Random(9)
    for _ in range(30):
        one = example(rng, lambda _: 0.3)
        again.learn(one)
        once.learn(one)
    assert again.state() == once.state()
    assert again.metrics() == once.metrics()


def test_another_models_state_or_weights_are_refused(persuading):
    with pytest.raises(ValueError, match="expected 'uplift_visit'"):
        VisitUplift.restore(persuading.state())
    with pytest.raises(ValueError, match="expected an uplift"):
        Scorer({"model": "purchase_24h", "weights": {}, "intercept": 0.0})
    with pytest.raises(ValueError, match="finite"):
        Scorer({"model": "uplift_visit", "weights": {INPUTS[0]: float("nan")}, "intercept": 0.0})


@pytest.mark.parametrize(
    "wrong",
    [{"treated": 2}, {"propensity": 1.0}, {"features": [1.0]}, {"reward": float("inf")}],
)
def test_an_example_that_is_none_changes_nothing(persuading, wrong):
    before = json.dumps(persuading.state())
    with pytest.raises(ValueError, match=r"expected|treated"):
        persuading.learn({**example(random.Random(1), lambda _: 0.0), **wrong})
    assert json.dumps(persuading.state()) == before


def test_the_inputs_of_somebody_never_seen_are_finite():
    assert vector(Customer.decode("u:1", None, REGISTRY), 10**12) == [0.0] * len(INPUTS)
