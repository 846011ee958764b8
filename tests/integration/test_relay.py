"""Letters and trimming on a real Redis: in order, nothing lost by a crash, never past a reader."""

import asyncio

import orjson
import redis.asyncio as aioredis

from engine.ending import end
from engine.log import LogAway
from engine.records import LETTER, Append
from sinks.outbox import (
    OUTBOX,
    OUTCOMES,
    SINKS,
    EntryId,
    Reader,
    behind,
    drained,
)
from sinks.relay_letters import Letters
from sinks.relay_loop import Away, Loop, Tally
from sinks.trim import Trimmer
from tests.fakes import MemoryLog
from tests.integration.relay_parts import commit, letter, running
from tests.patience import until

SHARDS = 3


def letters_loop(redis, log) -> Loop:
    return Loop(Letters(log), redis, SHARDS, Tally("letters"))


async def arrived(log, shard: int) -> list[str]:
    """Ids of shard 0's letters in a shard's log."""
    found = [orjson.loads(record.value) for record in await log.read(shard, 0, 1000)]
    return [one["id"] for one in found if one["from"] == 0]


async def test_letters_arrive_in_order(redis, log):
    loop = letters_loop(redis, log)
    async with running(loop.run):
        await commit(redis, 0, 0, 2, letters=[letter(0, 1, 0), letter(0, 1, 1)])
        await until(lambda: arrived(log, 1))
        for number in range(2, 30):
            await commit(redis, 0, number, number + 1, letters=[letter(0, 1, number)])
        await until(lambda: _all_there(log, 30))
        await until(lambda: _none_pending(redis))
    assert await arrived(log, 1) == [f"{n}-0" for n in range(30)]
    [first, *_] = await log.read(1, 0, 1)
    assert first.key == LETTER
    assert orjson.loads(first.value) == letter(0, 1, 0)


async def _all_there(log, count: int) -> bool:
    return len(await arrived(log, 1)) >= count


async def _none_pending(redis) -> bool:
    return await behind(redis, SHARDS, "letters", OUTBOX) == 0


async def test_in_record_time_a_letter_gets_the_worlds_time(redis, log):
    await redis.set("{s1}:clock", 5_000)
    loop = letters_loop(redis, log)
    async with running(loop.run):
        await commit(redis, 0, 0, 1, letters=[letter(0, 1, 0)])
        await until(lambda: arrived(log, 1))
    assert (await log.read(1, 0, 1))[0].log_time == 5_000


async def test_a_crash_between_append_and_cursor_loses_no_letter(redis, log):
    """They are appended again, in order: who drops ids up to the last one sees each once."""
    await commit(redis, 0, 0, 3, letters=[letter(0, 1, n) for n in range(3)])
    entries = await Reader(redis, SHARDS).read(dict.fromkeys(range(SHARDS), EntryId(0, 0)), 10)
    await Letters(log).take(entries)
    await commit(redis, 0, 3, 4, letters=[letter(0, 1, 3)])
    async with running(letters_loop(redis, log).run):
        await until(lambda: _none_pending(redis))
    found = await arrived(log, 1)
    assert found == ["0-0", "1-0", "2-0", "0-0", "1-0", "2-0", "3-0"]
    last = ""
    for number, name in enumerate(dict.fromkeys(found)):
        assert letter(0, 1, number)["prev"] == last
        last = name


async def test_letters_wait_for_a_log_that_is_away(redis):
    log = MemoryLog(SHARDS)
    log.fault = LogAway("gone")
    loop = letters_loop(redis, log)
    async with running(loop.run):
        await commit(redis, 0, 0, 1, letters=[letter(0, 1, 0)])
        await until(lambda: _failed_twice(loop))
        assert await behind(redis, SHARDS, "letters", OUTBOX) == 1
        log.fault = None
        await until(lambda: _none_pending(redis))
    assert len(log.records[1]) == 1
    assert loop.tally.written == 1
    assert "LogAway" in loop.tally.last_error or "gone" in loop.tally.last_error


