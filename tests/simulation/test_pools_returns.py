"""An imported code whose message never left: back in its pool, then the next customer's, once."""

import asyncio
from collections import Counter
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import pools
from sinks.messages import messages_of
from sinks.outbox import Entry, EntryId
from sinks.receipts import given_up, record
from sinks.rows import issued_rows
from tests.memory_engine import DAY, HOUR, MINUTE, SECRET, START, MemoryEngine
from tests.random_steps import carry, decide

POOL = "b:pool/vip"
FILES = {
    "offers/vip.yaml": "offer: VIP\noff: 30\nvalid: 30d\ncodes: {pool: vip}\n",
    "campaigns/r.yaml": """
rule: give
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%
late: 1h
do:
  - coupon: {offer: VIP}
  - notify: {via: [push], template: hello}
""",
    "campaigns/ends.yaml": """
rule: ends
title: t
owner: o
status: live
when: {due: coupon.expires_at, offset: -1d}
once_per: coupon
holdout: 0%
do:
  - notify: {via: [push], template: hello, with: {code: "= coupon.code"}}
""",
}


def engine(*codes: str, **options) -> MemoryEngine:
    world = MemoryEngine(FILES, **options)
    world.stock(0, *codes)
    return world


async def view(world: MemoryEngine, at: int, who: str) -> dict:
    """He looks; the decision that it brings."""
    before = {row["decision_id"] for row in world.decisions()}
    world.send(at, product_id="p", userId=who)
    await world.run()
    (row,) = [row for row in world.decisions() if row["decision_id"] not in before] or [{}]
    return row


def coupon(row: dict) -> dict:
    return next(action for action in row["actions"] if action["kind"] == "coupon")


def fail(world: MemoryEngine, row: dict, at: int, *, unsent: bool = True) -> None:
    """The relay gives the decision's message up, and tells the customer's log."""
    body = orjson.dumps({"decisions": [row]})
    (message, *_) = messages_of(Entry(0, EntryId(1, 0), body))
    for receipt in given_up(message, "refused", START + at, unsent=unsent):
        one = record(receipt, world.shards)
        world.append(one.shard, one.key, one.value, START + at)


def void(world: MemoryEngine) -> list[str]:
    rows = [r for e in world.entries() for r in e.get("facts", {}).get("coupon_ledger", ())]
    return sorted(row["coupon_id"] for row in rows if row["fact"] == "voided")


def in_stock(world: MemoryEngine) -> list[str]:
    pool = world.customer(POOL).state(pools.STATE)
    return [pools.unseal(SECRET, "vip", sealed) for sealed in pool.stock]


async def test_a_code_whose_message_never_left_is_given_to_the_next():
    world = engine("AAAA", shards=1)
    first = await view(world, HOUR, "u1")
    assert b"AAAA" in b"".join(world.store.shard(0).customers.values())
    assert (await view(world, HOUR + 1, "u2")) == {}
    fail(world, first, 2 * HOUR)
    fail(world, first, 2 * HOUR + 1)  # the relay told it twice
    await world.run()
    assert in_stock(world) == ["AAAA 2"]
    (letter,) = [one for one in world.gathered("letters") if one["kind"] == "unspent"]
    assert letter["cid"] == POOL
    assert "u1" not in orjson.dumps(letter).decode()
    assert b"AAAA" not in b"".join(world.store.shard(0).customers.values())  # he has forgotten it
    assert "AAAA" not in orjson.dumps(letter).decode()
    world.tick(3 * HOUR)
    second = await view(world, 3 * HOUR, "u3")
    assert coupon(second)["code"] == "AAAA"
    assert in_stock(world) == []
    ledger = [issued_rows(row)[0]["coupon_id"] for row in (first, second)]
    assert (ledger, void(world)) == (["AAAA", "AAAA 2"], ["AAAA"])
    fail(world, second, 4 * HOUR)
    await world.run()
    assert (in_stock(world), void(world)) == (["AAAA 3"], ["AAAA", "AAAA 2"])


async def test_its_redemption_is_told_under_its_own_id_and_to_rules_by_its_code():
    world = engine("AAAA")
    fail(world, await view(world, HOUR, "u1"), 2 * HOUR)
    await world.run()
    await view(world, 3 * HOUR, "u2")
    world.send(4 * HOUR, "Order Paid", userId="u2", order_id="o", coupon="AAAA", total=70)
    await world.run()
    rows = [r for e in world.entries() for r in e.get("facts", {}).get("coupon_ledger", ())]
    assert (rows[-1]["fact"], rows[-1]["coupon_id"], rows[-1]["cid"]) == (
        "redeemed", "AAAA 2", "u:u2",
    )  # fmt: skip
    assert world.customer("u:u2").state("coupons").coupons["AAAA"].state == "redeemed"


