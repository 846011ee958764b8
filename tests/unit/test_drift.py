"""ADWIN over a model's losses: a change is found, none is made up, and a stop changes nothing."""

import math
import random

import orjson

from features.models.drift import BLOCKS_MAX, Watch


def losses(seed, number, rate):
    """Log losses of chances that were right while `rate` was 1."""
    chance = random.Random(seed)
    for _ in range(number):
        given = min(max(chance.betavariate(1, 9), 0.01), 0.99)
        yes = chance.random() < min(0.98, given * rate)
        yield -math.log(given if yes else 1 - given)


def found(watch, many):
    return [(at, told) for at, loss in enumerate(many) if (told := watch.add(loss))]


def test_what_does_not_change_raises_no_alarm():
    for seed in range(3):
        watch = Watch()
        assert found(watch, losses(seed, 25_000, 1)) == []
        assert watch.metrics()["drifts"] == 0


def test_buyers_who_became_twice_as_many_are_one_alarm():
    watch = Watch()
    assert found(watch, losses(1, 5_000, 1)) == []
    ((at, (before, after)),) = found(watch, losses(2, 5_000, 2))
    assert at < 2_000
    assert after > before + 0.05
    assert watch.metrics()["drifts"] == 1
    assert watch.metrics()["recent_loss"] > before


def test_a_model_that_learned_is_no_alarm():
    watch = Watch()
    assert found(watch, losses(1, 3_000, 3)) == []
    assert found(watch, losses(2, 3_000, 1)) == []
    assert watch.alarms == 0


def test_restored_it_goes_on_to_the_bit_and_stays_bounded():
    straight, stopped = Watch(), Watch()
    for part in range(6):
        for loss in losses(part, 4_003, 1 + part % 3):
            assert straight.add(loss) == stopped.add(loss)
        stopped = Watch.restore(orjson.loads(orjson.dumps(stopped.state())))
        assert stopped.state() == straight.state()
        assert stopped.metrics() == straight.metrics()
    assert straight.alarms > 0
    assert len(straight.state()["blocks"]) < BLOCKS_MAX