async def _failed_twice(loop) -> bool:
    return loop.tally.failing >= 2


async def test_a_sink_that_fails_holds_up_no_other_and_ends_when_told(redis, log):
    class Broken(Letters):
        name = "broken"

        async def take(self, entries):
            raise KeyError("our own fault")

    broken = Loop(Broken(log), redis, SHARDS, Tally("broken"))
    async with running(broken.run, letters_loop(redis, log).run):
        await commit(redis, 0, 0, 1, letters=[letter(0, 1, 0)])
        await until(lambda: _none_pending(redis))
        await until(lambda: _failed_twice(broken))
    assert await Reader(redis, SHARDS).cursors("broken") == dict.fromkeys(
        range(SHARDS), EntryId(0, 0)
    )


async def test_redis_away_and_back(redis, redis_empty, log):
    loop = letters_loop(redis, log)
    async with running(loop.run):
        await commit(redis, 0, 0, 1, letters=[letter(0, 1, 0)])
        await until(lambda: _none_pending(redis))
        redis_empty.kill()
        await until(lambda: _failed_twice(loop))
        redis_empty.restart()
        await until(lambda: _alive(redis))
        await commit(redis, 0, 1, 2, letters=[letter(0, 1, 1)])
        await until(lambda: _none_pending(redis))
    assert await arrived(log, 1) == ["0-0", "1-0"]


async def _alive(redis) -> bool:
    try:
        return await redis.ping()
    except (aioredis.RedisError, OSError):
        return False


async def test_nobody_is_held_up_by_an_entry_that_gathers(redis):
    """A sink that lingers hands over what is there after its patience, not before, not never."""

    class Slow:
        name, stream, linger_seconds, batch = "slow", OUTBOX, 0.2, 100

        def __init__(self):
            self.batches = []

        def weigh(self, _entry):
            return 1

        async def take(self, entries):
            self.batches.append(len(entries))
            return len(entries)

    slow = Slow()
    async with running(Loop(slow, redis, SHARDS, Tally("slow")).run):
        for number in range(20):
            await commit(redis, number % SHARDS, number, number + 1)
        await until(lambda: _taken(slow, 20))
        assert len(slow.batches) <= 3
        for number in range(20, 400):
            await commit(redis, number % SHARDS, number, number + 1)
        await until(lambda: _taken(slow, 400))
        assert max(slow.batches) < 200


async def _taken(sink, count: int) -> bool:
    return sum(sink.batches) >= count


async def test_drained_means_every_sink_of_every_stream(redis, log):
    assert await drained(redis, SHARDS)
    await commit(redis, 1, 0, 4)
    assert not await drained(redis, SHARDS)
    await redis.hset(SINKS, mapping={"letters": OUTBOX, "outcomes": OUTCOMES})
    assert not await drained(redis, SHARDS)
    await Reader(redis, SHARDS).advance("letters", {1: EntryId(4, 0)})
    assert await drained(redis, SHARDS)
    name = await redis.xadd("{s2}:outcomes", {b"b": b"{}"})
    assert not await drained(redis, SHARDS)
    await Reader(redis, SHARDS).advance("outcomes", {2: EntryId.parse(name)})
    assert await drained(redis, SHARDS)
    so_far = await Reader(redis, SHARDS).ends()
    await commit(redis, 1, 4, 5)  # a tick, say
    assert not await drained(redis, SHARDS)
    assert await drained(redis, SHARDS, so_far)


async def kept(redis, stream: str) -> list[bytes]:
    return [name for name, _ in await redis.xrange(stream)]


