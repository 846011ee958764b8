"""Erasure over the real pipeline: what is known of a person goes, and nothing brings it back."""

import pytest

from engine.erasure import MARK, stone, tombstone
from engine.journal import memory
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

SECRET = b"secret-of-the-tests"
RULES = {
    "shop.yaml": "timezone: UTC\n",
    "campaigns/back.yaml": """
rule: back
title: back
owner: crm
purpose: marketing
status: live
when: {event: Product Added}
once_per: customer
do:
  - wait: 2h
  - notify: {template: hello, via: [push]}
""",
}


def life(engine):
    """Alice, first as a visitor, then known; and Bob, who must not suffer by it."""
    engine.send(0, anonymousId="anon-1", product_id="p1")
    engine.send(MINUTE, "Product Added", anonymousId="anon-1", cart_id="c", product_id="p", price=5)
    engine.send(2 * MINUTE, type="identify", userId="alice", anonymousId="anon-1")
    engine.send(3 * MINUTE, "Product Added", userId="alice", cart_id="c", product_id="q", price=5)
    engine.send(3 * MINUTE, userId="bob", product_id="p1")


def ask(engine, at, who="alice", **given):
    engine.send(at, "Erasure Requested", userId=who, **given)


def blobs(engine):
    return {
        cid: blob
        for shard in range(engine.shards)
        for cid, blob in engine.store.shard(shard).customers.items()
    }


def alarms(engine):
    return {c for shard in range(engine.shards) for c in engine.store.shard(shard).alarms}


async def test_every_id_of_the_person_becomes_a_tombstone_without_a_name():
    engine = MemoryEngine()
    life(engine)
    await engine.run()
    assert {"u:alice", "a:anon-1", "u:bob"} == set(blobs(engine))
    ask(engine, HOUR)
    await engine.run()
    left = blobs(engine)
    stones = {name for name in left if name.startswith(MARK) and name != MARK}
    assert stones == {tombstone(SECRET, "u:alice"), tombstone(SECRET, "a:anon-1")}
    assert set(left) - stones == {"u:bob", MARK}
    assert left[tombstone(SECRET, "u:alice")] == stone(START + HOUR, 1)
    for blob in left.values():
        assert b"alice" not in blob
        assert b"anon-1" not in blob
    assert alarms(engine) <= {"u:bob"}


async def test_the_outbox_tells_who_has_to_be_erased_elsewhere():
    engine = MemoryEngine()
    life(engine)
    await engine.run()
    ask(engine, HOUR, erasure_id="e1")
    await engine.run()
    told = engine.gathered("erasures")
    assert [(row["id"], row["cid"]) for row in told if row["ids"]] == [("e1", "u:alice")]
    assert {row["cid"] for row in told} == {"u:alice", "a:anon-1"}
    assert {cid for row in told for cid in row["ids"]} == {"u:alice", "a:anon-1"}


@pytest.mark.parametrize("batch", [1, 100])
async def test_nothing_brings_him_back_and_nothing_is_lost(batch):
    engine = MemoryEngine(batch=batch)
    life(engine)
    await engine.run()
    ask(engine, HOUR)
    await engine.run()
    before = blobs(engine)
    for again in range(3):  # the history once more, in a new process each time
        await engine.open()
        engine.count = 1_000 * (again + 1)
        life(engine)
        await engine.run()
    after = blobs(engine)
    assert {name: blob for name, blob in after.items() if name != "u:bob"} == {
        name: blob for name, blob in before.items() if name != "u:bob"
    }
    counts = engine.counts()
    assert counts["events"] == counts["processed"] + counts["duplicate"] + counts["erased"]
    assert counts["erased"] == 1 + 3 * 4
    skipped = [reason for row in engine.gathered("skipped") for reason in row[1:]]
    assert skipped.count("erased") == counts["erased"]


