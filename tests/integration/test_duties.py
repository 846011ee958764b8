"""The once-a-second work of an owner, on a real Redis: ticks, asking for rules, the heartbeat."""

import json
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as aioredis

from engine.duties import Duties
from engine.lanes import Lanes
from engine.logs.redis import RedisLog
from engine.records import TICK, Record
from tests.fixtures_logs import RedisProcess


class Still:
    """A shard that never moves."""

    rules_hash, model_hash, killed = "old", "", ""
    next_offset = 0

    def __init__(self, number: int) -> None:
        self.number = number

    async def open(self) -> int:
        return 0

    async def process(self, records: list[Record]) -> None:
        raise AssertionError

    async def close(self) -> None:
        return


class World:
    def __init__(self, url: str) -> None:
        self.failures: list[BaseException] = []
        self.redis = aioredis.Redis.from_url(url)
        self.log = RedisLog(url, 2)
        self.lanes = Lanes(self._make, self.failures.append)

    async def _make(self, number: int) -> Still:
        return Still(number)

    def duties(self, *, ticking: bool) -> Duties:
        return Duties(
            self.lanes, self.log, self.redis, name="0", ticking=ticking, failed=self.failures.append
        )

    async def records(self) -> list[tuple[bytes, bytes]]:
        return [(record.key, record.value) for record in await self.log.read(0, 0, 100)]


@pytest.fixture
async def world(redis_empty: RedisProcess) -> AsyncIterator[World]:
    world = World(redis_empty.url)
    await world.lanes.open(0)
    await world.lanes.open(1)
    yield world
    await world.lanes.close()
    await world.log.close()
    await world.redis.aclose()


async def test_every_shard_gets_a_tick_busy_or_not_but_none_in_record_time(world: World) -> None:
    await world.duties(ticking=True).once(1234)
    assert await world.records() == [(TICK, b'{"at":1234}')]
    assert await world.log.ends() == [1, 1]
    await world.duties(ticking=False).once(5678)
    assert await world.log.ends() == [1, 1]


async def test_a_version_is_asked_for_once_a_hash_and_before_the_tick(world: World) -> None:
    duties = world.duties(ticking=False)
    await world.redis.set("laike:rules:wanted", "old")
    await duties.once(1)
    assert await world.records() == []
    await world.redis.set("laike:rules:wanted", "new")
    await world.redis.set("laike:model:wanted", "m1")
    await duties.once(2)
    await duties.once(3)
    asked = [(b"!rules", b'{"hash": "new"}'), (b"!model", b'{"hash": "m1"}')]
    assert await world.records() == asked
    await world.redis.set("laike:rules:wanted", "old")
    await world.redis.set("laike:model:wanted", "m2")
    await duties.once(4)
    assert await world.records() == [*asked, (b"!model", b'{"hash": "m2"}')]


async def test_what_the_kill_switch_stops_is_told_to_every_shard_once(world: World) -> None:
    duties = world.duties(ticking=False)
    await world.redis.set("laike:kill:wanted", '["rule:look"]')
    await duties.once(1)
    await duties.once(2)
    await world.redis.set("laike:kill:wanted", "[]")
    await duties.once(3)
    told = [json.loads(value)["hash"] for key, value in await world.records() if key == b"!kill"]
    assert told == ['["rule:look"]', "[]"]
    assert await world.log.ends() == [2, 2]


async def test_the_heartbeat_tells_where_the_worker_stands_and_ends_with_it(world: World) -> None:
    duties = world.duties(ticking=True)
    await duties.once(234)
    await duties.once(1234)
    beat = json.loads(await world.redis.get("laike:worker:0") or b"")
    assert beat["at"] == 1234
    assert (beat["shards"], beat["lag"]) == ([0, 1], 2)
    assert beat["next_offsets"] == {"0": 0, "1": 0}
    assert 0 < await world.redis.ttl("laike:worker:0") <= 5
    await duties.end()
    assert await world.redis.get("laike:worker:0") is None


async def test_a_worker_that_stands_still_before_waiting_records_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.duties.STANDSTILL_SECONDS", 0.0)
    duties = world.duties(ticking=True)
    await duties.once(1)
    assert not world.failures
    await duties.once(2)
    assert "stands still at offset 0" in str(world.failures[0])
