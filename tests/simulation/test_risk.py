"""The gate of risk, and what accounts on one device are told of one another."""

import hashlib

import orjson
import pytest

from engine.records import MODEL as MODEL_RECORD
from engine.why import NAMES
from features import catalog
from features.models import anomaly
from features.models.anomaly_learner import WINDOW, Learner
from features.models.snapshot import pack
from rules.errors import RuleErrors
from rules.load import book_from_sources
from simulator.rule_tests import run_examples
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

GIFT = """
rule: gift
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%
do:
  - coupon: {offer: SAVE, off: 5, valid: 2d}
"""
TOLD = GIFT.replace("rule: gift", "rule: told").replace(
    "coupon: {offer: SAVE, off: 5, valid: 2d}", "notify: {via: [push], template: hello}"
)
SERVICE = GIFT.replace("rule: gift", "rule: sorry").replace(
    "once_per", "purpose: service\nonce_per"
)
SHOP = "risk:\n  hold: risk.abuse >= 0.6\n"
SECRET = b"secret-of-the-tests"


def abuse(world, who, orders=4):
    """He orders with a coupon and cancels, again and again."""
    for n in range(orders):
        name = f"{who}-{n}"
        world.send(n * DAY, "Order Paid", userId=who, order_id=name, total=50, coupon="C")
        world.send(n * DAY + HOUR, "Order Cancelled", userId=who, order_id=name)


async def seen(rules, shop="", who=("bad", "good")):
    sources = {f"campaigns/r{n}.yaml": text for n, text in enumerate(rules)}
    world = MemoryEngine({**sources, "shop.yaml": shop} if shop else sources)
    abuse(world, "bad")
    for n, one in enumerate(who):
        world.send(9 * DAY + n, "Product Viewed", userId=one, product_id="p")
    await world.run()
    return world, {(row["rule"], row["cid"]): row for row in world.decisions(acts=False)}


async def test_who_abuses_gifts_is_held_and_the_row_says_by_what():
    _, rows = await seen([GIFT, TOLD, SERVICE], SHOP)
    held = rows["gift", "u:bad"]
    assert (held["held"], held["arm"], held["actions"]) == ("risk", "none", [])
    assert float(held["values"]["risk.abuse"]) >= 0.6
    assert "coupon_returns" in held["values"]["risk.signs"]
    others = {key: row["held"] for key, row in rows.items() if key != ("gift", "u:bad")}
    assert set(others.values()) == {""}, others
    assert len(others) == 5


@pytest.mark.parametrize(
    ("rules", "shop", "held"),
    [
        ([GIFT, TOLD], SHOP + "  from: everything\n", {"gift", "told"}),
        ([GIFT, SERVICE], SHOP + "  purposes: [marketing, service]\n", {"gift", "sorry"}),
        ([SERVICE], SHOP + "  purposes: service\n", {"sorry"}),
        ([GIFT], "", set()),  # .9 where the shop says nothing
        (
            [GIFT],
            "risk:\n  hold:\n    - orders.cancelled >= 3\n    - risk.abuse > 0.99\n",
            {"gift"},
        ),
        ([GIFT.replace("once_per", "risk: none\nonce_per")], SHOP, set()),
        ([TOLD.replace("once_per", "risk: orders.cancelled > 2\nonce_per")], SHOP, {"told"}),
        ([GIFT.replace("once_per", "risk: orders.cancelled > 9\nonce_per")], SHOP, set()),
    ],
)
async def test_the_shop_and_a_rule_say_whom_risk_holds_and_from_what(rules, shop, held):
    _, rows = await seen(rules, shop)
    assert {rule for (rule, _), row in rows.items() if row["held"] == "risk"} == held
    assert all(row["cid"] == "u:bad" for row in rows.values() if row["held"])


@pytest.mark.parametrize(
    ("shop", "said"),
    [
        ("risk: {hold: risk.abuse > 1}\n", "line of its own"),
        ("risk:\n  hold: risk.abus > 1\n", "risk.abuse"),
        ("risk:\n  purposes: [marketng]\n", "marketing"),
        ("risk:\n  if: risk.abuse > 1\n", "did you mean `hold`"),
    ],
)
def test_what_is_written_wrongly_is_refused_with_what_was_meant(shop, said):
    with pytest.raises(RuleErrors, match=said):
        book_from_sources({"campaigns/g.yaml": GIFT, "shop.yaml": shop})


def test_an_example_expects_it():
    rule = (
        GIFT
        + """
examples:
  - name: abuser
    customer: {risk.abuse: 0.95}
    given: [{at: 0m, event: Product Viewed, product_id: p}]
    expect: [{at: 0m, held: risk}]
  - name: nobody knows
    given: [{at: 0m, event: Product Viewed, product_id: p}]
    expect: [{at: 0m, coupon: SAVE}]
"""
    )
    book = book_from_sources({"campaigns/gift.yaml": rule})
    assert [one.passed for one in run_examples(book)] == [True, True]
    assert "_risk" in NAMES


