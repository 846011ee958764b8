"""Budgets end to end: shards, letters, ledgers; what waits, what is held, what goes back."""

import pytest

from engine.journal import REGISTRY
from engine.ledger import LEDGER
from engine.shards import partition
from features.customer import Customer
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

GIFT = """
rule: gift
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%
budget: {coupons: 10 per day}
do:
  - coupon: {offer: SAVE, off: 10, valid: 48h}
"""


def engine(*rules: str, shop: str = "", **options) -> MemoryEngine:
    sources = {f"campaigns/r{i}.yaml": text for i, text in enumerate(rules)}
    return MemoryEngine({**sources, **({"shop.yaml": shop} if shop else {})}, **options)


def held(world: MemoryEngine) -> list[str]:
    return [row["held"] for row in world.decisions(acts=False) if row["result"] == "hold"]


def coupons(world: MemoryEngine) -> int:
    return sum(len(row["actions"]) for row in world.decisions())


def ledger(world: MemoryEngine, name: str):
    blob = world.store.shard(partition(name.encode(), world.shards)).customers.get(name)
    return Customer.decode(name, blob, REGISTRY).state(LEDGER)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_a_budget_is_spent_to_its_end_and_then_says_no(shards, batch):
    world = engine(GIFT, shards=shards, batch=batch)
    for n in range(30):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
        world.tick(n * MINUTE)
        await world.run()
    assert coupons(world) == 10
    assert held(world) == ["budget"] * 20
    await _next_day(world)


async def _next_day(world: MemoryEngine) -> None:
    for n in range(12):
        world.send(DAY + n * MINUTE, product_id="p", userId=f"u{n}")
    await world.run()
    assert coupons(world) == 20


async def test_what_waits_for_its_slice_is_decided_as_of_its_due_time():
    world = engine(GIFT, record=True)
    world.send(5 * MINUTE, product_id="p", userId="u1")
    world.tick(3 * DAY)
    await world.run()
    [row] = world.decisions()
    assert row["at"] == START + 5 * MINUTE
    assert row["actions"][0]["expires_at"] == START + 5 * MINUTE + 48 * HOUR


async def test_a_budget_of_money_is_reserved_at_the_face_and_at_most_of_a_percentage():
    rule = GIFT.replace("coupons: 10 per day", "money: 100 per week").replace(
        "off: 10,", "off: 20%, most: 30,"
    )
    world = engine(rule)
    for n in range(6):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
        await world.run()
    assert coupons(world) == 3
    assert held(world) == ["budget"] * 3
    assert 9_000 <= ledger(world, "b:rule/gift:money:week").granted.popitem()[1] <= 10_000


async def test_offers_and_the_shop_have_budgets_of_their_own_and_all_must_have_room():
    offer = "offer: SAVE\ntitle: t\nvalid: 48h\nbudget: {coupons: 4 per ever}\n"
    world = MemoryEngine({
        "campaigns/a.yaml": GIFT, "campaigns/b.yaml": GIFT.replace("rule: gift", "rule: more"),
        "offers/SAVE.yaml": offer, "shop.yaml": "budget: {money: 70 per day}\n",
    })  # fmt: skip
    for n in range(5):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
        await world.run()
    assert coupons(world) == 4
    assert ledger(world, "b:offer/SAVE:coupons:ever").granted == {0: 4}
    spent = sum(ledger(world, "b:shop:money:day").granted.values())
    assert 4000 <= spent <= 7000


async def test_a_rolling_budget_holds_in_every_window():
    world = engine(GIFT.replace("10 per day", "6 per 8h"))
    for n in range(200):
        world.send(n * 10 * MINUTE, product_id="p", userId=f"u{n}")
        world.tick(n * 10 * MINUTE)
        await world.run()
    times = [row["at"] for row in world.decisions()]
    assert len(times) >= 18
    assert all(sum(t - 8 * HOUR < other <= t for other in times) <= 6 for t in times)


async def test_an_optional_coupon_is_left_out_when_the_budget_says_no():
    rule = GIFT.replace("10 per day", "1 per day").replace(
        "  - coupon: {offer: SAVE, off: 10, valid: 48h}",
        "  - {coupon: {offer: SAVE, off: 10, valid: 48h}, optional: true}\n"
        "  - notify: {via: [push], template: t}",
    )
    world = engine(rule)
    for n in range(3):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
        await world.run()
    assert [len(row["actions"]) for row in world.decisions()] == [2, 1, 1]


