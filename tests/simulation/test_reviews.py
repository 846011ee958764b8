"""Reviews: what a text says is heard by rules; many complaints of one kind reach the merchant once."""

import hashlib

import orjson
import pytest

from engine.complaints import COMPLAINTS, mark
from engine.records import MODEL as MODEL_RECORD
from features import catalog
from features.models.reviews import MODEL
from features.models.reviews_learner import Learner
from features.models.snapshot import pack
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine
from tests.rule_texts import SPIKES

SECRET = b"secret-of-the-tests"
TOPIC = """
rule: late
title: 慢
owner: service
purpose: service
status: live
when:
  event: Product Reviewed
  if: '"delivery" in event.topics'
if: '"delivery" in review.topics'
once_per: review
do:
  - task: {team: logistics, title: 物流差评}
"""
TONE = """
rule: tone
title: 语气
owner: service
purpose: service
status: live
when:
  event: Product Reviewed
  if: event.sentiment < 0.3
if: review.sentiment < 0.3
once_per: review
do:
  - task: {team: service, title: 差评}
"""
BOOK = {
    "campaigns/late.yaml": TOPIC,
    "campaigns/tone.yaml": TONE,
    **SPIKES,
}


def review(world: MemoryEngine, at: int, who: str, text: str, **more: object) -> None:
    given = {"rating": 1, "merchant_id": "m1", "product_id": "p1", **more}
    given = {name: value for name, value in given.items() if value is not None}
    world.send(at, "Product Reviewed", text=text, userId=who, **given)


async def broken(world: MemoryEngine, count: int, start: int = 0) -> None:
    """So many complain of broken things, one an hour; letters arrive before the next."""
    for number in range(count):
        review(world, start + number * HOUR, f"b{start}-{number}", f"{number}号收到就破损了")
        await world.run()


async def spikes(world: MemoryEngine) -> list[dict]:
    await world.run()
    return [row for row in world.decisions() if row["rule"] == "spike"]


def taught() -> Learner:
    learner = Learner()
    for number in range(60):
        good, bad = ("很好用", "喜欢") if number % 2 else ("好喝", "满意")
        learner.learn({"text": f"{good}，{bad}", "label": 1})
        learner.learn({"text": f"太差了，{number}次失望", "label": 0})
    return learner