async def test_he_may_get_it_himself_and_an_old_receipt_takes_it_from_nobody():
    world = engine("AAAA")
    first = await view(world, HOUR, "u1")
    fail(world, first, 2 * HOUR)
    await world.run()
    world.tick(3 * HOUR)
    second = await view(world, 3 * HOUR, "u1")
    assert coupon(second)["coupon_id"] == "AAAA 2"
    for row in (first, second):  # each told again under another id: of the first it is no news
        body = {**row, "actions": [a | {"name": f"{a['name']}x"} for a in row["actions"]]}
        fail(world, body, 4 * HOUR)
        await world.run()
        held = [one.state for one in world.customer("u:u1").state("coupons").coupons.values()]
        assert held == (["issued"] if row is first else [])
    assert (void(world), in_stock(world)) == (["AAAA", "AAAA 2"], ["AAAA 3"])


async def test_of_two_who_become_one_the_later_life_counts():
    world = engine("AAAA")
    world.send(HOUR, product_id="p", anonymousId="a1")
    await world.run()
    fail(world, world.decisions()[0], 2 * HOUR)
    await world.run()
    world.tick(3 * HOUR)
    await view(world, 3 * HOUR, "u1")
    world.send(4 * HOUR, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    (held,) = world.customer("u:u1").state("coupons").coupons.values()
    assert (held.state, held.ledger_id, held.life) == ("issued", "AAAA 2", 2)


NOT_BACK = {
    "it may have arrived": {"unsent": False},
    "the shop voids it": {"by": "shop"},
    "it was reserved": {"before": "Coupon Reserved"},
    "another message told it": {"more": {"kind": "notify", "name": "b", "via": ["sms"]}},
    "the shop's systems were told it": {"more": {"kind": "webhook", "name": "b", "hook": "x"}},
}


@pytest.mark.parametrize("case", NOT_BACK.values(), ids=NOT_BACK)
async def test_a_code_that_somebody_may_know_goes_back_to_nobody(case):
    world = engine("AAAA")
    row = await view(world, HOUR, "u1")
    if "before" in case:
        world.send(2 * HOUR, case["before"], userId="u1", code="AAAA", checkout_id="c")
    if "by" in case:
        told = {"code": "AAAA", "unsent": True, "decision_id": row["decision_id"]}
        world.send(2 * HOUR, "Coupon Voided", userId="u1", **told)
    else:
        row["actions"] += [case["more"]] if "more" in case else []
        fail(world, row, 2 * HOUR, unsent=case.get("unsent", True))
    await world.run()
    world.tick(DAY)
    await world.run()
    assert in_stock(world) == []
    assert void(world) == ([] if case.get("more", {}).get("kind") == "notify" else ["AAAA"])


WHAT = ("view", "view", "fail", "fail", "tick", "tick", "decide", "letters", "run", "link", "erase")


def story(seed: int) -> list[tuple[str, int, int]]:
    chance = Random(seed)
    steps = [("import", n, 0) for n in range(2)]
    for _ in range(chance.randrange(20, 50)):
        what, gap = chance.choice(WHAT), chance.choice((0, MINUTE, 11 * MINUTE))
        steps.append((what, chance.randrange(6), gap))
    return steps


@settings(max_examples=50, deadline=None)
@given(shards=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_no_code_is_with_two_and_none_is_lost(shards, seed):
    world = MemoryEngine(FILES, shards=shards, record=False)
    brought, unsent = asyncio.run(_play(world, story(seed)))
    given_ = {coupon(row).get("coupon_id", coupon(row)["code"]): row for row in world.decisions()}
    assert len(given_) == len(world.decisions())
    back = {life for life in void(world) if given_[life]["decision_id"] in unsent}
    there = Counter(life.partition(" ")[0] for life in in_stock(world))
    there.update(life.partition(" ")[0] for life in given_.keys() - back)
    assert there == Counter(brought)  # one life of each is somebody's or in the pool
    for life in (*given_, *in_stock(world)):
        code, _, number = life.partition(" ")
        before = [code, *(f"{code} {n}" for n in range(2, int(number or 1)))]
        assert back.issuperset(before[: int(number or 1) - 1])


async def _play(world: MemoryEngine, steps) -> tuple[set[str], set[str]]:  # noqa: C901
    at, brought, unsent = 0, set(), set()
    await world.open()
    for what, number, gap in steps:
        at += gap
        who = {"anonymousId": f"a{number}"} if number % 2 else {"userId": f"u{number}"}
        if what == "view":
            world.send(at, product_id="p", **who)
        elif what == "import":
            codes = [f"CODE{n}" for n in range(number, number + 2)]  # they overlap
            world.stock(at, *codes)
            brought.update(codes)
        elif what == "fail":
            rows = world.decisions()
            if rows:
                row = rows[number % len(rows)]
                unsent.add(row["decision_id"])
                fail(world, row, at)
        elif what == "tick":
            world.tick(at)
        elif what == "decide":
            await decide(world, number + 1)
        elif what == "letters":
            carry(world, again=number > 3)
        elif what == "run":
            await world.run()
        elif what == "erase":
            world.send(at, "Erasure Requested", **who)
        else:
            world.send(at, type="identify", userId="u0", anonymousId=f"a{number | 1}")
    await world.run()
    for hours in (25, 26, 27):
        world.tick(at + hours * HOUR)
        await world.run()
    return brought, unsent
