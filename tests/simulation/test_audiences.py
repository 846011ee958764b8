"""Schedules: whom a firing reaches and when, whatever the shards, batches and workers."""

import pytest

from rules.load import book_from_sources
from simulator.rule_tests import run_examples
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

CRON = """
rule: member-day
title: t
owner: o
status: live
when: {cron: "0 10 8 * *", audience: everyone}
once_per: tick
holdout: 0%
do:
  - notify: {via: [push], template: miss_you}
"""
BUYERS = """
segment: buyers
title: t
if: orders.count >= 1
"""
TEN = 2 * HOUR  # 10:00 in Shanghai
SCHEDULE = 'cron: "0 10 8 * *", audience: everyone'


def ruled(when: str, **more: str) -> dict[str, str]:
    text = CRON.replace(SCHEDULE, when)
    for key, value in more.items():
        text += f"{key}: {value}\n"
    return {"campaigns/a.yaml": text, "segments/buyers.yaml": BUYERS}


def visited(world: MemoryEngine, people: int, at: int = 0) -> None:
    for number in range(people):
        world.send(at + number, "Product Viewed", product_id="p1", userId=f"u{number}")


def reached(world: MemoryEngine) -> list[tuple[float, str]]:
    return [((row["at"] - START) / HOUR, row["cid"]) for row in world.decisions()]


async def test_a_cron_line_fires_for_everybody_once_a_firing():
    world = MemoryEngine(ruled(SCHEDULE))
    visited(world, 9)
    for day in range(40):
        world.tick(day * DAY + DAY - HOUR)
    await world.run()
    first, second = 3 * 24 + 2, 34 * 24 + 2
    everybody = [(at, f"u:u{number}") for at in (first, second) for number in range(9)]
    assert sorted(reached(world)) == everybody
    assert {row["instance"] for row in world.decisions()} == {
        str(START + first * HOUR), str(START + second * HOUR)
    }  # fmt: skip


async def test_a_segment_is_an_audience_and_written_moments_fire_too():
    world = MemoryEngine(ruled("at: [2026-01-06 10:00, 2026-01-07 10:00], audience: buyers"))
    visited(world, 5)
    world.send(HOUR, "Order Paid", order_id="o1", total=30, userId="u3")
    for hour in range(2, 80):
        if hour == 27:
            world.send(27 * HOUR, "Order Paid", order_id="o2", total=30, userId="u4")
        world.tick(hour * HOUR)
    await world.run()
    assert sorted(reached(world)) == [(26, "u:u3"), (50, "u:u3"), (50, "u:u4")]


@pytest.mark.parametrize("record", [True, False])
async def test_a_spread_gives_each_his_own_moment_whatever_the_shards_and_batches(record: bool):
    found = []
    for shards, batch in ((1, 100), (4, 3), (4, 1000)):
        when = SCHEDULE + ", spread: 2h"
        world = MemoryEngine(ruled(when), shards=shards, batch=batch, record=record)
        visited(world, 40)
        for minute in range(3 * 24 * 60, 3 * 24 * 60 + 6 * 60, 5):
            world.tick(minute * MINUTE)
        await world.run()
        found.append(reached(world))
        ids = [row["decision_id"] for row in world.decisions()]
        assert len(set(ids)) == len(ids) == 40
    assert found[0] == found[1] == found[2]
    hours = [at - 3 * 24 for at, _ in found[0]]
    assert len(set(hours)) == 40
    assert min(hours) < 2.5
    assert max(hours) > 3.5
    assert all(2 <= at < 4 for at in hours)


async def test_what_was_due_before_a_firing_comes_before_it():
    """The firing finds him as he is then, though one tick brings both."""
    waits = (
        "\nrule: waits\ntitle: t\nowner: o\nstatus: live\nwhen: {event: Product Viewed}\n"
        "once_per: day\nholdout: 0%\ndo:\n"
        "  - wait: WAIT\n  - notify: {via: [push], template: miss_you}\n"
    )
    rules = {**ruled("at: [2026-01-06 10:00], audience: everyone")}
    rules["shop.yaml"] = "caps: [{purpose: marketing, limit: 1 per 7d}]\n"
    for wait, winner in (("25h", "waits"), ("27h", "member-day")):
        world = MemoryEngine({**rules, "campaigns/b.yaml": waits.replace("WAIT", wait)})
        visited(world, 3)
        world.tick(4 * DAY)
        await world.run()
        assert {row["rule"] for row in world.decisions()} == {winner}


