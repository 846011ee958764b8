"""Digests under any order of events, ticks, batches and merges: within the rate, nothing lost."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory_engine import DAY, HOUR, MINUTE, MemoryEngine
from tests.random_steps import link, look

RULE = """
rule: drops
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
digest: %s
holdout: 0%%
late: 1h
%s
do:
%s  - coupon: {offer: SAVE, off: 10, valid: 48h}
  - notify: {via: [push], template: t}
"""
SHOP = 'quiet_hours: {from: "22:00", to: "08:00", then: defer}\n'
BUDGET = "budget: {coupons: 4 per day, money: 500 per week}"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("view", "view", "view", "tick", "run", "link")),
        st.integers(0, 3),
        st.sampled_from((0, MINUTE, 30 * MINUTE, 3 * HOUR, 20 * HOUR)),
    ),
    max_size=40,
)
PERIODS = {"1 per day": (1, 0), "2 per 5h": (2, 5 * HOUR), "1 per 20m": (1, 20 * MINUTE)}


@settings(max_examples=100, deadline=None)
@given(
    shards=st.integers(1, 3),
    batch=st.integers(1, 20),
    record=st.booleans(),
    rate=st.sampled_from(sorted(PERIODS)),
    quiet=st.booleans(),
    budget=st.booleans(),
    wait=st.booleans(),
    linking=st.booleans(),
    steps=STEPS,
)
def test_no_digest_goes_over_its_rate_and_nobody_is_left_out(
    shards, batch, record, rate, quiet, budget, wait, linking, steps
):
    rule = RULE % (rate, BUDGET if budget else "", "  - wait: 7m\n" if wait else "")
    files = {"campaigns/r.yaml": rule, **({"shop.yaml": SHOP} if quiet else {})}
    world = MemoryEngine(files, shards=shards, batch=batch, record=record)
    sent, linked = asyncio.run(_play(world, [one for one in steps if linking or one[0] != "link"]))
    rows = world.decisions(acts=False)
    acts = {row["decision_id"]: row for row in rows if not row["held"]}
    assert sorted(row["instance"] for row in rows) == sorted(sent)  # one row for each, and one only
    for row in rows:
        if row["held"] == "digest":
            spoke = acts[row["values"]["digest"]]
            assert (spoke["at"], spoke["cid"]) == (row["at"], row["cid"])
    count, span = PERIODS[rate]
    for who in {row["cid"] for row in acts.values()}:
        times = [row["at"] for row in acts.values() if row["cid"] == who]
        if who in linked:  # each side had its own before they were known to be one
            continue
        if span:
            assert all(sum(t - span < other <= t for other in times) <= count for t in times)
        else:
            days = [(t + 8 * HOUR) // DAY for t in times]
            assert len(days) == len(set(days))


async def _play(world: MemoryEngine, steps) -> tuple[list[str], set[str]]:
    at, sent, linked = 0, [], set()
    for what, number, gap in steps:
        at += gap
        if what == "view":
            sent.append(look(world, at, number))
        elif what == "tick":
            world.tick(at)
        elif what == "run":
            await world.run()
        else:
            linked |= link(world, at, number)
    await world.run()
    for day in range(1, 45):  # one decision a day at the least, forty of them waiting at most
        world.tick(at + day * DAY)
        await world.run()
    return sent, linked
