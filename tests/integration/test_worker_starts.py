"""What a worker looks at before it works: no false alarm while others work or answers are slow."""

import asyncio
import json
import os

import pytest
from redis.asyncio import Redis

from engine import birth
from engine.logs.lease import MACHINE, Lease
from engine.store import Stopped
from tests.patience import SECONDS


@pytest.fixture
async def store(redis_empty):
    client = Redis.from_url(redis_empty.url)
    yield client
    await client.aclose()


class GrowingLog:
    """A log whose end is asked for just before a record comes in and is decided by another."""

    def __init__(self, store: Redis, end: int) -> None:
        self.store, self.end = store, end

    async def ends(self) -> list[int]:
        told = [self.end]
        await self.store.set("{s0}:next", f"{self.end + 1}:0")
        return told


async def checked(store: Redis, log: GrowingLog) -> str:
    return await birth.check(store, log, identity="one", shards=1, clock="wall")


async def test_a_record_decided_while_the_offsets_are_compared_is_no_lost_tail(store):
    await store.set("{s0}:next", "7:0")
    assert await checked(store, GrowingLog(store, 7))


async def test_a_log_that_lost_its_tail_is_still_found(store):
    await store.set("{s0}:next", "8:0")
    with pytest.raises(Stopped, match="decided up to offset 8, but the log ends at 7"):
        await checked(store, GrowingLog(store, 7))


class Slower:
    """A Redis whose answers about time take longer and longer, as on a machine with too much to do."""

    def __init__(self, store: Redis) -> None:
        self.store, self.seconds = store, 0.0

    async def pttl(self, key: str) -> int:
        found = await self.store.pttl(key)
        await asyncio.sleep(self.seconds)
        self.seconds += 0.3
        return found

    def __getattr__(self, name: str):
        return getattr(self.store, name)


def held(process: str) -> str:
    """A lease of a process of this machine that is there, and is not this one."""
    return json.dumps({"worker": 0, "host": MACHINE, "pid": os.getppid(), "process": process})


async def test_slow_answers_are_no_renewal_of_a_lease(store):
    await store.set("{s0}:lease", held("stopped"), px=1500)
    lease = Lease(Slower(store), [0], 0)
    await asyncio.wait_for(lease.take(), SECONDS)
    assert json.loads(await store.get("{s0}:lease"))["pid"] == os.getpid()
    await lease.release()


async def test_a_lease_that_is_renewed_is_still_refused(store):
    await store.set("{s0}:lease", held("alive"), px=3000)

    async def renew() -> None:
        while True:
            await asyncio.sleep(0.3)
            await store.set("{s0}:lease", held("alive"), px=3000)

    renewing = asyncio.create_task(renew())
    with pytest.raises(Stopped, match="which is alive"):
        await asyncio.wait_for(Lease(Slower(store), [0], 0).take(), SECONDS)
    renewing.cancel()
