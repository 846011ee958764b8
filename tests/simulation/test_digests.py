"""What is due together is one decision, and so many of them a period; a silence of any length."""

from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

EVENT = "Product Added"
RULE = """
rule: drops
title: t
owner: o
status: live
when: {event: Product Added}
once_per: product
digest: %s
holdout: %s
do:
  - notify:
      via: [push]
      template: drops
      with: {many: "= digest.count", first: "= product.price_when_added"}
%s"""
AFTER = "  - wait: 1h\n  - notify: {via: [push], template: more}\n"


def engine(rate: str = "1 per day", holdout: str = "0%", after: str = "", **options):
    return MemoryEngine({"campaigns/r.yaml": RULE % (rate, holdout, after)}, **options)


def wish(world: MemoryEngine, at: int, product: str, who: str = "u1") -> None:
    world.send(at, EVENT, product_id=product, price=int(product[1:]), quantity=1, userId=who)


def told(world: MemoryEngine) -> list[tuple[float, str, str]]:
    return [
        ((row["at"] - START) / HOUR, row["instance"], row["held"] or str(row["actions"][0]["with"]))
        for row in world.decisions(acts=False)
    ]


async def test_what_comes_while_the_rate_is_spent_is_one_decision_when_it_has_room():
    world = engine()
    wish(world, HOUR, "p1")
    world.tick(HOUR)
    for n, product in enumerate(("p4", "p3", "p2")):
        wish(world, (2 + n) * HOUR, product)
    world.tick(2 * DAY)
    wish(world, 2 * DAY + HOUR, "p5")
    world.tick(3 * DAY)
    await world.run()
    rows = world.decisions(acts=False)
    acted = {row["instance"]: row for row in rows if not row["held"]}
    assert sorted(acted) == ["p1", "p2", "p5"]
    assert [row["at"] - START for row in acted.values()] == [HOUR, 16 * HOUR, 49 * HOUR]
    assert acted["p2"]["actions"][0]["with"] == {"many": 3, "first": 2}
    held = [row for row in rows if row["held"]]
    assert {(row["instance"], row["held"]) for row in held} == {("p3", "digest"), ("p4", "digest")}
    assert {row["values"]["digest"] for row in held} == {acted["p2"]["decision_id"]}
    assert {row["at"] for row in held} == {acted["p2"]["at"]}


async def test_three_dates_on_one_morning_are_one_message_from_the_start():
    rule = """
rule: expiring
title: t
owner: o
status: live
when: {due: coupon.expires_at, offset: -1d, at: "10:00"}
once_per: coupon
digest: 1 per day
holdout: 0%
do:
  - notify: {via: [push], template: t, with: {many: "= digest.count", who: "= digest.subjects"}}
"""
    world = MemoryEngine({"campaigns/r.yaml": rule})
    for n in range(3):
        world.send(n, "Coupon Issued", code=f"C{n}", expires_at=START + 5 * DAY + n, userId="u1")
    world.tick(6 * DAY)
    await world.run()
    (row,) = world.decisions()
    assert row["actions"][0]["with"] == {"many": 3, "who": ["C0", "C1", "C2"]}
    assert len(world.decisions(acts=False)) == 3


async def test_the_one_who_speaks_goes_on_alone():
    world = engine("1 per 3h", after=AFTER)
    for n in range(3):
        wish(world, n * MINUTE, f"p{n + 1}")
    world.tick(DAY)
    await world.run()
    acts = [(row["instance"], (row["at"] - START) / HOUR) for row in world.decisions()]
    assert acts == [("p1", 0), ("p1", 3), ("p2", 6), ("p2", 9)]  # each message needs room
    assert [row for row in told(world) if row[2] == "digest"] == [(6, "p3", "digest")]


