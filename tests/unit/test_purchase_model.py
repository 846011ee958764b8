import math
import random

import pytest

from features.catalog import FEATURES
from features.models.purchase import INPUTS, MODEL, Scorer, vector
from features.models.purchase_learner import Learner
from features.models.snapshot import pack, unpack
from tests.made_events import DAY, HOUR, NOW, Shopper, event


def examples(number, seed=618):
    """Buyers of a made world: who has a full cart and looked today buys more."""
    chance = random.Random(seed)
    for _ in range(number):
        inputs = [abs(chance.gauss(0, 1)) for _ in INPUTS]
        logit = 2 * inputs[3] + 2 * inputs[8] - inputs[10] - 4
        yield inputs, int(chance.random() < 1 / (1 + math.exp(-logit)))


def taught(number=3_000):
    learner = Learner()
    for inputs, label in examples(number):
        learner.learn_one(inputs, label)
    return learner


def test_inputs_are_numbers_of_the_catalog():
    assert 10 <= len(INPUTS) <= 14
    assert all(FEATURES[name].type == "number" for name in INPUTS)


def test_a_vector_is_finite_whoever_it_is():
    assert vector(Shopper().customer, NOW) == [0.0] * len(INPUTS)
    shopper = Shopper().see(
        event("Order Paid", NOW - DAY, order_id="o", total=5),
        event("Product Added", NOW - HOUR, product_id="p", price=100, quantity=2),
        event("Product Viewed", product_id="p"),
    )  # fmt: skip
    named = dict(zip(INPUTS, vector(shopper.customer, NOW), strict=True))
    assert named["cart.value"] == pytest.approx(math.log(201))
    assert named["cart.idle_hours"] == 0.5
    assert named["orders.days_since_last"] == 0.5
    assert named["windows.views_24h"] == pytest.approx(math.log(2))
    no_price = Shopper().see(event("Product Added", product_id="p"))
    assert all(math.isfinite(value) for value in vector(no_price.customer, NOW))


@pytest.mark.parametrize("later", [0, HOUR // 2, HOUR, DAY, 8 * DAY, 40 * DAY])
def test_each_input_is_the_feature_of_its_name(later):
    shopper = Shopper().see(
        event("Products Searched", NOW - 2 * DAY, query="tea"),
        event("Order Paid", NOW - DAY, order_id="o", total=5),
        event("Product Added", NOW - HOUR, product_id="p", price=100, quantity=2),
        event("Product Viewed", NOW - HOUR, product_id="p"),
        event("Product Viewed", product_id="p"),
    )  # fmt: skip
    found = vector(shopper.customer, NOW + later)
    for name, input_ in zip(INPUTS, found, strict=True):
        value, is_time = shopper.at(name, NOW + later), FEATURES[name].unit in {"days", "hours"}
        wanted = 1 / (1 + value) if is_time else math.log1p(value)
        assert input_ == (0 if math.isnan(value) else wanted), name


def test_it_learns_and_says_how_well_before_seeing_the_answer():
    found = taught().metrics()
    assert found["auc"] > 0.8
    assert found["log_loss"] < found["base_log_loss"]
    assert 0.1 < found["positive_rate"] < 0.5


def test_labels_at_random_teach_nothing():
    chance, learner = random.Random(1), Learner()
    for inputs, _ in examples(3_000):
        learner.learn_one(inputs, int(chance.random() < 0.2))
    assert abs(learner.metrics()["auc"] - 0.5) < 0.06


def test_the_score_given_is_from_before_the_example():
    learner = taught(200)
    inputs = [1.0] * len(INPUTS)
    before = learner.score(inputs)
    assert learner.learn_one(inputs, 1) == before
    assert learner.score(inputs) > before


def test_before_the_first_example():
    learner = Learner()
    assert learner.metrics() == {}
    assert 0.01 < learner.score([0.0] * len(INPUTS)) < 0.1
    assert learner.weights() == {}
    learner.learn({"model": MODEL, "features": [0.0] * len(INPUTS), "label": 0})
    assert learner.examples == 1
    assert "auc" not in learner.metrics()


def test_a_scorer_says_what_the_learner_says():
    learner = taught(500)
    scorer = Scorer(unpack(pack(learner.weights(), b"s"), b"s"))
    for row, _ in examples(50, seed=5):
        assert scorer.score(row) == pytest.approx(learner.score(row), abs=1e-12)


def test_restored_it_goes_on_to_the_bit():
    straight = taught(400)
    stopped = Learner.restore(unpack(pack(straight.state(), b"s"), b"s"))
    assert stopped.examples == 400
    for inputs, label in examples(400, seed=7):
        assert straight.learn_one(inputs, label) == stopped.learn_one(inputs, label)
    assert straight.state() == stopped.state()
    assert straight.metrics() == stopped.metrics()


def test_a_snapshot_of_other_inputs_scores_by_what_both_know():
    snapshot = taught(300).state()
    for part in ("weights", "means", "variances", "gradients"):
        snapshot[part]["weather.rain"] = snapshot[part].pop("cart.items")
    scorer = Scorer(snapshot)
    assert scorer.weights[INPUTS.index("cart.items")] == 0
    assert 0 < scorer.score([1.0] * len(INPUTS)) < 1
    learner = Learner.restore(snapshot)
    learner.learn_one([1.0] * len(INPUTS), 1)
    assert "cart.items" in learner.state()["weights"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_is_refused_and_nothing_changes(value):
    learner = taught(50)
    before = learner.state()
    with pytest.raises(ValueError, match=r"cart\.value: expected a finite number"):
        learner.learn_one([value if name == "cart.value" else 1.0 for name in INPUTS], 1)
    with pytest.raises(ValueError, match="label: expected 0 or 1"):
        learner.learn_one([1.0] * len(INPUTS), 2)
    with pytest.raises(ValueError, match="shorter"):
        learner.learn_one([1.0], 1)
    assert learner.state() == before


def test_another_models_snapshot_is_refused():
    for reader in (Scorer, Learner.restore):
        with pytest.raises(ValueError, match=MODEL):
            reader({"model": "churn"})
