"""Champion and challenger: who is promoted has shown it, and a restored duel goes on to the bit."""

import random
from types import MappingProxyType

import orjson
import pytest

from features.models.duel import ENOUGH, EPOCH, WARM_UP, Duel
from features.models.purchase import INPUTS, MODEL, Scorer
from features.models.purchase_challenger import Newton, PurchaseDuel


class Side:
    """Its loss is what the example says."""

    NAME = ""

    def __init__(self):
        self.examples, self.last_loss, self.sum = 0, 0.0, 0.0

    def learn(self, example):
        self.last_loss = example[self.NAME]
        self.sum += self.last_loss
        self.examples += 1

    def metrics(self):
        return {"log_loss": self.sum / self.examples} if self.examples else {}

    def weights(self):
        return {"of": self.NAME}

    def state(self):
        return {"examples": self.examples, "sum": self.sum, "last": self.last_loss}

    @classmethod
    def restore(cls, state):
        side = cls()
        side.examples, side.sum, side.last_loss = state["examples"], state["sum"], state["last"]
        return side


class Old(Side):
    NAME = "old"


class New(Side):
    NAME = "new"


class Two(Duel):
    SIDES = MappingProxyType({"old": Old, "new": New})


def losses(seed, number, better):
    """Both err by chance, the new one less by so much."""
    chance = random.Random(seed)
    for _ in range(number):
        hard = chance.random()
        yield {"old": hard + chance.gauss(0, 0.2), "new": hard - better + chance.gauss(0, 0.2)}


def fought(seed, number, better):
    duel = Two()
    for example in losses(seed, number, better):
        duel.learn(example)
    return duel


def test_the_better_one_is_promoted_once_and_its_weights_are_published():
    duel = fought(1, 3_000, 0.05)
    assert duel.champion == "new"
    assert duel.weights() == {"of": "new"}
    (told,) = duel.promotions
    assert told["promoted"] == "new"
    assert told["over"] < 3_000
    assert told["gain"] > 0.02
    found = duel.metrics()
    assert found["promotions"] == 1
    assert found["log_loss"] < found["challenger_log_loss"]


def test_the_other_way_round_nothing_happens():
    duel = fought(1, 3_000, -0.05)
    assert (duel.champion, duel.promotions) == ("old", [])


def test_who_is_better_by_less_than_the_margin_is_not_promoted():
    assert not any(fought(seed, 2_000, 0.001).promotions for seed in range(20))


def test_of_equals_hardly_any_is_promoted():
    """By Ville's inequality 1 in 1,000 at most, were each gain fair; the margin makes it fewer."""
    assert sum(fought(seed, WARM_UP + 500, 0.0).promoted for seed in range(200)) <= 1


def test_the_first_examples_are_no_test():
    duel = fought(1, WARM_UP, 0.5)
    assert (duel.wealth, duel.promoted) == (1.0, 0)


def test_they_do_not_come_and_go():
    """Each has its seasons; of 12,000 examples a promotion takes hundreds."""
    duel = Two()
    for season in range(6):
        for example in losses(season, 2_000, 0.06 if season % 2 else -0.06):
            duel.learn(example)
    assert 1 <= duel.promoted <= 5
    gaps = [
        b["examples"] - a["examples"]
        for a, b in zip(duel.promotions, duel.promotions[1:], strict=False)
    ]
    assert all(gap > 500 for gap in gaps)


def test_an_old_defeat_is_forgotten_after_an_epoch():
    duel = fought(3, WARM_UP + EPOCH, -0.3)
    assert duel.wealth == 1.0
    for example in losses(4, 3_000, 0.05):
        duel.learn(example)
    assert duel.champion == "new"


def test_restored_it_promotes_at_the_same_example():
    straight, stopped = fought(5, 600, 0.05), fought(5, 600, 0.05)
    stopped = Two.restore(orjson.loads(orjson.dumps(stopped.state())))
    assert stopped.wealth not in {1.0, ENOUGH}
    for example in losses(6, 3_000, 0.05):
        straight.learn(example)
        stopped.learn(example)
        assert stopped.champion == straight.champion
    assert stopped.promotions == straight.promotions != []
    assert stopped.state() == straight.state()
    again = Two.restore(orjson.loads(orjson.dumps(straight.state())))
    assert (again.champion, again.metrics()) == ("new", straight.metrics())


def test_a_side_that_is_new_begins_as_challenger():
    class Other(Duel):
        SIDES = MappingProxyType({"newest": New, "old": Old})

    state = fought(7, 50, 0.0).state()
    duel = Other.restore(state)
    assert (duel.champion, duel.challenger, duel.wealth) == ("old", "newest", 1.0)
    assert duel.sides["newest"].examples == 0
    with pytest.raises(ValueError, match="champion"):
        Two.restore({**state, "champion": "nobody"})


def test_the_purchase_model_has_a_challenger_that_the_same_scorer_reads():
    chance, duel = random.Random(2), PurchaseDuel()
    for n in range(300):
        features = [chance.random() for _ in INPUTS]
        duel.learn({"features": features, "label": int(features[3] > 0.6), "at": n})
    found = duel.metrics()
    assert {"log_loss", "auc", "challenger_log_loss", "challenger_auc"} <= found.keys()
    newton = duel.sides["newton"]
    assert isinstance(newton, Newton)
    assert newton.weights()["model"] == MODEL
    likely, hardly = ([0.5] * 3 + [seen] + [0.5] * (len(INPUTS) - 4) for seen in (0.9, 0.1))
    for side in duel.sides.values():
        scorer = Scorer(side.weights())
        assert scorer.score(likely) > scorer.score(hardly)
    again = PurchaseDuel.restore(orjson.loads(orjson.dumps(duel.state())))
    assert again.state() == duel.state()
    assert again.weights() == duel.weights()
