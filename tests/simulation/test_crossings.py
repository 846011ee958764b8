"""Numbers that cross a level, on the real core: once, until they were back; by time; in silence."""

import pytest

from engine.journal import memory
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

RULE = """
rule: level
title: t
owner: o
status: live
when:
  crosses: {what}
once_per: tick
holdout: 0%
do:
  - notify: {{via: [push], template: hello}}
"""
RISES = "cart.value\n  above: 200\n  back: 100"


def rules(what: str, extra: str = "") -> dict[str, str]:
    return {"campaigns/level.yaml": RULE.format(what=what) + extra}


def add(world: MemoryEngine, at: int, price: float) -> None:
    world.send(at, "Product Added", userId="u", product_id=str(at), price=price, quantity=1)


def take(world: MemoryEngine, at: int, added_at: int) -> None:
    world.send(at, "Product Removed", userId="u", product_id=str(added_at), quantity=1)


async def fired(world: MemoryEngine, until: int = 10 * DAY) -> list[float]:
    world.tick(until)
    await world.run()
    return [(row["at"] - START) / HOUR for row in world.decisions()]


async def test_it_fires_once_until_the_number_was_back():
    world = MemoryEngine(rules(RISES))
    for at, price in enumerate((150, 50, 80)):
        add(world, at * HOUR, price)  # 150, 200, 280
    take(world, 3 * HOUR, 0)  # 130: not back yet
    add(world, 4 * HOUR, 90)  # 220
    take(world, 5 * HOUR, 4 * HOUR)
    take(world, 6 * HOUR, 2 * HOUR)  # 50: back
    add(world, 7 * HOUR, 160)  # 210
    assert await fired(world) == [1, 7]


async def test_without_back_the_level_itself_is_where_it_counts_anew():
    world = MemoryEngine(rules("cart.value\n  above: 200"))
    for n in range(3):
        add(world, 2 * n * HOUR, 200)
        take(world, (2 * n + 1) * HOUR, 2 * n * HOUR)
    assert await fired(world) == [0, 2, 4]


async def test_a_number_may_fall():
    world = MemoryEngine(rules("cart.value\n  below: 50\n  back: 100"))
    add(world, 0, 60)
    add(world, HOUR, 60)
    take(world, 2 * HOUR, 0)
    take(world, 3 * HOUR, HOUR)  # 0, and it was back at 120
    assert await fired(world) == [3]


async def test_a_level_may_differ_by_customer():
    world = MemoryEngine(rules('cart.value\n  above: "= orders.net * 0.1"'))
    world.send(0, "Order Paid", userId="u", order_id="o", total=1000)
    add(world, HOUR, 90)
    add(world, 2 * HOUR, 20)
    assert await fired(world) == [2]


async def test_time_alone_crosses_at_the_shops_midnight():
    world = MemoryEngine(rules("orders.days_since_last\n  above: 5"))
    world.send(0, "Order Paid", userId="u", order_id="o", total=1000)
    # START is 08:00 in the shop's zone: the midnights come 16 hours later.
    assert await fired(world) == [5 * 24 + 16]


async def test_its_own_if_and_the_rules_are_asked():
    for line in ("  if: orders.count >= 1", "if: orders.count >= 1"):
        files = rules(RISES, line if line[0] != " " else "")
        if line[0] == " ":
            text = files["campaigns/level.yaml"]
            files["campaigns/level.yaml"] = text.replace("  back: 100", f"  back: 100\n{line}")
        world = MemoryEngine(files)
        add(world, 0, 300)
        assert await fired(world) == []


async def test_a_new_rule_finds_numbers_where_they_are():
    world = MemoryEngine({})
    add(world, 0, 300)
    world.publish(rules(RISES), HOUR)
    world.tick(2 * HOUR)
    add(world, 3 * HOUR, 10)
    assert await fired(world) == []
    assert memory(world.customer("u:u")).journey.crossed.keys() == {"level"}


@pytest.mark.parametrize("known", [0, 1])
async def test_of_two_who_are_one_either_has_crossed(known: int):
    world = MemoryEngine(rules("orders.net\n  above: 100"))
    who = [{"anonymousId": "a"}, {"userId": "u"}]
    world.send(0, "Order Paid", **who[known], order_id="o1", total=150)
    world.send(HOUR, "Order Paid", **who[1 - known], order_id="o2", total=20)
    world.send(2 * HOUR, type="identify", userId="u", anonymousId="a")
    world.send(3 * HOUR, "Order Paid", userId="u", order_id="o3", total=20)
    assert await fired(world) == [0]


async def test_who_crosses_by_uniting_crosses():
    world = MemoryEngine(rules("orders.net\n  above: 100"))
    world.send(0, "Order Paid", anonymousId="a", order_id="o1", total=60)
    world.send(HOUR, "Order Paid", userId="u", order_id="o2", total=60)
    world.send(2 * HOUR, type="identify", userId="u", anonymousId="a")
    assert await fired(world) == [2]
