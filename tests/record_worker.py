"""A stand-in for the engine in record time: it commits what is in the log and writes letters.

A fake we wrote: it knows the log and the keys of a step, and nothing of customers.
"""

import asyncio

import pytest
from redis.asyncio import Redis

from engine.logs.redis import RedisLog
from engine.records import LETTER, Append, Record, is_event
from simulator.stepping import OPEN_STEP

SHARDS = 3


class Worker:
    """Commits whatever is in the log; for each record of an event it may write a letter."""

    def __init__(self, redis: Redis, log: RedisLog, letters: int = 0) -> None:
        self.redis, self.log = redis, log
        self.waiting: list[int] = []  # letters written and not yet carried, by target
        self.letters = letters
        self.stop = self.pause = False
        self.seen: list[list[Record]] = [[] for _ in range(SHARDS)]

    async def run(self):
        while not self.stop:
            for shard in range(0 if self.pause else SHARDS):
                at = len(self.seen[shard])
                found = await self.log.read(shard, at, 1_000)
                self.seen[shard] += found
                for record in found:
                    if is_event(record.key) and self.letters:
                        self.letters -= 1
                        self.waiting.append((shard + 1) % SHARDS)
                if found:
                    await self.redis.set(f"{{s{shard}}}:next", f"{at + len(found)}:0")
            await asyncio.sleep(0.001)

    async def pending(self) -> int:
        return len(self.waiting)

    async def carry(self):
        """A relay: it lets a step's records go first."""
        while not self.stop:
            if self.waiting and not await self.redis.exists(OPEN_STEP):
                await self.log.append([Append(self.waiting[0], LETTER, b"{}")])
                self.waiting.pop(0)
            await asyncio.sleep(0.002)


@pytest.fixture(name="parts")
async def started_parts(redis_empty):
    redis, log = Redis.from_url(redis_empty.url), RedisLog(redis_empty.url, SHARDS)
    worker = Worker(redis, log)
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(worker.carry())]
    yield redis, log, worker
    worker.stop = True
    await asyncio.gather(*tasks)
    await log.close()
    await redis.aclose()
