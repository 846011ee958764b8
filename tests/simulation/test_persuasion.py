"""Uplift's examples: both arms alike, judged by what came within a week, inputs as they were."""

import hashlib
import random

import orjson
import pytest

from engine.records import MODEL as MODEL_RECORD
from features.models.snapshot import pack
from features.models.uplift import COUPON, INPUTS, VISIT
from features.models.uplift_learner import CouponUplift
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

RULE = """
rule: give
title: t
owner: o
status: live
when: {event: Product Added}
once_per: customer
holdout: 50%
do:
  - notify: {via: [push], template: hello}
  - wait: 1h
  - coupon: {offer: SAVE, off: 5, valid: 2d}
"""
PEOPLE = 24


async def lived(rule=RULE, **shop):
    """Everybody adds; the first third pays within the week, the next too late, the rest never."""
    sources = {"campaigns/give.yaml": rule}
    if shop:
        sources["shop.yaml"] = "".join(f"{key}: {value}\n" for key, value in shop.items())
    world = MemoryEngine(sources)
    for n in range(PEOPLE):
        world.send(n, "Product Added", userId=f"u{n}", product_id="p", price=30)
    world.send(HOUR, "Message Opened", userId="u2", channel="push")
    world.send(2 * HOUR, "Product Viewed", userId="u2", product_id="p")
    world.tick(2 * HOUR)
    for day, third in ((3, 0), (8, 1)):
        for n in range(third, PEOPLE, 3):
            order = {"order_id": f"o{n}", "total": 30}
            world.send(day * DAY + n, "Order Paid", userId=f"u{n}", **order)
    world.tick(9 * DAY)
    await world.run()
    return world


def examples(world, model):
    return {one["cid"]: one for one in world.gathered("examples") if one["model"] == model}


async def test_both_arms_become_examples_with_what_came_of_them_within_a_week():
    world = await lived()
    arms = {row["cid"]: row["arm"] for row in world.decisions(acts=False)}
    assert set(arms.values()) == {"treated", "holdout"}
    found = examples(world, COUPON)
    assert len(found) == PEOPLE
    for n in range(PEOPLE):
        one = found[f"u:u{n}"]
        assert one["treated"] == (arms[one["cid"]] == "treated")
        assert one["propensity"] == 0.5
        assert one["reward"] == (1.0 if n % 3 == 0 else 0.0)
        assert one["after_ms"] == (3 * DAY if n % 3 == 0 else 7 * DAY)
        assert one["rule"] == "give"
    learner = CouponUplift()
    for one in found.values():
        learner.learn(one)
    assert learner.examples == PEOPLE


async def test_a_visit_is_a_page_seen_and_not_a_message_opened():
    found = examples(await lived(), VISIT)
    seen = {cid: one["after_ms"] for cid, one in found.items() if one["reward"]}
    assert seen == {"u:u2": 2 * HOUR - 2}


async def test_the_inputs_are_those_of_the_moment_the_arm_was_drawn():
    world = await lived()
    for one in examples(world, COUPON).values():
        told = dict(zip(INPUTS, one["features"], strict=True))
        assert told["orders.count"] == 0.0
        assert told["cart.value"] == pytest.approx(3.434, abs=1e-3)  # log(1 + 30)


async def test_of_one_customer_one_is_open_at_a_time():
    world = MemoryEngine(
        {"campaigns/give.yaml": RULE.replace("once_per: customer", "once_per: event")}
    )
    for n in range(6):
        world.send(n * MINUTE, "Product Added", userId="u", product_id="p", price=30)
    world.tick(2 * HOUR)
    await world.run()
    journey = world.customer("u:u").state("engine").journey
    assert sorted(one.model for one in journey.watches) == [COUPON, VISIT]


@pytest.mark.parametrize(
    ("held_out", "everything", "chance"),
    [("0%", "0%", None), ("20%", "10%", 0.72), ("100%", "0%", None), ("0%", "25%", 0.75)],
)
async def test_the_chance_to_be_treated_is_that_of_both_holdouts(held_out, everything, chance):
    world = await lived(
        RULE.replace("50%", held_out), holdout=f"{{marketing: 10%, everything: {everything}}}"
    )
    chances = {round(one["propensity"], 6) for one in examples(world, COUPON).values()}
    assert chances == ({chance} if chance else set())


async def test_who_is_held_for_another_reason_and_a_shadow_tell_nothing():
    assert not examples(await lived(RULE.replace("status: live", "status: shadow")), COUPON)
    never = RULE.replace("once_per", "if: orders.count > 5\nonce_per")
    assert not examples(await lived(never), COUPON)


PERSUADED = RULE.replace("holdout: 50%", "holdout: 0%").replace(
    "  - coupon: {offer: SAVE, off: 5, valid: 2d}",
    """  - choose:
      - if: uplift.coupon > 0.1
        do:
          - coupon: {offer: SAVE, off: 5, valid: 2d}""",
)


def learned():
    """A coupon works on those with much in the cart, and does nothing to the others."""
    rng, learner, full = random.Random(2), CouponUplift(), INPUTS.index("cart.value")
    for _ in range(3_000):
        features, treated = [0.0] * len(INPUTS), int(rng.random() < 0.5)
        features[full] = rng.choice((2.4, 6.0))
        chance = 0.2 + 0.4 * treated * (features[full] > 5)
        learner.learn({
            "features": features, "treated": treated, "propensity": 0.5,
            "reward": float(rng.random() < chance),
        })  # fmt: skip
    return learner.weights()


async def test_a_coupon_goes_to_who_is_persuaded_by_one_and_to_nobody_without_a_model():
    world = MemoryEngine({"campaigns/give.yaml": PERSUADED})
    world.send(0, "Product Added", userId="early", product_id="p", price=400)
    world.tick(HOUR + MINUTE)
    secret, bodies = b"secret-of-the-tests", world.store.bodies

    def keep(body):
        digest = hashlib.sha256(body).hexdigest()
        bodies["model", digest] = body
        return digest

    part = keep(pack({"model": COUPON, "weights": learned()}, secret))
    digest = keep(pack({"scorers": {COUPON: part}, "learners": {}, "cursors": {}}, secret))
    for shard in range(world.shards):
        world.append(shard, MODEL_RECORD, orjson.dumps({"hash": digest}), START + 2 * HOUR)
    for who, price in (("full", 400), ("empty", 10)):
        world.send(3 * HOUR, "Product Added", userId=who, product_id="p", price=price)
    world.tick(5 * HOUR)
    await world.run()
    given = {
        row["cid"]
        for row in world.decisions()
        for action in row["actions"]
        if action["kind"] == "coupon"
    }
    assert given == {"u:full"}
