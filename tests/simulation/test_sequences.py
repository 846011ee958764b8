"""Sequences on the real core: order, time, counts, subjects, late events, what stays away."""

import pytest

from engine.journal import memory
from engine.sequences import THREAD_MAX
from tests.memory_engine import HOUR, MINUTE, START, MemoryEngine

TOP = """
rule: chain
title: t
owner: o
status: live
once_per: {once}
holdout: 0%
do:
  - notify: {{via: [push], template: still_looking}}
"""
CHAIN = """
when:
  sequence:
    - event: Product Viewed
      count: 2
    - event: Checkout Started
      if: event.total >= 100
  within: 10m
"""
AWAY = CHAIN + "  then_not: {event: [Order Paid, Cart Emptied], for: 5m}\n"
PAIR = "when: {sequence: [Product Viewed, Product Added], within: 1h}\n"


def engine(when: str, once: str = "event", **options) -> MemoryEngine:
    return MemoryEngine({"campaigns/chain.yaml": TOP.format(once=once) + when}, **options)


async def fired(world: MemoryEngine, *events: tuple, until: int = HOUR) -> list[tuple[float, str]]:
    for at, name, *rest in events:
        world.send(int(at * MINUTE), name, userId="u", **(rest[0] if rest else {}))
    world.tick(until)
    await world.run()
    return [((row["at"] - START) / MINUTE, row["instance"]) for row in world.decisions()]


VIEW, ADD, PAY = "Product Viewed", "Product Added", "Order Paid"
START_PAY = "Checkout Started"
BIG, SMALL = {"total": 200}, {"total": 50}


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([(0, VIEW), (1, VIEW), (2, START_PAY, BIG)], [2]),
        ([(0, VIEW), (1, VIEW), (2, START_PAY, SMALL)], []),
        ([(0, VIEW), (1, VIEW), (2, START_PAY, SMALL), (3, START_PAY, BIG)], [3]),
        ([(0, VIEW), (2, START_PAY, BIG), (3, VIEW)], []),
        ([(0, VIEW), (1, VIEW), (10, START_PAY, BIG)], [10]),
        ([(0, VIEW), (1, VIEW), (10.1, START_PAY, BIG)], []),
        ([(0, VIEW), (1, VIEW), (2, VIEW), (10.5, START_PAY, BIG)], [10.5]),
        ([(0, VIEW), (1, VIEW), (2, START_PAY, BIG), (3, START_PAY, BIG)], [2]),
        ([(0, VIEW), (1, VIEW), (2, START_PAY, BIG), (3, VIEW), (3, VIEW), (4, START_PAY, BIG)],
         [2, 4]),
    ],
)  # fmt: skip
async def test_the_links_come_in_their_order_within_the_time(events, wanted):
    assert [at for at, _ in await fired(engine(CHAIN), *events)] == wanted


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ([], [7]),
        ([(6, PAY, {"order_id": "o"})], []),
        ([(7.1, PAY, {"order_id": "o"})], [7]),
        ([(5, "Cart Emptied")], []),
        ([(5, "Order Completed", {"order_id": "o"})], []),
    ],
)
async def test_it_fires_once_what_must_stay_away_has_stayed_away(then, wanted):
    events = [(0, VIEW), (1, VIEW), (2, START_PAY, BIG), *then]
    assert [at for at, _ in await fired(engine(AWAY), *events)] == wanted


async def test_a_late_event_takes_its_place_by_its_own_time():
    events = [(0, VIEW), (2, START_PAY, BIG), (1, VIEW)]
    assert [at for at, _ in await fired(engine(CHAIN), *events)] == [2]


async def test_what_came_before_a_late_last_link_counts_too():
    paid_first = [(0, VIEW), (1, VIEW), (4, PAY, {"order_id": "o"}), (2, START_PAY, BIG)]
    assert await fired(engine(AWAY), *paid_first) == []
    before_it = [(0, VIEW), (1, VIEW), (1.5, PAY, {"order_id": "o"}), (2, START_PAY, BIG)]
    assert [at for at, _ in await fired(engine(AWAY), *before_it)] == [7]


async def test_each_thing_has_its_own_thread():
    def of(thing: str) -> dict:
        return {"product_id": thing}

    events = [(0, VIEW, of("p")), (1, VIEW, of("q")), (2, ADD, of("r")), (3, ADD, of("p"))]
    assert await fired(engine(PAIR, "product"), *events) == [(3, "p")]
    assert [at for at, _ in await fired(engine(PAIR), *events)] == [2]


async def test_what_names_no_thing_belongs_to_all():
    when = "when: {sequence: [Live Stream Joined, Product Added], within: 1h}\n"
    events = [(0, "Live Stream Joined", {"live_id": "l"}), (1, ADD, {"product_id": "p"})]
    assert await fired(engine(when, "live"), *events) == [(1, "l")]
    events = [(0, VIEW), (1, ADD, {"order_id": "o"})]
    assert await fired(engine(PAIR, "order"), *events) == [(1, "o")]


async def test_once_a_day_is_once_a_day():
    events = [(n, name) for n, name in enumerate([VIEW, ADD, VIEW, ADD])]
    assert await fired(engine(PAIR, "day"), *events) == [(1, "2026-01-05")]


async def test_batches_change_nothing():
    rest = (START_PAY, PAY, VIEW, VIEW)
    events = [(n * 0.7, VIEW if n % 9 < 4 else rest[n % 4], BIG) for n in range(80)]
    found = [await fired(engine(CHAIN, batch=n, shards=1), *events) for n in (1, 7, 500)]
    assert found[0] == found[1] == found[2] != []


async def test_a_thread_is_bounded_and_still_exact():
    world = engine(PAIR.replace("Product Viewed,", "Signed Up, Product Viewed,"))
    events = [(0, "Signed Up"), *((n / 100, VIEW) for n in range(400)), (5, ADD)]
    assert [at for at, _ in await fired(world, *events)] == [5]
    for n in range(400):
        world.send(6 * MINUTE + n, VIEW, userId="u")
    await world.run()
    (thread,) = memory(world.customer("u:u")).journey.links["chain"].values()
    assert len(thread) <= THREAD_MAX + 1


async def test_two_who_are_one_have_one_thread():
    world = engine(PAIR)
    world.send(0, VIEW, anonymousId="a")
    world.send(MINUTE, type="identify", userId="u", anonymousId="a")
    await world.run()
    assert [at for at, _ in await fired(world, (2, ADD))] == [2]


async def test_who_paid_elsewhere_has_paid():
    world = engine(AWAY)
    for n in (0, 1):
        world.send(n * MINUTE, VIEW, userId="u")
    world.send(2 * MINUTE, START_PAY, userId="u", total=200)
    world.send(3 * MINUTE, VIEW, anonymousId="a")
    world.send(3 * MINUTE, PAY, anonymousId="a", order_id="o")
    world.send(4 * MINUTE, type="identify", userId="u", anonymousId="a")
    await world.run()
    assert await fired(world) == []