def publish(world: MemoryEngine, learner: Learner) -> None:
    """As the learner's task does: scorer and manifest, then a record in every shard's log."""

    def keep(body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        world.store.bodies["model", digest] = body
        return digest

    part = keep(pack({"model": MODEL, "weights": learner.weights()}, SECRET))
    manifest = keep(pack({"scorers": {MODEL: part}, "learners": {}, "cursors": {}}, SECRET))
    for shard in range(world.shards):
        world.append(shard, MODEL_RECORD, orjson.dumps({"hash": manifest}), START)


async def test_topics_are_read_without_a_model_and_an_example_carries_text_and_label():
    world = MemoryEngine(BOOK)
    review(world, 0, "u", "快递太慢了，打 13812345678 也没用")
    review(world, 1, "v", "挺好", rating=5)
    review(world, 2, "w", "一般", rating=3)
    await world.run()
    assert [(row["rule"], row["cid"]) for row in world.decisions()] == [("late", "u:u")]
    found = {row["cid"]: row for row in world.gathered("examples") if row["model"] == MODEL}
    assert {cid: row["label"] for cid, row in found.items()} == {"u:u": 0, "u:v": 1}
    assert found["u:u"]["text"] == "快递太慢了，打 *** 也没用"
    facts = [
        row for entry in world.entries() for row in entry.get("facts", {}).get("review_facts", ())
    ]
    assert {(row["cid"], row["complaint"], *row["topics"]) for row in facts} == {
        ("u:u", 1, "delivery"), ("u:v", 0), ("u:w", 0),
    }  # fmt: skip
    assert catalog.value(world.customer("u:u"), "reviews.complaints", START) == 1


async def test_a_model_tells_the_tone_of_a_text_without_stars():
    world = MemoryEngine(BOOK)
    publish(world, taught())
    review(world, MINUTE, "u", "太差了，失望", rating=None)
    review(world, MINUTE, "v", "很好用，喜欢", rating=None)
    await world.run()
    assert [(row["rule"], row["cid"]) for row in world.decisions()] == [("tone", "u:u")]
    assert catalog.value(world.customer("u:u"), "reviews.complaints", START) == 1
    assert catalog.value(world.customer("u:v"), "reviews.last_sentiment", START) > 0.7
    assert not [row for row in world.gathered("examples") if row["model"] == MODEL]


@pytest.mark.parametrize(("shards", "batch"), [(1, 100), (4, 1), (4, 3)])
async def test_one_spike_alerts_the_merchant_once_with_examples(shards: int, batch: int):
    world = MemoryEngine(BOOK, shards=shards, batch=batch)
    await broken(world, 12)
    (row,) = await spikes(world)
    assert (row["cid"], row["at"] - START) == ("m:m1", 3 * HOUR)
    (alert,) = row["actions"]
    assert (alert["to"], alert["merchant_id"]) == ("merchant", "m1")
    assert alert["reads"] == {
        "complaint.topic": "damaged",
        "complaint.examples": ["3号收到就破损了", "2号收到就破损了", "1号收到就破损了"],
    }
    assert world.counts()["emitted"] == 1


async def test_one_person_who_complains_often_is_one_complaint():
    world = MemoryEngine(BOOK)
    for number in range(12):
        review(world, number * HOUR, "angry", "破损")
    assert not await spikes(world)


async def test_many_products_a_little_each_are_a_spike_of_the_merchant():
    world = MemoryEngine(BOOK)
    for number in range(8):
        review(world, number * HOUR, f"u{number}", "物流太慢", product_id=f"p{number % 4}")
        await world.run()
    (row,) = await spikes(world)
    assert row["cid"] == "m:m1"
    (event,) = [one for one in world.gathered("letters") if one["body"].get("emitted")]
    told = orjson.loads(event["body"]["value"])["properties"]
    assert (told["topic"], told["count"], "product_id" in told) == ("delivery", 4, False)


async def test_what_is_usual_is_no_spike_and_a_second_one_is_told_again():
    world = MemoryEngine(BOOK)
    for day in range(60):  # one a day is usual
        review(world, day * DAY, f"d{day}", "破损")
        await world.run()
    await broken(world, 12, start=60 * DAY)
    await broken(world, 14, start=120 * DAY)
    found = [row["at"] - START for row in await spikes(world)]
    assert len([at for at in found if 14 * DAY < at < 60 * DAY]) == 0
    assert len([at for at in found if 60 * DAY <= at < 61 * DAY]) == 1
    assert len([at for at in found if at >= 120 * DAY]) == 1


async def test_an_erased_reviewers_words_leave_the_merchant():
    world = MemoryEngine(BOOK)
    await broken(world, 5)
    await world.run()
    world.send(DAY, "Erasure Requested", userId="b0-4", erasure_id="e1")
    await world.run()
    merchant = world.customer("m:m1")
    kinds = merchant.state(COMPLAINTS).kinds
    said = {one.by: one.text for kind in kinds.values() for one in kind.held}
    assert said[mark(SECRET, "u:b0-4")] == ""
    assert said[mark(SECRET, "u:b0-3")] == "3号收到就破损了"
    assert "b0-4" not in str(merchant.encode())
    things = merchant.state("things").kinds["complaint"]
    assert [one["examples"][1] for one in things.values()] == [[]]


async def test_a_reviewer_who_merged_is_found_at_the_merchant_too():
    world = MemoryEngine(BOOK)
    world.send(0, "Product Reviewed", anonymousId="a1", rating=1, text="破损", merchant_id="m1")
    world.send(HOUR, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    world.send(DAY, "Erasure Requested", userId="u1", erasure_id="e1")
    await world.run()
    kinds = world.customer("m:m1").state(COMPLAINTS).kinds
    assert {one.text for kind in kinds.values() for one in kind.held} == {""}
