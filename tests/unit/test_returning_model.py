import math
import random

import msgspec
import orjson
import pytest

from features.models.progress import area_under_curve, calibration_error
from features.models.returning import (
    CHURN,
    INPUTS,
    PURCHASE,
    VALUE,
    Chance,
    Value,
    horizon_days,
    pack,
    unpack,
    vector,
)
from features.models.returning_learner import Churn, Purchase
from features.models.returning_learner import Value as ValueLearner
from tests.made_events import DAY, NOW, Shopper, event

LEARNERS = pytest.mark.parametrize("kind", [Purchase, Churn, ValueLearner])


def made(number, kind, seed=7, days=None):
    """Examples of a made world: who is overdue comes less, who is strong comes more, for more."""
    chance = random.Random(seed)
    for n in range(number):
        inputs = [abs(chance.gauss(0, 1)) for _ in INPUTS]
        logit = 1.5 * inputs[INPUTS.index("strength")] - 2 * inputs[INPUTS.index("overdue")]
        label = int(chance.random() < 1 / (1 + math.exp(-logit)))
        paid = math.exp(3 + inputs[INPUTS.index("largest")] + chance.gauss(0, 0.5)) * label
        yield {
            "features": inputs, "label": label, "paid": paid, "known": NOW + n * 60_000,
            "days": kind.DAYS if days is None else days,
        }  # fmt: skip


def taught(kind, number=2_000, **more):
    learner = kind()
    for example in made(number, kind, **more):
        learner.learn(example)
    return learner


def test_who_never_ordered_has_no_inputs():
    assert vector(Shopper().see(event("Product Viewed", product_id="p")).customer, NOW) is None
    assert vector(Shopper().see(event("Order Refunded", order_id="o")).customer, NOW) is None


def test_inputs_are_finite_and_kept_in_two_bytes_each():
    shopper = Shopper().see(
        event("Order Paid", NOW - 50 * DAY, order_id="a", total=1e9),
        event("Order Paid", NOW - 9 * DAY, order_id="b", total=0),
    )
    for now in (NOW - 99 * DAY, NOW, NOW + 4_000 * DAY):
        inputs = vector(shopper.customer, now)
        assert len(inputs) == len(INPUTS)
        assert all(map(math.isfinite, inputs))
        assert len(pack(inputs)) <= 2 * len(INPUTS)
        assert unpack(pack(inputs)) == pytest.approx(inputs, rel=1e-3, abs=1e-4)


def test_the_horizon_is_his_own():
    def often(days):
        paid = (
            event("Order Paid", NOW - n * days * DAY, order_id=f"{n}") for n in range(20, 0, -1)
        )
        return horizon_days(Shopper().see(*paid).customer)

    assert often(1) == 30
    assert 30 < often(20) < 60
    assert often(80) == 90


@LEARNERS
def test_it_learns_and_says_how_well_before_seeing_the_answer(kind):
    found = taught(kind).metrics()
    assert found["auc"] > 0.75
    assert found["log_loss"] < found["base_log_loss"]
    assert found["brier"] < 0.2
    assert found["calibration_error"] < 0.05


@LEARNERS
def test_labels_at_random_teach_nothing(kind):
    chance, learner = random.Random(3), kind()
    for example in made(1_500, kind):
        learner.learn(example | {"label": int(chance.random() < 0.3)})
    assert 0.45 < learner.metrics()["auc"] < 0.55
    assert learner.metrics()["log_loss"] < learner.metrics()["base_log_loss"] * 1.03


@LEARNERS
def test_restored_it_goes_on_to_the_bit(kind):
    whole = taught(kind, 300)
    half = kind()
    for n, example in enumerate(made(300, kind)):
        if n == 150:
            half = kind.restore(orjson.loads(orjson.dumps(half.state())))
        half.learn(example)
    assert orjson.dumps(half.state()) == orjson.dumps(whole.state())
    assert half.metrics() == whole.metrics()
    assert half.weights() == whole.weights()