async def test_a_schedule_begins_with_its_book_and_an_edit_elsewhere_does_not_fire_it_again():
    world = MemoryEngine(ruled('cron: "0 10 * * *", audience: everyone'))
    visited(world, 2)
    world.tick(DAY)
    new = ruled('cron: "0 10 * * *", audience: everyone', late="2h")
    new["campaigns/new.yaml"] = CRON.replace("member-day", "evening").replace("0 10 8", "0 9 *")
    world.publish(new, DAY + 3 * HOUR)  # 11:00; on that day 10:00 was not fired yet
    world.tick(DAY + 4 * HOUR)
    world.tick(2 * DAY)
    world.tick(2 * DAY + 3 * HOUR)
    await world.run()
    rows = [((row["at"] - START) / HOUR, row["rule"]) for row in world.decisions()]
    assert sorted(set(rows)) == [
        (2, "member-day"), (26, "member-day"), (49, "evening"), (50, "member-day"),
    ]  # fmt: skip
    assert len(rows) == 8


async def test_a_missed_firing_is_late_by_the_rules_own_measure():
    world = MemoryEngine(ruled('cron: "0 10 * * *", audience: everyone'), record=False)
    visited(world, 2)
    world.tick(HOUR)
    world.tick(2 * DAY + 2 * HOUR + 30 * MINUTE)  # back after two days
    await world.run()
    rows = world.decisions(acts=False)
    assert sorted({((row["at"] - START) / HOUR, row["held"]) for row in rows}) == [
        (2, "late"), (50, ""),
    ]  # fmt: skip


async def test_a_firing_over_more_than_a_tick_may_hold_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr("engine.pipeline.PART_MAX", 7)
    monkeypatch.setattr("engine.run.PART_MAX", 7)
    found = []
    for kill in (False, True):
        world = MemoryEngine(ruled(SCHEDULE), shards=1, record=False)
        visited(world, 100)
        for second in range(12):
            world.tick(3 * DAY + TEN + second * 1_000)
            await world.run()
            if kill:
                await world.open()  # another worker goes on
        found.append(reached(world))
    assert found[0] == found[1]
    assert len(found[0]) == 100


async def test_identities_that_unite_between_firing_and_turn_have_one_turn():
    world = MemoryEngine(ruled("at: [2026-01-06 10:00], audience: everyone, spread: 10h"))
    world.send(0, "Product Viewed", product_id="p1", anonymousId="a1")
    world.send(1, "Product Viewed", product_id="p1", userId="u1")
    world.tick(DAY + TEN)
    world.send(DAY + TEN + 1, type="identify", userId="u1", anonymousId="a1")
    world.tick(DAY + TEN + 2)
    await world.run()
    world.tick(3 * DAY)
    await world.run()
    assert [row["cid"] for row in world.decisions()] == ["u:u1"]


EXAMPLES = """
examples:
  - name: the 8th, though each has his own moment of the hour
    start: 2026-01-07
    given: []
    expect: [{at: 34h, notify: miss_you}]
  - name: followed for longer
    start: 2026-01-07
    given: []
    until: 40d
    expect: [{at: 34h, notify: miss_you}, {at: 778h, notify: miss_you}]
"""
ITEM_EXAMPLES = """
examples:
  - name: in the cart
    given:
      - {at: 0h, event: Product Added, product_id: p1, price: 100, quantity: 1}
      - {at: 5h, event: Product Price Changed, product_id: p1, price: 80}
      - {at: 6h, event: Product Price Changed, product_id: p2, price: 80}
    expect: [{at: 5h, notify: miss_you}]
  - name: only looked at
    given:
      - {at: 0h, event: Product Viewed, product_id: p1, price: 100}
      - {at: 5h, event: Product Price Changed, product_id: p1, price: 80}
    expect: []
"""


def test_examples_have_schedules_and_items_too():
    rules = ruled(SCHEDULE + ", spread: 1h")
    rules["campaigns/a.yaml"] += EXAMPLES
    held = CRON.replace("{" + SCHEDULE + "}", "{item: Product Price Changed, held_in: [cart]}")
    held = held.replace("member-day", "drop").replace("once_per: tick", "once_per: product")
    rules["campaigns/b.yaml"] = held + ITEM_EXAMPLES
    assert [one.why for one in run_examples(book_from_sources(rules))] == [()] * 4