async def test_unspent_slices_go_back_after_the_period():
    world = engine(GIFT.replace("10 per day", "1000 per day"))
    for n in range(40):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
        await world.run()
    assert ledger(world, "b:rule/gift:coupons:day").granted.popitem()[1] > 40
    world.tick(2 * DAY)
    await world.run()
    assert list(ledger(world, "b:rule/gift:coupons:day").granted.values()) == [40]
    assert not any(worker._state.slices for worker in world.workers)


async def test_shards_ask_ahead_so_that_few_decisions_wait():
    world = engine(GIFT.replace("10 per day", "6400 per day"), shards=2)
    for n in range(400):
        world.send(n * MINUTE // 60, product_id="p", userId=f"u{n}")
        world.tick(n * MINUTE // 60)
        await world.run()
    assert coupons(world) == 400
    asks = [letter for letter in world.gathered("letters") if letter["kind"] == "ask"]
    assert len([one for one in asks if one["body"]["need"]]) == 2  # the first of each shard
    assert len(asks) < 12


async def test_who_moved_while_he_waited_is_answered_where_he_lives():
    world = engine(GIFT)
    world.send(0, product_id="p", anonymousId="a1")
    world.send(1, type="identify", userId="u1", anonymousId="a1")
    world.tick(HOUR)
    await world.run()
    [row] = world.decisions()
    assert coupons(world) == 1
    assert row["at"] == START


async def test_in_wall_time_who_waits_too_long_is_late():
    world = engine(GIFT, record=False, shards=4)
    name = next(f"u{n}" for n in range(99) if not _same_shard(world, f"u:u{n}"))
    world.send(0, product_id="p", userId=name)
    world.carry = lambda: False  # the letters' carrier is down
    await world.run()
    assert not world.decisions(acts=False)
    world.tick(2 * HOUR)
    await world.run()
    assert held(world) == ["late"]
    del world.carry
    await world.run()
    assert coupons(world) == 0


def _same_shard(world: MemoryEngine, cid: str) -> bool:
    ledger_name = b"b:rule/gift:coupons:day"
    return partition(cid.encode(), world.shards) == partition(ledger_name, world.shards)


async def test_a_budget_that_is_raised_lets_more_through():
    world = engine(GIFT.replace("10 per day", "2 per day"))
    for n in range(4):
        world.send(n * MINUTE, product_id="p", userId=f"u{n}")
    await world.run()
    assert coupons(world) == 2
    world.publish({"campaigns/r0.yaml": GIFT.replace("10 per day", "5 per day")}, HOUR)
    for n in range(9):
        world.send(2 * HOUR + n * MINUTE, product_id="p", userId=f"v{n}")
    await world.run()
    assert coupons(world) == 5


async def test_a_holdout_customer_spends_nothing():
    world = engine(GIFT.replace("holdout: 0%", "holdout: 100%"))
    world.send(0, product_id="p", userId="u1")
    await world.run()
    assert held(world) == ["holdout"]
    assert not world.gathered("letters")


async def test_those_who_wait_at_one_customer_ask_once_for_all():
    """Each asking for himself, every answer made as many asks as there were: 166 here."""
    world = engine(GIFT.replace("coupons: 10 per day", "money: 1000 per 12h, coupons: 99 per day")
                   .replace("off: 10", "off: 95"), shards=2)  # fmt: skip
    for n in range(20):
        world.send(n, product_id="p", userId="u1")
    await world.run()
    assert (coupons(world), held(world)) == (10, ["budget"] * 10)
    asks = [one["cid"] for one in world.gathered("letters") if one["kind"] == "ask"]
    assert asks.count("b:rule/gift:money:43200000") <= 40


async def test_a_crowd_that_comes_at_once_leaves_the_other_shards_their_part():
    world = engine(GIFT.replace("10 per day", "1000 per day"), batch=1_000)
    for n in range(800):
        world.send(n, product_id="p", userId=f"u{n}")
    await world.run()
    assert coupons(world) == 800
    assert not [row for row in world.decisions(acts=False) if row["held"] == "budget"]
