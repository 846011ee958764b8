"""A worker whose shards only count: next_offset, every value seen and the owner live in Redis.

Run as a program with the LAIKE_* variables set; the tests start it, stop it and kill it.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Sequence

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from engine.records import MODEL, RULES, TICK, Record
from engine.settings import Settings
from engine.store import Fenced
from engine.worker import main

COMMIT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[2] then return 'moved' end
for i = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i] .. '/' .. ARGV[i + 1], 1) end
redis.call('SET', KEYS[2], ARGV[3])
return 'done'
"""


class CountingShard:
    def __init__(self, number: int, redis: "aioredis.Redis") -> None:
        self.number = number
        self.next_offset = 0
        self.rules_hash = self.model_hash = self.killed = ""
        self._redis = redis
        self._token = secrets.token_hex(8)

    async def open(self) -> int:
        await self._redis.set(f"{{s{self.number}}}:owner", self._token)
        self.next_offset = int(await self._redis.get(f"{{s{self.number}}}:count_next") or 0)
        return self.next_offset

    async def process(self, records: Sequence[Record]) -> None:
        todo = [record for record in records if record.offset >= self.next_offset]
        if not todo:
            return
        if todo[0].offset != self.next_offset:
            raise RuntimeError(f"hole: {todo[0].offset} after {self.next_offset}")
        if b"poison" in {record.value for record in todo}:
            raise RuntimeError("a bug of ours")
        await asyncio.sleep(float(os.environ.get("COUNTING_SECONDS", "0")))
        keys = [f"{{s{self.number}}}:{name}" for name in ("owner", "count_next", "seen")]
        seen = [
            part
            for record in todo
            if not record.key.startswith(b"!")
            for part in (str(record.offset), record.value)
        ]
        after = todo[-1].offset + 1
        told = [self._token, str(self.next_offset), str(after), *seen]
        done = await self._insist("EVAL", COMMIT, 3, *keys, *told)
        if done == b"moved" and int(await self._insist("GET", keys[1])) == after:
            done = b"done"  # it was applied, and only the answer was lost
        if done != b"done":
            raise Fenced(f"shard {self.number}: {done.decode()}")
        self.next_offset = after
        for record in todo:
            if record.key in {RULES, MODEL}:
                await self._insist("RPUSH", "asked", b"%d %s" % (self.number, record.value))
            elif record.key == TICK:
                await self._insist("INCR", "ticks")

    async def _insist(self, *command):
        """Ask until Redis answers."""
        while True:
            try:
                return await self._redis.execute_command(*command)
            except (RedisError, OSError):
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        await self._redis.rpush("closed", self.number)


if __name__ == "__main__":
    settings = Settings.load(secret=b"0123456789abcdef")

    async def make_shard(number: int) -> CountingShard:
        return CountingShard(number, aioredis.Redis.from_url(settings.redis))

    sys.exit(main(settings, make_shard))
