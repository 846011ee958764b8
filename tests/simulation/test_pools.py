"""Imported codes: from a file to a customer, each to one, sealed on the way."""

import asyncio
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import pools
from features.events import BadEvent
from rules.load import book_from_sources, load_text
from simulator.rule_tests import run_examples
from tests.memory_engine import DAY, HOUR, MINUTE, SECRET, START, MemoryEngine
from tests.random_steps import carry, decide, link, look

OFFER = "offer: VIP\noff: 30\nvalid: 30d\ncodes: {pool: vip}\n"
RULE = """
rule: give
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%%
late: 1h
%sdo:
  - coupon: {offer: VIP%s}
"""


def engine(extra: str = "", offer: str = OFFER, more: str = "", **options) -> MemoryEngine:
    files = {"campaigns/r.yaml": RULE % (extra, more), "offers/vip.yaml": offer}
    return MemoryEngine(files, **options)


def view(world: MemoryEngine, at: int, who: str = "u1") -> None:
    world.send(at, product_id="p", userId=who)


def given_to(world: MemoryEngine) -> list[str]:
    return [a["code"] for row in world.decisions() for a in row["actions"] if a["kind"] == "coupon"]


def held(world: MemoryEngine) -> list[str]:
    return [row["held"] for row in world.decisions(acts=False) if row["held"]]


async def test_each_code_goes_to_one_and_then_there_is_none():
    world = engine()
    world.stock(0, "AAAA", "BBBB", "CCCC")
    for n in range(5):
        view(world, HOUR + n, f"u{n}")
    await world.run()
    world.tick(HOUR + DAY)
    await world.run()
    assert sorted(given_to(world)) == ["AAAA", "BBBB", "CCCC"]
    assert held(world) == ["codes", "codes"]
    (code,) = world.customer(world.decisions()[0]["cid"]).state("coupons").coupons
    assert code == given_to(world)[0]


async def test_a_code_is_in_no_record_before_it_is_given():
    world = engine()
    world.stock(0, "TOPSECRET1", "TOPSECRET2")
    view(world, HOUR)
    await world.run()
    (code,) = given_to(world)
    left = ({"TOPSECRET1", "TOPSECRET2"} - {code}).pop().encode()
    records = b"".join(one.value for log in world.logs for one in log)
    outbox = orjson.dumps(world.entries())
    states = [world.store.shard(n) for n in range(world.shards)]
    blobs = b"".join(b"".join((one.state or b"", *one.customers.values())) for one in states)
    assert left not in records + outbox + blobs
    assert code.encode() not in records


async def test_what_came_twice_is_taken_in_once():
    world = engine(shards=2)
    world.stock(0, "AAAA", "BBBB")
    world.stock(1, "AAAA", "BBBB")
    world.stock(2, "BBBB", "CCCC")
    for n in range(6):
        view(world, HOUR + n, f"u{n}")
    await world.run()
    world.tick(HOUR + DAY)
    await world.run()
    assert sorted(given_to(world)) == ["AAAA", "BBBB", "CCCC"]


async def test_a_pool_that_is_filled_again_gives_again_and_the_idle_codes_go_back():
    world = engine(shards=3)
    world.stock(0, "AAAA")
    view(world, HOUR, "u1")
    view(world, HOUR + 1, "u2")
    await world.run()
    world.stock(2 * HOUR, *(f"C{n:03}" for n in range(600)))
    world.tick(3 * HOUR)
    for n in range(9):
        view(world, 3 * HOUR + n * MINUTE, f"u{n}")
    await world.run()
    assert len(set(given_to(world))) == 10
    for minute in (200, 220, 240):
        world.tick(minute * MINUTE + 30 * MINUTE)
        await world.run()
    pool = world.customer("b:pool/vip").state(pools.STATE)
    assert pool.count == 601
    assert sorted([*map(_opened, pool.stock), *given_to(world)]) == sorted(
        ["AAAA", *(f"C{n:03}" for n in range(600))]
    )


def _opened(sealed: str) -> str:
    return pools.unseal(SECRET, "vip", sealed)


async def test_an_optional_coupon_goes_without_and_a_budget_is_asked_too():
    world = engine("budget: {coupons: 2 per day}\n")
    world.stock(0, "AAAA", "BBBB", "CCCC")
    for n in range(3):
        view(world, HOUR + n, f"u{n}")
    await world.run()
    assert len(given_to(world)) == 2
    assert held(world) == ["budget"]


