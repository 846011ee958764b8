"""Budgets under any order of events, letters, batches and shards: never exceeded, never stuck."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ledger import Bucket, Ledger, bucket
from rules.model import Rate
from tests.memory_engine import DAY, HOUR, MINUTE, MemoryEngine
from tests.random_steps import carry, decide, link, look

RULE = """
rule: gift
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: %d%%
late: 1h
budget: {coupons: %d per day, money: %d per %s}
do:
  - coupon: {offer: SAVE, off: 10, valid: 48h}
"""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("view"), st.integers(0, 9), st.integers(0, 90 * MINUTE)),
        st.tuples(st.just("tick"), st.just(0), st.integers(0, 8 * HOUR)),
        st.tuples(st.just("decide"), st.integers(1, 9), st.just(0)),
        st.tuples(st.just("letters"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("link"), st.integers(0, 9), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(
    shards=st.integers(1, 5),
    record=st.booleans(),
    coupons=st.integers(1, 12),
    yuan=st.sampled_from((10, 35, 100)),
    period=st.sampled_from(("8h", "week", "ever")),
    steps=STEPS,
)
def test_no_budget_is_ever_exceeded(shards, record, coupons, yuan, period, steps):
    rule = RULE % (0, coupons, yuan, period)
    world = MemoryEngine({"campaigns/r.yaml": rule}, shards=shards, record=record)
    sent = asyncio.run(_play(world, steps))
    rows = world.decisions()
    times = [row["at"] for row in rows for _ in row["actions"]]
    days: dict[int, int] = {}
    for at in times:
        day = (at + 8 * HOUR) // DAY
        days[day] = days.get(day, 0) + 1
    assert max(days.values(), default=0) <= coupons
    span = {"8h": 8 * HOUR, "week": 1, "ever": 10**14}[period]
    assert all(10 * sum(t - span < other <= t for other in times) <= yuan for t in times)
    if period == "week":
        weeks = [bucket(Rate(1, 0, "week"), at, "Asia/Shanghai").number for at in times]
        assert all(10 * weeks.count(week) <= yuan for week in weeks)
    instances = [row["instance"] for row in world.decisions(acts=False)]
    assert len(instances) == len(set(instances))  # one decision a trigger instance
    assert sorted(instances) == sorted(sent)  # and one at all: nobody waits for ever


async def _play(world: MemoryEngine, steps) -> list[str]:
    at, sent = 0, []
    await world.open()
    for what, number, gap in steps:
        at += gap
        if what == "view":
            sent.append(look(world, at, number))
        elif what == "tick":
            world.tick(at)
        elif what == "decide":
            await decide(world, number)
        elif what == "letters":
            carry(world, again=number > 2)
        else:
            link(world, at, number)
    await world.run()
    world.tick(at + DAY)
    await world.run()
    return sent


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 9),
    limit=st.integers(1, 500),
    asks=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 60), st.integers(0, 40))),
)
def test_a_ledger_grants_no_window_more_than_its_limit(width, limit, asks):
    ledger, held = Ledger(), {}
    for number, need, back in asks:
        granted = ledger.grant(Bucket(number, width), limit, need, 3)
        assert granted == 0 or granted >= need
        held[number] = held.get(number, 0) + granted
        given_back = min(back, held[number])
        ledger.take_back(number, given_back)
        held[number] -= given_back
        for start in range(-width, 92):
            assert sum(held.get(start + n, 0) for n in range(width)) <= limit


@settings(max_examples=40, deadline=None)
@given(share=st.integers(0, 100), people=st.integers(1, 25))
def test_who_is_held_out_gets_nothing_and_stays_held_out(share, people):
    arms: dict[str, set[str]] = {}
    for shards, batch in ((1, 100), (3, 2)):
        rule = RULE % (share, 1000, 10_000, "ever")
        world = MemoryEngine({"campaigns/r.yaml": rule}, shards=shards, batch=batch)
        for n in range(2 * people):
            world.send(n * MINUTE, product_id="p", userId=f"u{n % people}")
        asyncio.run(world.run())
        for row in world.decisions(acts=False):
            assert (row["arm"] == "treated") == (row["result"] == "act")
            assert row["arm"] == "treated" or row["held"] == "holdout"
            arms.setdefault(row["cid"], set()).add(row["arm"])
    assert all(len(found) == 1 for found in arms.values())