async def test_trimming_never_passes_a_reader(redis, log):
    await log.append([Append(0, b"u:1", b"{}") for _ in range(10)])
    for number in range(5):
        await commit(redis, 0, number * 2, number * 2 + 2)
    trimmer = Trimmer(redis, log, SHARDS, {OUTBOX: ["a", "archive"], OUTCOMES: []}, keep_seconds=0)
    reader = Reader(redis, SHARDS)

    await trimmer.trim(0)
    assert len(await log.read(0, 0, 100)) == 10
    assert len(await kept(redis, "{s0}:outbox")) == 5

    await reader.advance("archive", {0: EntryId(6, 0)})
    await trimmer.trim(0)
    assert (await log.read(0, 0, 100))[0].offset == 6
    assert len(await kept(redis, "{s0}:outbox")) == 5

    await reader.advance("a", {0: EntryId(4, 0)})
    await trimmer.trim(0)
    assert await kept(redis, "{s0}:outbox") == [b"4-0", b"6-0", b"8-0", b"10-0"]

    await reader.advance("a", {0: EntryId(10, 0)})
    await reader.advance("archive", {0: EntryId(10, 0)})
    await reader.advance("learner", {0: EntryId(8, 0)})
    await trimmer.trim(0)
    assert await kept(redis, "{s0}:outbox") == [b"8-0", b"10-0"]

    await reader.advance("learner", {0: EntryId(10, 0)})
    await trimmer.trim(0)
    assert await kept(redis, "{s0}:outbox") == [b"10-0"], "the last tells where the stream ends"


async def test_the_log_is_not_trimmed_past_the_worker(redis, log):
    await log.append([Append(0, b"u:1", b"{}") for _ in range(10)])
    await commit(redis, 0, 0, 4)
    await Reader(redis, SHARDS).advance("archive", {0: EntryId(4, 0)})
    trimmer = Trimmer(redis, log, SHARDS, {OUTBOX: ["archive"]}, keep_seconds=0)
    await trimmer.trim(0)
    assert (await log.read(0, 0, 100))[0].offset == 4
    await redis.set("{s0}:next", "7:0")  # commits that told nothing: the archiver is at the end
    await trimmer.trim(0)
    assert (await log.read(0, 0, 100))[0].offset == 7


async def test_young_entries_are_kept_for_a_clickhouse_that_falls(redis, log):
    trimmer = Trimmer(redis, log, SHARDS, {OUTBOX: ["a"]}, keep_seconds=900)
    for number in range(3):
        await commit(redis, 0, number, number + 1)
    await Reader(redis, SHARDS).advance("a", {0: EntryId(2, 0)})
    await trimmer.trim(1000)
    await Reader(redis, SHARDS).advance("a", {0: EntryId(3, 0)})
    await trimmer.trim(1800)
    assert len(await kept(redis, "{s0}:outbox")) == 3
    await trimmer.trim(1901)
    assert await kept(redis, "{s0}:outbox") == [b"2-0", b"3-0"]
    await trimmer.trim(2750)
    assert await kept(redis, "{s0}:outbox") == [b"3-0"]


async def test_killed_in_the_middle_of_everything_every_letter_arrives(redis, log):
    """Cut off at any moment, five times: the chain of predecessors has no gap."""
    for number in range(300):
        await commit(redis, 0, number, number + 1, letters=[letter(0, number % 2 + 1, number)])
    for pause in (0.002, 0.005, 0.01, 0.015, 0.02):
        task = asyncio.create_task(letters_loop(redis, log).run(asyncio.Event()))
        await asyncio.sleep(pause)
        await end([task])
    async with running(letters_loop(redis, log).run):
        await until(lambda: _none_pending(redis))
    for shard in (1, 2):
        found = [int(name.partition("-")[0]) for name in await _arrived_all(log, shard)]
        highest = -1
        fresh = []
        for number in found:
            if number > highest:
                fresh.append(number)
                highest = number
        assert fresh == list(range(shard - 1, 300, 2))


async def _arrived_all(log, shard: int) -> list[str]:
    found = await log.read(shard, 0, 10_000)
    return [orjson.loads(record.value)["id"] for record in found]


def test_away_is_no_fault_of_ours():
    tally = Tally("x")
    tally.failed(Away("gone"))
    assert tally.failing == 1
    tally.succeeded(3)
    assert (tally.failing, tally.written) == (0, 3)
