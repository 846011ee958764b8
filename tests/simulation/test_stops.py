"""What goes aside and what stops a shard: bad records, holes, a second owner."""

import orjson
import pytest

from engine.records import Record
from engine.store import Fenced, Stopped
from tests.carts import NUDGE, engine, timeline
from tests.memory_engine import HOUR, MINUTE, START


async def test_a_bad_record_goes_aside_and_its_neighbours_are_decided():
    world = engine(NUDGE)
    for n in range(3):
        world.send(n, product_id="p1", userId="u1")
        if n == 1:
            shard = next(i for i, log in enumerate(world.logs) if len(log) > 1)
            world.append(shard, b"u:u1", b"{not json", START + 2)
    await world.run()
    assert timeline(world) == [(0, "notify:nudge")]
    (row,) = world.gathered("quarantine")
    assert row["reason"] == "unreadable"
    assert world.counts()["quarantined"] == 1


async def test_a_poison_event_of_one_who_moved_goes_aside_and_the_letters_after_it_arrive():
    world = engine(NUDGE)
    world.send(0, product_id="p1", anonymousId="anon")
    world.send(MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    shard = next(i for i, log in enumerate(world.logs) if any(r.key == b"a:anon" for r in log))
    poison = {"type": "track", "event": "Product Added", "messageId": "bad", "source": "foreign",
              "timestamp": START, "receivedAt": START, "anonymousId": "anon",
              "properties": {"product_id": "p1", "price": "much"}}  # fmt: skip
    world.append(shard, b"a:anon", orjson.dumps(poison), START + HOUR)
    world.send(2 * HOUR, product_id="p1", anonymousId="anon")
    world.send(2 * HOUR, product_id="p1", anonymousId="anon")
    await world.run()
    assert timeline(world) == [(120, "notify:nudge")]
    assert [row["reason"] for row in world.gathered("quarantine")] == ["poison"]
    counts = world.counts()
    assert counts["events"] == counts["processed"] + counts["quarantined"] == 5


async def test_a_stream_that_fails_stops_the_worker_instead_of_emptying_into_quarantine():
    world = engine(NUDGE)
    for _ in range(150):
        world.append(0, b"u:u1", b"[]", START)
    with pytest.raises(Stopped, match="quarantined"):
        await world.run()


async def test_a_hole_in_the_log_stops_the_shard():
    world = engine(NUDGE)
    await world.open()
    with pytest.raises(Stopped, match="records are lost"):
        await world.workers[0].process([Record(5, START, b"!tick", b"{}")])


async def test_a_hole_within_a_batch_stops_the_shard_before_anything_is_decided():
    world = engine(NUDGE)
    await world.run()
    worker = world.workers[0]
    start = worker.next_offset
    batch = [Record(start + n, START, b"!tick", b"{}") for n in (0, 1, 3)]
    with pytest.raises(Stopped, match=f"offset {start + 3} but offset {start + 2} was not"):
        await worker.process(batch)
    assert worker.next_offset == start


async def test_a_second_owner_fences_the_first():
    world = engine(NUDGE)
    await world.run()
    first = world.workers
    await world.open()
    world.send(0, product_id="p1", userId="u1")
    shard = next(i for i, log in enumerate(world.logs) if log[-1].key == b"u:u1")
    with pytest.raises(Fenced):
        await first[shard].process(world.logs[shard][first[shard].next_offset :])
