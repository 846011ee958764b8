"""The door's second bound: while the outboxes are full, events wait outside.

Must live here: the log as the door sees it, refusing what may wait. Must not: the bound on Redis'
memory (the Redis log has it), an answer's words over HTTP (ingest).
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.bounds import outbox_bytes, paused
from engine.log import Log, LogFull
from engine.records import Append, Record

LOOK_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5


class BoundedLog:
    """`Log` that takes no events while commits pause; what drains the engine is still taken."""

    def __init__(self, log: Log, redis: Redis, outbox_bytes_max: int) -> None:
        self.shards = log.shards
        self._log = log
        self._redis = redis
        self._most = outbox_bytes_max
        self._looked = float("-inf")
        self._size = 0
        self._full = False

    async def append(self, items: Sequence[Append]) -> None:
        """See `Log.append`; LogFull at the bound."""
        await self._look()
        if self._full:
            told = f"the outboxes hold {self._size} of {self._most} bytes; events wait outside"
            raise LogFull(told, retry_after=RETRY_AFTER_SECONDS)
        await self._log.append(items)

    async def _look(self) -> None:
        """At most once a second; Redis away says nothing of the outboxes."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        with suppress(RedisError, OSError):
            self._size = sum(await outbox_bytes(self._redis, self.shards))
            self._full = paused(self._size, self._most, before=self._full)

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        """See `Log.read`."""
        return await self._log.read(shard, start, count)

    async def ends(self) -> list[int]:
        """See `Log.ends`."""
        return await self._log.ends()

    async def trim(self, shard: int, before: int) -> None:
        """See `Log.trim`."""
        await self._log.trim(shard, before)

    async def close(self) -> None:
        """See `Log.close`."""
        await self._log.close()
