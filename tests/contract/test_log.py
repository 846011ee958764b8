"""What every log promises, asked of each: Redis Streams and Kafka, in wall time and record time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import redis.asyncio as aioredis

from engine.log import Log, LogAway, LogFull
from engine.logs import open_log
from engine.logs.kafka import KafkaLog, WrongLog
from engine.logs.redis import RedisLog
from engine.records import REJECTED, TICK, Append, Record
from tests.fixtures_logs import RedisProcess, start_redis

SHARDS = 3
MINUTE = 60_000

Open = Callable[..., Log]


@pytest.fixture(params=["redis", pytest.param("kafka", marks=pytest.mark.kafka)])
async def opened(request: pytest.FixtureRequest, redis_empty: RedisProcess) -> AsyncIterator[Open]:
    """A function that opens the same fresh log as often as it is called."""
    kafka = request.param == "kafka"
    url = request.getfixturevalue("kafka_log_url") if kafka else redis_empty.url
    store = aioredis.Redis.from_url(redis_empty.url)
    logs: list[Log] = []

    def opened(*, record: bool = False) -> Log:
        logs.append(open_log(url, redis=store, shards=SHARDS, record=record))
        return logs[-1]

    yield opened
    for log in logs:
        await log.close()
    await store.aclose()


@pytest.fixture
async def set_clock(redis_empty: RedisProcess) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    store = aioredis.Redis.from_url(redis_empty.url)

    async def set_clock(now: int) -> None:
        for shard in range(SHARDS):
            await store.set(f"{{s{shard}}}:clock", now)

    yield set_clock
    await store.aclose()


def item(shard: int, value: str, hint: int = 0) -> Append:
    return Append(shard, b"u:1", value.encode(), hint)


async def values(log: Log, shard: int, start: int = 0, count: int = 1000) -> list[str]:
    return [record.value.decode() for record in await log.read(shard, start, count)]


async def test_what_is_appended_is_read_back_whole(opened: Open) -> None:
    log = opened()
    before = int(time.time() * 1000)
    await log.append([Append(1, b"u:\xe4\xb8\xad\x00", b'{"a":"\x00\xff\\n"}')])
    after = int(time.time() * 1000)
    (record,) = await opened().read(1, 0, 10)
    assert isinstance(record, Record)
    assert (record.offset, record.key) == (0, b"u:\xe4\xb8\xad\x00")
    assert record.value == b'{"a":"\x00\xff\\n"}'
    assert before - 1000 <= record.log_time <= after + 1000


async def test_order_holds_within_a_shard_and_offsets_have_no_holes(opened: Open) -> None:
    log = opened()
    for start in (0, 700, 701):
        many = range(start, {0: 700, 700: 701, 701: 1500}[start])
        await log.append([item(i % SHARDS, str(i)) for i in many])
    assert await log.ends() == [500, 500, 500]
    for shard in range(SHARDS):
        read = await log.read(shard, 0, 1000)
        assert [record.offset for record in read] == list(range(500))
        assert [record.value for record in read] == [b"%d" % i for i in range(shard, 1500, SHARDS)]
        times = [record.log_time for record in read]
        assert times == sorted(times)


async def test_appends_side_by_side_leave_neither_hole_nor_repeat(opened: Open) -> None:
    first, second = opened(), opened()
    groups = [[item(0, f"{n}.{i}") for i in range(20)] for n in range(10)]
    await asyncio.gather(
        *((first if n % 2 else second).append(group) for n, group in enumerate(groups))
    )
    read = await values(first, 0)
    assert sorted(read) == sorted(one.value.decode() for group in groups for one in group)
    for n in range(10):
        assert [v for v in read if v.startswith(f"{n}.")] == [f"{n}.{i}" for i in range(20)]


async def test_reading_starts_anywhere_and_ends_quietly(opened: Open) -> None:
    log = opened()
    assert await log.ends() == [0, 0, 0]
    assert await log.read(0, 0, 10) == []
    await log.append([item(0, str(i)) for i in range(10)])
    assert await values(log, 0, 4, 3) == ["4", "5", "6"]
    assert await values(log, 0, 9, 100) == ["9"]
    assert await values(log, 0, 10) == []
    assert await values(log, 0, 500) == []
    assert await values(log, 0, 2, 2) == ["2", "3"]
    assert await values(log, 1) == []
    await log.append([item(0, "10")])
    assert await values(log, 0, 10) == ["10"]
    assert await log.ends() == [11, 0, 0]


async def test_an_append_of_nothing_is_nothing(opened: Open) -> None:
    log = opened()
    await log.append([])
    assert await log.ends() == [0, 0, 0]


async def test_record_time_is_the_hint_never_after_the_clock_never_back(
    opened: Open, set_clock: Callable[[int], Awaitable[None]]
) -> None:
    log = opened(record=True)
    await set_clock(100 * MINUTE)
    await log.append([item(0, "a", 99 * MINUTE), item(0, "b", 98 * MINUTE), item(1, "c", 7)])
    await log.append([item(0, "d", 101 * MINUTE)])
    await set_clock(200 * MINUTE)
    await log.append([item(0, "e"), item(0, "f", 150 * MINUTE), item(1, "g", 150 * MINUTE)])
    times = [record.log_time // MINUTE for record in await log.read(0, 0, 10)]
    assert times == [99, 99, 100, 200, 200]
    assert [record.log_time for record in await log.read(1, 0, 10)] == [7, 150 * MINUTE]


async def test_a_trim_keeps_offsets_and_takes_nothing_at_or_above(opened: Open) -> None:
    log = opened()
    await log.append([item(0, str(i)) for i in range(10)])
    await log.trim(0, 4)
    await log.trim(1, 4)
    assert await values(log, 0, 4) == [str(i) for i in range(4, 10)]
    await log.append([item(0, "10")])
    assert await log.ends() == [11, 0, 0]


class TestRedisLog:
    """What only the Redis log has: its trim is real, and it has a bound."""

    async def test_a_trimmed_log_begins_later_and_never_loses_its_end(
        self, redis_empty: RedisProcess
    ) -> None:
        log = RedisLog(redis_empty.url, SHARDS)
        await log.append([item(0, str(i)) for i in range(300)])
        await log.trim(0, 150)
        assert (await log.read(0, 0, 1))[0].offset == 150
        await log.trim(0, 10_000)
        assert await values(log, 0) == ["299"]
        await log.append([item(0, "300")])
        assert await values(log, 0) == ["299", "300"]
        assert await log.ends() == [301, 0, 0]
        await log.close()

    async def test_a_clock_that_goes_back_does_not_take_log_time_with_it(
        self, redis_empty: RedisProcess
    ) -> None:
        log = RedisLog(redis_empty.url, SHARDS)
        ahead = int(time.time() * 1000) + 5 * MINUTE
        with redis_empty.client() as client:
            client.xadd("{s0}:log", {"k": "u:1", "v": "x", "t": ahead}, id="1-0")
        await log.append([item(0, "y")])
        assert [record.log_time for record in await log.read(0, 0, 9)] == [ahead, ahead]
        await log.close()

    async def test_it_counts_the_events_it_accepts_and_nothing_else(
        self, redis_empty: RedisProcess
    ) -> None:
        log = RedisLog(redis_empty.url, SHARDS)
        await log.append([item(i % 2, "x") for i in range(1200)])
        await log.append([Append(0, TICK, b"{}"), Append(0, REJECTED, b"{}"), item(0, "y")])
        with redis_empty.client() as client:
            assert client.mget("{s0}:accepted", "{s1}:accepted") == [b"602", b"600"]
        await log.close()

    async def test_its_identity_stays(self, redis_empty: RedisProcess) -> None:
        logs = [RedisLog(redis_empty.url, SHARDS) for _ in range(2)]
        first, second = [await log.identity() for log in logs]
        assert first == second != ""
        for log in logs:
            await log.close()

    async def test_a_shard_that_is_not_there_is_refused_and_nothing_changes(
        self, redis_empty: RedisProcess
    ) -> None:
        log = RedisLog(redis_empty.url, SHARDS)
        with pytest.raises(ValueError, match="shards 0 to 2"):
            await log.append([item(0, "a"), item(3, "b")])
        assert await log.ends() == [0, 0, 0]
        await log.close()

    async def test_a_filling_redis_closes_the_door_before_the_commits_fail(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.logs.redis.MEMORY_CHECK_SECONDS", 0.0)
        async with alone(tmp_path_factory.mktemp("r"), maxmemory="20mb") as (_, log):
            await log.append([item(0, "x")])
            assert type(await fill(log, "wait outside")) is LogFull
            assert 0.7 < await log.fullness() < 0.85
            await log.append([Append(0, TICK, b'{"at":1}')])
            assert type(await fill(log, "is shut")) is LogAway
            assert 0.8 < await log.fullness() < 0.95
            await log.append([Append(0, TICK, b'{"at":2}')])

    async def test_what_it_appends_between_two_looks_at_the_memory_counts(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.logs.redis.MEMORY_CHECK_SECONDS", 3600.0)
        async with alone(tmp_path_factory.mktemp("r"), maxmemory="20mb") as (server, log):
            await log.append([item(0, "x")])
            assert type(await fill(log, "wait outside")) is LogFull
            with server.client() as client:
                memory = client.info("memory")
            assert 0.6 < memory["used_memory"] / memory["maxmemory"] < 0.95

    async def test_away_is_told_as_away_and_passes(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        async with alone(tmp_path_factory.mktemp("r")) as (server, log):
            await log.append([item(0, "a")])
            server.kill()
            for attempt in (log.append([item(0, "b")]), log.read(0, 0, 1), log.ends()):
                with pytest.raises(LogAway):
                    await attempt
            server.restart()
            await log.append([item(0, "b")])
            assert await values(log, 0) == ["a", "b"]


@contextlib.asynccontextmanager
async def alone(
    folder: Path, maxmemory: str = "512mb"
) -> AsyncIterator[tuple[RedisProcess, RedisLog]]:
    """A log on a Redis of its own."""
    server = start_redis(folder, maxmemory)
    log = RedisLog(server.url, SHARDS)
    try:
        yield server, log
    finally:
        await log.close()
        server.stop()


async def fill(log: RedisLog, told: str) -> LogAway:
    """What an event is refused with in these words, while letters, which never wait, fill the log.

    It goes by the refusals: a look at the memory counts buffers that pass, the next one does not.
    """
    for _ in range(200):
        await log.append([Append(1, TICK, b"x" * 200_000)])
        try:
            await log.append([item(0, "x")])
        except LogAway as error:
            if told in str(error):
                return error
    pytest.fail("never full")


@pytest.mark.kafka
async def test_a_topic_of_another_size_is_refused_with_the_repair(kafka_log_url: str) -> None:
    log, other = KafkaLog(kafka_log_url, 3), KafkaLog(kafka_log_url, 4)
    try:
        await log.ends()
        with pytest.raises(WrongLog, match="LAIKE_SHARDS=3"):
            await other.ends()
    finally:
        await log.close()
        await other.close()


async def test_a_kafka_that_does_not_answer_is_away() -> None:
    log = KafkaLog("kafka://127.0.0.1:1", 3)
    with pytest.raises(LogAway, match="no Kafka answers"):
        await log.append([item(0, "a")])
    await log.close()
