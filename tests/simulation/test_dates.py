"""Dates of orders, coupons and customers, and the fields of what a rule is about."""

from tests.memory_engine import DAY, HOUR, START, MemoryEngine

LATE = """
rule: late
title: t
owner: o
status: live
purpose: service
when:
  due: order.promised_ship_at
  if: order.shipped == false
once_per: order
stop_on: [Order Cancelled]
do:
  - notify: {via: [push], template: miss_you}
  - wait: 24h
  - coupon: {offer: SAVE, off: "= min(max(order.total * 0.05, 5), 20)", valid: 30d}
"""
BIRTHDAY = """
rule: birthday
title: t
owner: o
status: live
when: {due: contact.birthday_md, offset: -3d, at: "10:00"}
once_per: year
holdout: 0%
do:
  - notify: {via: [push], template: first_order}
"""


def timeline(world: MemoryEngine) -> list[tuple[float, str]]:
    return sorted(
        ((row["at"] - START) / HOUR, action["name"])
        for row in world.decisions()
        for action in row["actions"]
    )


def paid(world: MemoryEngine, at: int, order: str, promised: object, **who) -> None:
    world.send(at, "Order Paid", order_id=order, total=300, promised_ship_at=promised, **who)


async def test_a_late_parcel_is_told_of_and_made_good():
    world = MemoryEngine({"campaigns/a.yaml": LATE})
    paid(world, 0, "o1", START + 48 * HOUR, userId="u1")
    paid(world, 0, "o2", START + 48 * HOUR, userId="u1")
    world.send(40 * HOUR, "Shipment Status Updated", order_id="o2", status="shipped", userId="u1")
    world.tick(10 * DAY)
    await world.run()
    assert timeline(world) == [(48, "notify:miss_you"), (72, "coupon:SAVE")]
    first, second = world.decisions()
    assert first["instance"] == second["instance"] == "o1"
    assert second["actions"][0]["off"] == 15


async def test_a_date_that_moves_moves_the_rule_and_one_that_is_past_does_nothing():
    world = MemoryEngine({"campaigns/a.yaml": LATE})
    paid(world, 0, "o1", "2026-01-07T08:00:00+08:00", userId="u1")
    world.send(DAY, "Order Updated", order_id="o1", promised_ship_at=START + 5 * DAY, userId="u1")
    paid(world, 2 * DAY, "o2", START + DAY, userId="u1")
    world.tick(5 * DAY + HOUR)
    await world.run()
    assert timeline(world) == [(120, "notify:miss_you")]


async def test_who_cancels_is_not_made_good():
    world = MemoryEngine({"campaigns/a.yaml": LATE})
    paid(world, 0, "o1", START + DAY, userId="u1")
    world.send(30 * HOUR, "Order Cancelled", order_id="o1", userId="u1")
    world.tick(5 * DAY)
    await world.run()
    assert timeline(world) == [(24, "notify:miss_you")]


async def test_a_birthday_comes_every_year_three_days_before_at_ten():
    world = MemoryEngine({"campaigns/a.yaml": BIRTHDAY})
    world.send(0, type="identify", userId="u1", traits={"birthday_md": 110})
    for year in range(3):
        world.tick(year * 365 * DAY + 30 * DAY)
    await world.run()
    # START is 2026-01-05 08:00 in the shop's zone: 2026-01-07 10:00, then the years after.
    assert [at for at, _ in timeline(world)] == [50, 50 + 365 * 24, 50 + 730 * 24]


async def test_who_had_a_date_before_the_rule_is_met_by_it():
    world = MemoryEngine({"campaigns/z.yaml": LATE.replace("rule: late", "rule: other")})
    world.send(0, type="identify", userId="u1", traits={"birthday_md": 301})
    await world.run()
    world.publish({"campaigns/a.yaml": BIRTHDAY}, DAY)
    world.tick(DAY)
    world.tick(100 * DAY)
    await world.run()
    assert len(timeline(world)) == 1


async def test_dates_survive_a_merge():
    world = MemoryEngine({"campaigns/a.yaml": LATE})
    paid(world, 0, "o1", START + 2 * DAY, anonymousId="a1")
    world.send(HOUR, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    world.tick(4 * DAY)
    await world.run()
    assert timeline(world) == [(48, "notify:miss_you"), (72, "coupon:SAVE")]
    assert {row["cid"] for row in world.decisions()} == {"u:u1"}