@LEARNERS
def test_the_scorer_says_what_the_learner_says(kind):
    learner = taught(kind, 400)
    for example in made(100, kind, days=kind.HORIZONS[-1]):
        learner.learn(example)
    weights = orjson.loads(orjson.dumps(learner.weights()))
    scorer = Value(weights) if kind is ValueLearner else Chance(weights)
    for example in made(20, kind, seed=9):
        given = learner._chance.chance(example["features"])
        assert scorer.score(example["features"]) == pytest.approx(given)


@LEARNERS
@pytest.mark.parametrize(
    "bad",
    [
        {"label": 2},
        {"label": None},
        {"features": [0.0]},
        {"features": [math.nan] * len(INPUTS)},
        {"days": 7},
        {"known": None},
    ],
)
def test_a_bad_example_is_refused_and_nothing_changes(kind, bad):
    learner = taught(kind, 40)
    before = orjson.dumps(learner.state())
    with pytest.raises((ValueError, LookupError, TypeError)):
        learner.learn({**next(made(1, kind)), **bad})
    assert orjson.dumps(learner.state()) == before


def test_what_another_model_learned_is_refused():
    with pytest.raises(ValueError, match="model: expected 'churn', got 'purchase_30d'"):
        Churn.restore(Purchase().state())
    assert {Purchase.MODEL, Churn.MODEL, ValueLearner.MODEL} == {PURCHASE, CHURN, VALUE}


def test_few_examples_are_no_score():
    assert taught(Purchase, 29).weights() == {}
    assert taught(Purchase, 30).weights()


def test_the_other_horizon_teaches_and_is_not_judged():
    learner = taught(Purchase, 500, days=90)
    assert learner.examples == 0
    assert learner.metrics() == {}
    assert math.isnan(learner.last_loss)  # and not watched for drift
    alone = Purchase()
    for example in made(200, Purchase, seed=8):
        learner.learn(example)
        alone.learn(example)
    assert learner.metrics()["log_loss"] < alone.metrics()["log_loss"]
    assert learner.examples == alone.examples == 200


def test_values_are_money_near_the_mean():
    learner = taught(ValueLearner, 3_000)
    found = learner.metrics()
    assert found["mean_absolute_error"] < 0.9 * found["base_mean_absolute_error"]
    assert found["mean_value"] == pytest.approx(found["mean_paid"], rel=0.15)
    scorer = Value(learner.weights())
    assert all(scorer.value(one["features"]) >= 0 for one in made(50, ValueLearner, seed=2))


def test_a_scorer_refuses_what_is_no_weights():
    weights = taught(ValueLearner, 40).weights()
    for bad in ({}, {"chance": {}}, {"chance": {"bias": math.nan}}):
        with pytest.raises((ValueError, LookupError, TypeError)):
            Chance(bad)
    with pytest.raises(ValueError, match="smear"):
        Value(weights | {"smear": 0})


def test_a_learner_of_fewer_inputs_goes_on_with_what_both_know():
    learner = taught(Purchase, 400)
    state = msgspec.to_builtins(learner.state())
    for line in state["chance"]["lines"].values():
        line["names"] = ["other" if name == "views_7d" else name for name in line["names"]]
    restored = Purchase.restore(state)
    assert restored.weights()["chance"]["views_7d"] == 0
    assert restored.weights()["chance"]["strength"] == learner.weights()["chance"]["strength"]


def test_the_curve_and_the_calibration():
    assert area_under_curve([(1, 0.9), (0, 0.8), (0, 0.1)]) == 1
    assert area_under_curve([(1, 0.5), (0, 0.5)]) == 0.5
    fair = [(int(n % 10 < 3), 0.3) for n in range(100)]
    assert calibration_error(fair) == pytest.approx(0, abs=1e-9)
    assert calibration_error([(1, 1.0), (0, 1.0)]) == 0.5