async def test_who_is_held_out_is_held_for_each_and_a_stop_takes_one_out():
    world = engine(holdout="100%")
    for n in range(3):
        wish(world, n * MINUTE, f"p{n}")
    world.tick(DAY)
    await world.run()
    assert [row[2] for row in told(world)] == ["holdout"] * 3
    text = RULE % ("1 per day", "0%", "")
    world = MemoryEngine({"campaigns/r.yaml": f"{text}stop_on: [Product Removed]\n"})
    for n, product in enumerate(("p1", "p2", "p3")):
        wish(world, n * HOUR, product)
    world.send(4 * HOUR, "Product Removed", product_id="p3", userId="u1")
    world.tick(DAY)
    await world.run()
    reasons = {row["instance"]: row["held"] for row in world.decisions(acts=False)}
    assert reasons == {"p1": "", "p2": "", "p3": "stopped"}


async def test_a_digest_waits_through_the_night_and_gathers_there():
    shop = {"shop.yaml": 'quiet_hours: {from: "22:00", to: "08:00", then: defer}\n'}
    rule = {"campaigns/r.yaml": RULE % ("1 per day", "0%", "")}
    world = MemoryEngine({**rule, **shop})
    for n in range(3):
        wish(world, (15 + n) * HOUR, f"p{n}")  # from 23:00 on
    world.tick(2 * DAY)
    await world.run()
    (row,) = world.decisions()
    assert (row["at"] - START, row["actions"][0]["with"]["many"]) == (24 * HOUR, 3)


async def test_one_who_was_two_gets_one():
    world = engine()
    wish(world, HOUR, "p1", "u1")
    world.send(HOUR, "Product Added", product_id="p2", price=2, quantity=1, anonymousId="a1")
    world.tick(2 * HOUR)  # each had his
    wish(world, 3 * HOUR, "p3", "u1")
    world.send(3 * HOUR, "Product Added", product_id="p4", price=4, quantity=1, anonymousId="a1")
    world.send(4 * HOUR, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    world.tick(2 * DAY)
    await world.run()
    late = [row for row in world.decisions(acts=False) if row["at"] > START + 2 * HOUR]
    assert {(row["instance"], row["held"]) for row in late} == {("p3", ""), ("p4", "digest")}


SILENT = """
rule: back
title: t
owner: o
status: live
when:
  inactive: %s
  of: Order Completed
%sonce_per: lapse
holdout: 0%%
do:
  - notify: {via: [push], template: t}
"""


def silent(length: str, condition: str = "", **more: str) -> MemoryEngine:
    return MemoryEngine({"campaigns/r.yaml": SILENT % (length, condition), **more})


def order(world: MemoryEngine, at: int, name: str, total: int = 100) -> None:
    world.send(at, "Order Completed", order_id=name, total=total, userId="u1")


async def test_a_silence_may_ask_a_condition_of_its_own_once():
    world = silent("2d", "  if: orders.count >= 2\n")
    order(world, 0, "o1")
    world.tick(3 * DAY)
    order(world, 4 * DAY, "o2")
    world.tick(7 * DAY)
    await world.run()
    assert [(row["at"] - START) // DAY for row in world.decisions(acts=False)] == [6]


async def test_a_silence_may_be_computed():
    world = silent('"= orders.count * 2"')
    order(world, 0, "o1")
    world.tick(3 * DAY)
    order(world, 4 * DAY, "o2")
    world.tick(9 * DAY)
    await world.run()
    assert [(row["at"] - START) // DAY for row in world.decisions()] == [2, 8]


async def test_a_silence_whose_length_changes_meanwhile_ends_by_its_new_length():
    world = silent("{by: member.tier, gold: 2d, platinum: 1d, else: 9d}")
    order(world, 0, "o1")
    world.send(HOUR, type="identify", traits={"tier": "gold"}, userId="u1")
    world.tick(3 * DAY)
    await world.run()
    assert [(row["at"] - START) // DAY for row in world.decisions()] == [2]
    world = silent("{by: member.tier, gold: 2d, platinum: 1d, else: 9d}")
    order(world, 0, "o1")
    world.send(4 * DAY, type="identify", traits={"tier": "gold"}, userId="u1")
    world.tick(4 * DAY + HOUR)
    await world.run()
    assert [(row["at"] - START) // DAY for row in world.decisions()] == [4]  # known since then
