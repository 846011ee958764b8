"""Reviews: learned from stars, restored to the bit, read alike by learner and worker; spikes."""

import copy
import math
import random
import tempfile
from pathlib import Path

import orjson
import pytest

from features.fold import DAY_MS, HOUR_MS
from features.models import spikes
from features.models.reviews import TEXT_MAX, Scorer, slots, topics_of
from features.models.reviews_learner import FIT_EXAMPLES, Learner
from features.models.spikes import Kind, Said, judge, note, tail
from features.models.topics import SEEDS, TOPICS, units
from features.models.topics_learner import SUPPORT, TopicWords

GOOD = ("great value, works well", "love it, perfect fit", "很好用，喜欢", "正品，发货快，满意")
BAD = ("broke after two days", "terrible, want my money back", "太差了，坏的", "失望，客服不理人")


def made(count: int, share_good: float = 0.5, seed: int = 1) -> list[dict]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        good = chance.random() < share_good
        words = chance.sample(GOOD if good else BAD, 2)
        found.append({"text": " ".join(words), "label": int(good), "cid": "u:u", "at": 1})
    return found


def taught(examples: list[dict]) -> Learner:
    learner = Learner()
    for example in examples:
        learner.learn(example)
    return learner


def test_it_learns_both_languages_and_says_how_well_it_foretold():
    learner = taught(made(300))
    figures = learner.metrics()
    assert figures["accuracy_recent"] > 0.9 > figures["base_accuracy"]
    scorer = Scorer(orjson.loads(orjson.dumps(learner.weights())))
    for text, low, high in (
        ("love it, works well", 0.8, 1.0), ("terrible, broke after two days", 0.0, 0.2),
        ("喜欢，很好用", 0.8, 1.0), ("客服太差了", 0.0, 0.2),
    ):  # fmt: skip
        assert low <= scorer.read(text)[0] <= high, text
        assert scorer.read(text)[0] == pytest.approx(learner.predict(text), abs=0.02)


def test_restored_it_goes_on_to_the_bit():
    examples = made(200)
    learner = taught(examples[:120])
    again = Learner.restore(orjson.loads(orjson.dumps(learner.state())))
    assert again.state() == learner.state()
    for one in examples[120:]:
        learner.learn(one)
        again.learn(copy.deepcopy(one))
    assert again.state() == learner.state()
    assert again.weights() == learner.weights()
    assert again.metrics() == learner.metrics()


@pytest.mark.parametrize("spoilt", [{"model": "x"}, {"bits": 3}, {"arrays": {}}, {"examples": "x"}])
def test_what_is_no_state_is_refused(spoilt: dict):
    state = {**taught(made(4)).state(), **spoilt}
    with pytest.raises((ValueError, LookupError, TypeError)):
        Learner.restore(state)


def test_it_is_not_fit_before_both_kinds_were_seen():
    learner = taught([{"text": "fine", "label": 1} for _ in range(3 * FIT_EXAMPLES)])
    assert learner.weights() == {}
    with pytest.raises(ValueError, match="label"):
        learner.learn({"text": "x", "label": 2})
    assert learner.examples == 3 * FIT_EXAMPLES


def test_nine_good_ones_in_ten_do_not_make_every_unknown_text_bad_or_good():
    learner = taught(made(600, share_good=0.9))
    found = [learner.predict(text) for text in ("zzz qqq", "完全未知的句子")]
    assert all(0.3 < chance < 0.99 for chance in found)
    assert learner.predict(BAD[0]) < 0.3


@pytest.mark.parametrize("text", ["", " ", "!", "x", "好", "a" * 10_000, "\U0001f600", "\x00"])
def test_any_text_has_slots(text: str):
    own = slots(units(text[:TEXT_MAX]))
    assert len(own) >= 1
    assert list(own) == sorted(set(own))


def test_topics_by_seeds_in_both_languages():
    assert topics_of("Wrong item, and the box was crushed") == [
        "packaging",
        "damaged",
        "wrong_item",
    ]
    assert topics_of("客服态度差，退款也不给") == ["service", "refund"]
    assert topics_of("late, latex") == ["delivery"]
    assert topics_of("latex") == []
    assert set(SEEDS.values()) == set(TOPICS)


def test_a_word_that_comes_with_a_topic_is_learned_and_no_other():
    held = TopicWords()
    for number in range(SUPPORT + 5):
        for text in (f"快递太慢，催了{number}次还在中转", "颜色太难看", "今天质量真差劲"):
            held.learn(text, units(text), lambda word: -3.0)
    assert held.learned["中转"] == "delivery"
    assert "颜色" not in held.learned
    again = TopicWords.restore(orjson.loads(orjson.dumps(held.state())))
    assert again.state() == held.state()
    assert "中转" not in str({**held.state(), "learned": {}})


def test_jieba_leaves_no_cache_where_all_may_write():
    before = {path.name for path in Path(tempfile.gettempdir()).glob("jieba*")}
    TopicWords().learn("快递太慢", units("快递太慢"), lambda word: 0.0)
    assert {path.name for path in Path(tempfile.gettempdir()).glob("jieba*")} == before


@pytest.mark.parametrize(("count", "mean"), [(0, 1.0), (3, 0.5), (12, 12.0), (40, 2.0), (100, 0.1)])
def test_the_tail_is_the_sum_of_its_terms(count: int, mean: float):
    terms = (
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count, count + 400)
    )
    assert tail(count, mean) == pytest.approx(math.fsum(terms), rel=1e-9)


def feed(times: list[int]) -> list[int]:
    kind, raised = Kind(times[0]), []
    for at in times:
        note(kind, Said(at, str(at)))
        if judge(kind):
            raised.append(at)
    return raised


def steady(rate: float, until: int, seed: int) -> list[int]:
    chance, at, found = random.Random(seed), 0, []
    while at < until:
        at += int(chance.expovariate(rate) * DAY_MS) + 1
        found.append(at)
    return found


def test_a_steady_rate_raises_next_to_nothing_once_it_is_known():
    raised = [
        at
        for rate in (0.05, 0.5, 3.0)
        for seed in range(10)
        for at in feed(steady(rate, 120 * DAY_MS, seed))
        if at > 30 * DAY_MS
    ]
    assert len(raised) <= 3  # of 2,700 days


def test_a_spike_is_raised_once_and_again_after_calm():
    burst = [number * HOUR_MS for number in range(20)]
    later = [at + 90 * DAY_MS for at in burst]
    raised = feed([*burst, *later])
    assert len(raised) == 2
    assert raised[0] == 3 * HOUR_MS


def test_memory_is_bounded_counts_are_whole_and_the_late_are_taken_in_place():
    kind = Kind(0)
    for number in range(2_000):
        note(kind, Said(number * HOUR_MS // 2, str(number)))
    assert len(kind.held) == spikes.HELD_MAX
    assert len(kind.hours) == 7 * 24
    assert sum(kind.hours.values()) == 2 * 7 * 24
    assert not note(kind, Said(10**9, "1999"))
    note(kind, Said(kind.held[5].at + 1, "late"))
    assert [one.at for one in kind.held] == sorted(one.at for one in kind.held)
    assert note(kind, Said(HOUR_MS, "of long ago"))
    assert sum(kind.hours.values()) == 2 * 7 * 24 + 1
    assert 1_000 < kind.weight < 1_500  # of 1,665, the oldest halved
    assert spikes.usual_a_day(kind) == pytest.approx(48, rel=0.05)