async def test_who_returns_begins_anew_under_another_birth_id():
    engine = MemoryEngine()
    engine.send(0, userId="alice", product_id="p1")
    await engine.run()
    first = memory(engine.customer("u:alice")).identity.birth
    ask(engine, HOUR)
    await engine.run()
    await engine.open()
    engine.send(2 * HOUR, userId="alice", product_id="p9")
    engine.send(0, userId="alice", product_id="p1", messageId="m1")
    await engine.run()
    back = engine.customer("u:alice")
    identity = memory(back).identity
    assert identity.birth not in {first, b""}
    assert (identity.erasures, identity.erased_at) == (1, START + HOUR)
    assert b"p9" in back.encode()
    assert b"p1" not in back.encode()
    ask(engine, 3 * HOUR)
    await engine.run()
    assert "u:alice" not in blobs(engine)
    assert blobs(engine)[tombstone(SECRET, "u:alice")] == stone(START + 3 * HOUR, 2)


async def test_an_erasure_told_twice_leaves_what_came_after_it():
    engine = MemoryEngine()
    life(engine)
    ask(engine, HOUR, messageId="once")
    await engine.run()
    engine.send(2 * HOUR, userId="alice", product_id="p9")
    ask(engine, HOUR, messageId="once")
    await engine.run()
    assert b"p9" in engine.customer("u:alice").encode()
    assert [row["ids"] for row in engine.gathered("erasures")][-1] == ["u:alice"]


async def test_an_id_that_moved_stands_for_the_whole_person():
    engine = MemoryEngine()
    life(engine)
    await engine.run()
    engine.send(HOUR, "Erasure Requested", anonymousId="anon-1")
    await engine.run()
    assert {name for name in blobs(engine) if not name.startswith(MARK)} == {"u:bob"}


async def test_a_state_on_its_way_while_he_is_erased_is_erased_where_it_came_from():
    engine = MemoryEngine(shards=2)
    engine.send(0, anonymousId="anon-1", product_id="p1")
    await engine.run()
    engine.send(MINUTE, type="identify", userId="alice", anonymousId="anon-1")
    ask(engine, 2 * MINUTE)  # decided before the letter to anon-1 has arrived
    await engine.run()
    assert not {name for name in blobs(engine) if not name.startswith(MARK)}
    whole = [row["ids"] for row in engine.gathered("erasures") if row["ids"]]
    assert sorted(whole) == [["a:anon-1"], ["u:alice"]]


async def test_a_rule_that_waited_never_fires_for_the_erased():
    engine = MemoryEngine(RULES)
    engine.tick(0)
    life(engine)
    await engine.run()
    assert alarms(engine)
    ask(engine, HOUR)
    engine.tick(DAY)
    await engine.run()
    assert engine.decisions() == []
    assert alarms(engine) <= {"u:bob"}


async def test_a_browser_cannot_ask():
    from features.events import BadEvent, parse  # noqa: PLC0415 - one test's own

    call = {"type": "track", "event": "Erasure Requested", "userId": "alice"}
    with pytest.raises(BadEvent, match="forbidden"):
        parse(call, source="web", received_at=START, trusted=False)


async def test_as_many_as_a_commit_holds_are_erased_in_one():
    engine = MemoryEngine(shards=1, batch=2_000)
    for number in range(900):
        engine.send(number, "Product Added", userId=f"u{number}", product_id="p", price=1)
        ask(engine, HOUR, who=f"u{number}")
    await engine.run()
    assert len(blobs(engine)) == 901


async def test_a_budgets_slice_forgets_who_last_spent_from_it():
    rules = {
        **RULES,
        "campaigns/look.yaml": "rule: look\ntitle: look\nowner: crm\nstatus: live\nholdout: 0%\n"
        "when: {event: Product Viewed}\nonce_per: event\nbudget: {coupons: 9 per day}\n"
        "do:\n  - coupon: {offer: SAVE, off: 5, valid: 48h}\n",
    }
    engine = MemoryEngine(rules)
    engine.send(0, userId="alice", product_id="p1")
    await engine.run()
    states = [engine.store.shard(n).state or b"" for n in range(engine.shards)]
    assert sum(b"u:alice" in state for state in states) == 1  # she spent
    ask(engine, HOUR)
    await engine.run()
    assert not any(b"alice" in (engine.store.shard(n).state or b"") for n in range(engine.shards))
