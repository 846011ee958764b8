"""Ledgers balance under any history: no coupon counted twice, points are the sum of their rows."""

import asyncio
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from features.coupon_ledger import FINISHED, ISSUED, RESERVED
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

CODES = [f"C{n}" for n in range(4)]
ORDERS = [f"o{n}" for n in range(6)]
OPEN = {"issued", "reserved", "released", "reversed"}
# What may follow what: all else would count a coupon twice, or out of nothing.
AFTER = {
    None: {"issued"},
    "issued": {"reserved", "redeemed", "expired", "voided"},
    "reserved": {"released", "redeemed", "voided"},
    "released": {"reserved", "redeemed", "expired", "voided"},
    "redeemed": {"reversed"},
    "reversed": {"reserved", "redeemed", "expired", "voided"},
    "expired": set(),
    "voided": set(),
}


def history(seed, *, adjustments):
    """Any events about coupons, orders and points of two ids that turn out to be one, or not."""
    chance = random.Random(seed)
    world = MemoryEngine(shards=2, batch=chance.choice([1, 7, 1000]))
    at = 0
    for _ in range(chance.randrange(10, 60)):
        at += chance.choice([0, 60_000, HOUR, DAY])
        who = chance.choice([{"userId": "1"}, {"anonymousId": "a"}])
        code, order = chance.choice(CODES), chance.choice(ORDERS)
        points = chance.randrange(-60 if adjustments else 0, 200)
        ends = START + at + chance.randrange(1, 5) * DAY
        name, properties = chance.choice([
            ("Coupon Issued", {"code": code, "off": 30, "expires_at": ends}),
            ("Coupon Reserved", {"code": code, "checkout_id": chance.choice("xy"), "order_id": order}),
            ("Coupon Redeemed", {"code": code, "order_id": order, "discount": 20}),
            ("Coupon Released", {"code": code}),
            ("Coupon Voided", {"code": code}),
            ("Coupon Reversed", {"order_id": order}),
            ("Order Paid", {"order_id": order, "coupon": code, "total": 50}),
            ("Order Cancelled", {"order_id": order}),
            ("Order Refunded", {"order_id": order, "refund_id": f"r{at}"}),
            ("Points Earned", {"points": points, "order_id": order}),
            ("Points Earned", {"points": points, "expires_at": ends}),
            ("Points Redeemed", {"points": chance.randrange(150), "order_id": order}),
            ("Points Expired", {"points": chance.randrange(50)}),
            ("Order Paid", {"order_id": f"p{at}"}),
        ])  # fmt: skip
        if chance.random() < 0.03:
            world.send(at, type="identify", userId="1", anonymousId="a")
        late = chance.choice([0, 0, 0, -2 * HOUR])
        world.send(max(0, at + late), name, log_time=START + at, **who, **properties)
        if chance.random() < 0.3:
            world.tick(at)
    world.tick(at + chance.choice([0, DAY, 9 * DAY]))
    asyncio.run(world.run())
    return world


def rows(world, table):
    return [row for entry in world.entries() for row in entry.get("facts", {}).get(table, ())]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_of_each_coupon_issued_exactly_one_thing_is_true(seed):
    world = history(seed, adjustments=False)
    chains = {}
    for row in rows(world, "coupon_ledger"):
        chains.setdefault((row["cid"], row["coupon_id"]), []).append(row)
    for chain in chains.values():
        if chain[0]["fact"] != "issued":
            continue  # it came with another id of the same person: told in that one's rows
        last = None
        for number, row in enumerate(chain):
            assert row["seq"] == number
            assert row["fact"] in AFTER[last], chain
            last = row["fact"]
        counted = Counter(row["fact"] for row in chain)
        ended = counted["redeemed"] - counted["reversed"] + counted["expired"] + counted["voided"]
        assert counted["issued"] == ended + (last in OPEN) == 1
        assert sum(r["cost"] for r in chain if r["fact"] == "redeemed") >= sum(
            r["cost"] for r in chain if r["fact"] == "reversed"
        )
    for cid in ("u:1", "a:a"):
        for code, one in world.customer(cid).state("coupons").coupons.items():
            told = [row for (_, c), chain in chains.items() if c == code for row in chain]
            same = [row["fact"] for row in told if row["seq"] == one.seq]
            assert one.state in same or (one.state == ISSUED and OPEN & set(same))
            assert one.state in FINISHED | {ISSUED, RESERVED}


def balance(world):
    states = [world.customer(cid).state("points") for cid in ("u:1", "a:a")]
    return sum(sum(lot.left for lot in one.lots) - one.owed for one in states)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_the_balance_is_the_sum_of_the_ledger(seed, adjustments):
    world = history(seed, adjustments=adjustments)
    told = rows(world, "points_ledger")
    assert len({(row["cid"], row["entry_id"]) for row in told}) == len(told)
    assert sum(row["points"] for row in told) == balance(world)
    assert adjustments or balance(world) >= 0
    for cid in ("u:1", "a:a"):
        points = world.customer(cid).state("points")
        assert all(lot.left > 0 for lot in points.lots)
        assert not (points.owed and points.lots), "what is owed is paid first"
