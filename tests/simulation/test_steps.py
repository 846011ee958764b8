"""Branches, lots and waits of every form, on the real core."""

from tests.memory_engine import DAY, HOUR, START, MemoryEngine

TOP = """
rule: way
title: t
owner: o
status: live
when: {event: Signed Up}
once_per: customer
holdout: 0%
do:
"""


def engine(steps: str, **options) -> MemoryEngine:
    return MemoryEngine({"campaigns/way.yaml": TOP + steps}, **options)


def acts(world: MemoryEngine) -> list[tuple[float, str, str]]:
    return sorted(
        ((row["at"] - START) / HOUR, row["step"], "+".join(a["name"] for a in row["actions"]))
        for row in world.decisions()
    )


async def signed_up(world: MemoryEngine, people: int = 1) -> MemoryEngine:
    for n in range(people):
        world.send(0, "Signed Up", userId=f"u{n}")
    await world.run()
    return world


async def test_whether_the_awaited_event_arrived_chooses_the_branch():
    steps = """
  - wait: {event: Product Viewed, for: 2d}
  - choose:
      - if: arrived
        do:
          - notify: {via: [push], template: still_looking}
      - do:
          - notify: {via: [push], template: miss_you}
  - wait: 1h
  - notify: {via: [push], template: first_order}
"""
    came = await signed_up(engine(steps))
    came.send(5 * HOUR, "Product Viewed", product_id="p", userId="u0")
    came.tick(3 * DAY)
    await came.run()
    assert acts(came) == [(5, "1.1.1", "notify:still_looking"), (6, "2", "notify:first_order")]
    stayed_away = await signed_up(engine(steps))
    stayed_away.tick(3 * DAY)
    await stayed_away.run()
    assert acts(stayed_away) == [(48, "1.2.1", "notify:miss_you"), (49, "2", "notify:first_order")]


async def test_a_lot_is_fair_written_down_and_the_same_for_a_customer():
    steps = """
  - split:
      - {name: small, share: 30%, do: [{notify: {via: [push], template: miss_you}}]}
      - {name: big, share: 70%, do: [{notify: {via: [push], template: first_order}}]}
"""
    one = await signed_up(engine(steps), 400)
    two = await signed_up(engine(steps, shards=1, batch=7), 400)
    drawn = {row["cid"]: row["split"] for row in one.decisions()}
    assert drawn == {row["cid"]: row["split"] for row in two.decisions()}
    assert 90 <= sum(name == "small" for name in drawn.values()) <= 150
    for row in one.decisions():
        wanted = {"small": "notify:miss_you", "big": "notify:first_order"}[row["split"]]
        assert [action["name"] for action in row["actions"]] == [wanted]


async def test_a_wait_ends_at_a_written_moment_or_at_once_when_it_is_past():
    steps = """
  - wait: {until: 2026-01-06 20:00}
  - notify: {via: [push], template: miss_you}
  - wait: {until: 2026-01-01 20:00}
  - notify: {via: [push], template: first_order}
"""
    world = await signed_up(engine(steps))
    world.tick(3 * DAY)
    await world.run()
    # START is 08:00 in the shop's zone; 20:00 the next day is 36 hours later.
    assert acts(world) == [(36, "1", "notify:miss_you"), (36, "2", "notify:first_order")]


async def test_a_wait_is_passed_over_unless_its_condition_holds():
    steps = """
  - wait: 1d
    if: orders.count >= 1
  - notify: {via: [push], template: miss_you}
"""
    assert acts(await signed_up(engine(steps))) == [(0, "1", "notify:miss_you")]


async def test_a_wait_that_is_looked_up_takes_as_long_as_it_says():
    steps = """
  - wait: {by: seen.channel, web: 1h, else: 3h}
  - notify: {via: [push], template: miss_you}
"""
    world = await signed_up(engine(steps))
    world.tick(DAY)
    await world.run()
    assert acts(world) == [(3, "1", "notify:miss_you")]
