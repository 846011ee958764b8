"""At a peak timers of lower-priority rules wait and catch up; what is decided stays the same."""

import dataclasses

import orjson
import pytest

from engine.peak import LOOK_MS, excused
from engine.timers import LOWER
from tests.memory_engine import MINUTE, START, MemoryEngine

SECOND = 1_000
RATE = 20
RULE = """
rule: {name}
title: t
owner: o
status: live
priority: {priority}
when: {{event: {event}}}
once_per: product
holdout: 0%
late: 2m
do:
  - wait: 1m
  - notify: {{via: [push], template: hello}}
"""
BEGINS, ENDS = 30, 300  # seconds: longer than `late`


def world(*, rate: int = RATE, batch: int = 1000) -> MemoryEngine:
    rules = {
        f"campaigns/{name}.yaml": RULE.format(name=name, priority=priority, event=event)
        for name, priority, event in (
            ("low", LOWER - 1, "Product Viewed"),
            ("high", LOWER, "Product Added"),
        )
    }
    return MemoryEngine(rules, shards=1, batch=batch, record=False), rate


async def lived(made: tuple[MemoryEngine, int], *, calls: tuple[int, ...] = ()) -> MemoryEngine:
    """Eight minutes, a tick a second; between BEGINS and ENDS many others come in as well."""
    engine, rate = made
    await engine.open()
    (worker,) = engine.workers
    worker.settings = dataclasses.replace(worker.settings, peak_rate=rate)
    for user in ("u1", "u2", "u4"):
        engine.send(0, product_id="p1", userId=user)
    for user in ("u3", "u4"):
        engine.send(0, "Product Added", product_id="p1", userId=user)
    for second in range(8 * 60):
        at = second * SECOND
        if second in calls:
            engine.send(at, "Products Searched", userId="u1", query="shoes")
        if BEGINS <= second < ENDS:
            for n in range(RATE + 5):
                engine.send(at + n, "Page Left", userId=f"crowd{n}")
        engine.tick(at + SECOND - 1)
    await engine.run()
    return engine


def fired(engine: MemoryEngine) -> dict[tuple[str, str], int]:
    """(rule, customer) -> the second of log time at which its decision came."""
    times = {record.offset: record.log_time for record in engine.logs[0]}
    return {
        (row["rule"], row["cid"]): (times[row["log_offset"]] - START) // SECOND
        for row in engine.decisions()
    }


def contents(engine: MemoryEngine) -> list[bytes]:
    """The decisions without where and how late they were committed."""
    return sorted(
        orjson.dumps({k: v for k, v in row.items() if k not in {"log_offset", "latency_ms"}})
        for row in engine.decisions(acts=False)
    )


async def test_lower_priorities_wait_for_the_end_and_nothing_else_changes() -> None:
    calm, busy = await lived(world(rate=0)), await lived(world())
    assert set(fired(calm).values()) == {60}
    came = fired(busy)
    assert came["high", "u:u3"] == 60
    assert came["high", "u:u4"] == came["low", "u:u4"] == 60  # a customer's timers keep their order
    look = LOOK_MS // SECOND
    assert ENDS <= came["low", "u:u1"] <= ENDS + look
    assert contents(busy) == contents(calm)  # the same ids, and none held as late
    assert busy.counts()["processed"] == calm.counts()["processed"]


async def test_a_customers_own_record_comes_after_his_timers_peak_or_not() -> None:
    busy = await lived(world(), calls=(90,))
    assert fired(busy)["low", "u:u1"] == 90
    assert fired(busy)["low", "u:u2"] >= ENDS
    assert contents(busy) == contents(await lived(world(rate=0), calls=(90,)))


@pytest.mark.parametrize("batch", [1, 7])
async def test_a_peak_is_a_matter_of_the_log_not_of_batches(batch: int) -> None:
    whole, parts = await lived(world()), await lived(world(batch=batch))
    assert parts.decisions(acts=False) == whole.decisions(acts=False)


async def test_an_outage_is_late_as_ever() -> None:
    """Nobody ticked for an hour, and little came in: that was no peak."""
    engine, _ = world()
    await engine.open()
    (worker,) = engine.workers
    worker.settings = dataclasses.replace(worker.settings, peak_rate=RATE)
    engine.send(0, product_id="p1", userId="u1")
    engine.tick(SECOND)
    engine.tick(60 * MINUTE)
    await engine.run()
    assert {row["held"] for row in engine.decisions(acts=False)} == {"late"}


def test_what_is_excused_is_counted_once():
    assert excused([], 0, 1_000) == 0
    assert excused([[100, 200], [250, 400]], 0, 10_000_000) == 300 + LOOK_MS
    assert excused([[100, 200]], 150, 180) == 30
    assert excused([[100, 200]], 1_000_000, 2_000_000) == 0
