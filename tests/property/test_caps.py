"""Caps under any order of events, ticks and batches; branches drawn by lot are stable."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

SHOP = """
caps:
  - {purpose: marketing, via: push, limit: 2 per 24h}
  - {purpose: marketing, limit: 3 per 3d}
  - {via: sms, limit: 1 per day}
quiet_hours: {from: "22:00", to: "08:00", then: defer}
"""
RULE = """
rule: %s
title: t
owner: o
status: live
purpose: %s
priority: %d
when: {event: %s}
once_per: event
holdout: 0%%
do:
  - wait: %s
  - notify: {via: [%s], template: t}
"""
SPLIT = """
rule: split
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%
do:
  - split:
      - {name: big, share: 30%, do: [{notify: {via: [push], template: big}}]}
      - {name: small, share: 70%, do: [{notify: {via: [push], template: small}}]}
"""
BOOK = {
    "campaigns/a.yaml": RULE % ("a", "marketing", 50, "Product Viewed", "1s", "push, sms"),
    "campaigns/b.yaml": RULE % ("b", "marketing", 70, "Product Viewed", "1h", "push"),
    "campaigns/c.yaml": RULE % ("c", "service", 50, "Product Added", "30m", "sms"),
    "shop.yaml": SHOP,
}
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("Product Viewed", "Product Added")),
        st.sampled_from(("u1", "u2")),
        st.integers(0, 20 * HOUR),
        st.sampled_from((0, 0, 0, 5 * MINUTE, 2 * HOUR)),  # so late it comes
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(events=EVENTS, batch=st.integers(1, 20), shards=st.integers(1, 3), ticks=st.booleans())
def test_no_cap_is_ever_exceeded_and_nobody_is_woken(events, batch, shards, ticks):
    world = MemoryEngine(BOOK, shards=shards, batch=batch)
    at = 0
    for name, who, gap, late in events:
        at += gap
        item = {"product_id": "p", "price": 9, "quantity": 1, "userId": who}
        world.send(max(0, at - late), name, log_time=START + at, **item)
        if ticks:
            world.tick(at)
    world.tick(at + 2 * DAY)
    asyncio.run(world.run())
    rows = world.decisions()
    for who in ("u:u1", "u:u2"):
        sent = [
            (row["at"], row["purpose"], row["actions"][0]["channel"])
            for row in rows
            if row["cid"] == who
        ]
        marketing = [t for t, purpose, _ in sent if purpose == "marketing"]
        push = [t for t, purpose, via in sent if (purpose, via) == ("marketing", "push")]
        for t in marketing:
            assert sum(t - DAY < other <= t for other in push) <= 2
            assert sum(t - 3 * DAY < other <= t for other in marketing) <= 3
            assert 8 * HOUR <= (t + 8 * HOUR) % DAY < 22 * HOUR
        days = [(t + 8 * HOUR) // DAY for t, _, via in sent if via == "sms"]
        assert len(days) == len(set(days))
    decided = [(row["rule"], row["instance"]) for row in world.decisions(acts=False)]
    assert len(decided) == len(set(decided))


@settings(max_examples=30, deadline=None)
@given(people=st.integers(1, 20), batch=st.integers(1, 9), shards=st.integers(1, 3))
def test_a_split_is_the_same_for_a_customer_always(people, batch, shards):
    world = MemoryEngine({"campaigns/r.yaml": SPLIT}, shards=shards, batch=batch)
    for n in range(people):
        for day in range(3):
            world.send(day * DAY + n, product_id="p", userId=f"u{n}")
    asyncio.run(world.run())
    found: dict[str, set[str]] = {}
    for row in world.decisions():
        found.setdefault(row["cid"], set()).add(row["split"])
    assert len(found) == people
    assert all(len(names) == 1 for names in found.values())