async def test_what_was_not_sealed_by_us_and_what_is_no_import_is_put_aside():
    world = engine()
    world.stock(0, "AAAA", pool="other")
    (record,) = [one for log in world.logs for one in log if one.key == b"b:pool/other"]
    (shard,) = {n for n in range(4) if pools.partition(b"b:pool/vip", 4) == n}
    world.append(shard, b"b:pool/vip", record.value.replace(b'"other"', b'"vip"'), START)
    world.append(shard, b"b:pool/vip", record.value.replace(b"laike api", b"shop"), START)
    view(world, HOUR)
    await world.run()
    world.tick(3 * HOUR)
    await world.run()
    assert given_to(world) == []
    assert {row["reason"] for row in world.gathered("quarantine")} == {"bad_code", "bad_codes"}


def test_codes_of_a_file():
    assert pools.readable(["# theirs", " AB-12 ", "", "CD34", "AB-12"]) == ["AB-12", "CD34"]
    with pytest.raises(ValueError, match="line 2: a code is"):
        pools.readable(["ABCD", "AB 12"])
    sealed = pools.seal(SECRET, "vip", "ABCD")
    assert pools.unseal(SECRET, "vip", sealed) == "ABCD"
    with pytest.raises(BadEvent):
        pools.unseal(SECRET, "other", sealed)
    with pytest.raises(BadEvent):
        pools.unseal(b"another secret", "vip", sealed)


def test_an_example_of_a_rule_has_codes_without_end():
    rule = RULE % ("", "") + (
        "examples:\n  - given:\n      - {at: 0m, event: Product Viewed, product_id: p}\n"
        "    expect:\n      - {at: 0m, coupon: VIP}\n"
    )
    book = book_from_sources({"campaigns/r.yaml": rule, "offers/vip.yaml": OFFER})
    (outcome,) = run_examples(book)
    assert outcome.passed, str(outcome)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("view", "view", "view", "import", "tick", "decide", "letters", "link")),
        st.integers(0, 9),
        st.sampled_from((0, MINUTE, 11 * MINUTE, 5 * HOUR)),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(shards=st.integers(1, 4), record=st.booleans(), budget=st.booleans(), steps=STEPS)
def test_no_code_is_ever_given_twice_and_none_is_lost(shards, record, budget, steps):
    world = engine("budget: {coupons: 5 per day}\n" if budget else "", shards=shards, record=record)
    sent, brought = asyncio.run(_play(world, steps))
    given_ = Counter(given_to(world))
    assert max(given_.values(), default=0) <= 1
    pool = world.customer("b:pool/vip").state(pools.STATE)
    assert sorted([*map(_opened, pool.stock), *given_]) == sorted(brought)  # and nothing is lost
    decided = [row["instance"] for row in world.decisions(acts=False)]
    assert sorted(decided) == sorted(sent)  # nobody waits for ever, nobody is decided twice


async def _play(world: MemoryEngine, steps) -> tuple[list[str], set[str]]:
    at, sent, brought = 0, [], set()
    await world.open()
    for what, number, gap in steps:
        at += gap
        if what == "view":
            sent.append(look(world, at, number))
        elif what == "import":
            codes = [f"CODE{n}" for n in range(number * 2, number * 2 + 4)]  # they overlap
            world.stock(at, *codes)
            brought.update(codes)
        elif what == "tick":
            world.tick(at)
        elif what == "decide":
            await decide(world, number + 1)
        elif what == "letters":
            carry(world, again=number > 4)
        else:
            link(world, at, number)
    await world.run()
    for hours in (25, 26, 27):
        world.tick(at + hours * HOUR)
        await world.run()
    return sent, brought


def test_the_loader_takes_a_pool_and_names_what_is_none():
    assert book_from_sources({"offers/v.yaml": OFFER}).offers["VIP"].pool == "vip"
    with pytest.raises(Exception, match="a pool's name is like vip-codes"):
        book_from_sources({"offers/v.yaml": OFFER.replace("vip}", '"V/1"}')})
    assert load_text(RULE % ("", ", off: 5, valid: 1d")).rules["give"]