async def test_a_score_of_a_model_may_hold_him_too():
    usual = dict.fromkeys(anomaly.INPUTS, 0.0) | {"blind_share": 1.0, "burst": 0.3155}
    learner = Learner()
    for n in range(2 * WINDOW):
        one = usual | {"spent": 0.2 + n % 50 / 200, "orders": 0.2 + n % 7 / 100}
        learner.learn({"features": list(one.values())})
    world = MemoryEngine({
        "campaigns/g.yaml": GIFT.replace("once_per", "risk: risk.anomaly > 0.9\nonce_per"),
    })  # fmt: skip
    abuse(world, "bad")
    world.send(0, "Order Paid", userId="good", order_id="g", total=40)
    bodies = world.store.bodies

    def keep(body):
        digest = hashlib.sha256(body).hexdigest()
        bodies["model", digest] = body
        return digest

    part = keep(pack({"model": anomaly.MODEL, "weights": learner.weights()}, SECRET))
    named = {"scorers": {anomaly.MODEL: part}, "learners": {}, "cursors": {}}
    digest = keep(pack(named, SECRET))
    for shard in range(world.shards):
        world.append(shard, MODEL_RECORD, orjson.dumps({"hash": digest}), START + 8 * DAY)
    for n, who in enumerate(("bad", "good", "new")):
        world.send(9 * DAY + n, "Product Viewed", userId=who, product_id="p")
    await world.run()
    rows = {row["cid"]: row for row in world.decisions(acts=False)}
    assert {cid: row["held"] for cid, row in rows.items()} == {
        "u:bad": "risk", "u:good": "", "u:new": "",
    }  # fmt: skip
    assert float(rows["u:bad"]["values"]["risk.anomaly"]) > 0.9


async def test_each_paid_order_is_an_example_of_what_orders_look_like():
    world = MemoryEngine({"campaigns/g.yaml": GIFT})
    world.send(0, "Product Viewed", userId="u", product_id="p")
    world.send(MINUTE, "Order Paid", userId="u", order_id="o1", total=50)
    world.send(2 * MINUTE, "Order Completed", userId="u", order_id="o1", total=50)
    world.send(3 * DAY, "Order Paid", userId="u", order_id="o2", total=50)
    await world.run()
    found = [one for one in world.gathered("examples") if one["model"] == anomaly.MODEL]
    assert [one["at"] - START for one in found] == [MINUTE, 3 * DAY]
    learner = Learner()
    for one in found:
        learner.learn(one)
    state = world.customer("u:u").state("risk")
    assert [one.views for one in state.orders] == [1, 0]


async def on_one_device(*who, more=()):
    world = MemoryEngine({"campaigns/g.yaml": GIFT})
    for n, one in enumerate(who):
        world.send(n * HOUR, type="identify", userId=one, anonymousId="tablet")
        await world.run()
    for at, name, item in more:
        world.send(at, name, **item)
    await world.run()
    return world


def near(world, who):
    return catalog.value(world.customer(f"u:{who}"), "risk.neighbours", START)


async def test_accounts_on_one_device_are_told_of_one_another():
    world = await on_one_device("u1", "u2", "u3", "u1", "u2")
    assert [near(world, who) for who in ("u1", "u2", "u3")] == [2, 2, 2]
    letters = [one for one in world.gathered("letters") if one["kind"] == "neighbours"]
    assert len(letters) == 5  # u2 and u1 of each other, u3 and u1, u2 when it came again


async def test_who_signs_in_again_where_nobody_else_came_costs_no_letter():
    world = await on_one_device("u1", "u2", "u2", "u2", "u2")
    letters = [one for one in world.gathered("letters") if one["kind"] == "neighbours"]
    assert len(letters) == 2


async def test_one_account_on_two_devices_has_no_neighbour():
    world = MemoryEngine({"campaigns/g.yaml": GIFT})
    for n, device in enumerate(("phone", "tablet")):
        world.send(n * HOUR, type="identify", userId="u1", anonymousId=device)
    await world.run()
    assert near(world, "u1") == 0


async def test_a_friend_on_ones_own_device_is_found_out():
    given = {"userId": "u2", "code": "r", "referrer": "u1", "friend": "u2"}
    world = await on_one_device("u1", "u2", more=[(3 * HOUR, "Referral Accepted", given)])
    friend = world.customer("u:u2")
    assert catalog.value(friend, "risk.own_referrals", START) == 1
    assert "referred_himself" in catalog.value(friend, "risk.signs", START)


async def test_a_letter_to_who_was_erased_since_tells_him_nothing():
    world = await on_one_device("u1", more=[(HOUR, "Erasure Requested", {"userId": "u1"})])
    world.send(HOUR - 1, type="identify", userId="u2", anonymousId="tablet", log_time=START + DAY)
    await world.run()
    assert near(world, "u1") == 0
