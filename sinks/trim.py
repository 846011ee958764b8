"""Letting go of what every reader has passed, in the logs and the outboxes, never past a reader.

Must live here: whose cursor counts, how long a young entry is kept. Must not: moving a cursor.

    log      to the smaller of the worker's next offset and the archiver's cursor
    outbox   to the smallest cursor of the sinks that read it, and the learner's if it has one
    outcomes to the cursor of the sink that reads it

An entry of the outbox is kept 15 minutes after it could go, so that ClickHouse can be given again
what it lost when it fell; not in record time, and not when Redis is half full or the outboxes are
at half their bound.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.bounds import LET_GO_AT, outbox_bytes
from engine.log import Log, LogAway
from sinks.outbox import OUTBOX, START, EntryId, Reader, cursor_key, next_key, stream_key
from sinks.relay_loop import stopped_within

EVERY_SECONDS = 3.0
KEEP_SECONDS = 900.0
FULL_AT = 0.5
LEARNER = "learner"
_log = logging.getLogger("laike.sinks")


class Trimmer:
    """Trims all shards; `sinks` maps each stream to the sinks that read it."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        shards: int,
        sinks: Mapping[str, Sequence[str]],
        *,
        keep_seconds: float = KEEP_SECONDS,
        outbox_bytes_max: int = 0,
    ) -> None:
        self.redis = redis
        self.log = log
        self.shards = shards
        self.sinks = sinks
        self.keep_seconds = keep_seconds
        self.outbox_bytes_max = outbox_bytes_max
        self._passed: deque[tuple[float, list[EntryId]]] = deque()

    async def run(self, stop: asyncio.Event) -> None:
        """Trim every few seconds; the world being away only means that it is done later."""
        while not await stopped_within(stop, EVERY_SECONDS):
            try:
                await self.trim(time.monotonic())
            except (RedisError, LogAway, OSError) as away:
                _log.warning("trimming waits: %s", away)

    async def trim(self, now: float) -> None:
        """Trim once; `now` in seconds of a monotonic clock."""
        await self._trim_logs()
        for stream, names in self.sinks.items():
            if names:
                passed = await self._passed_by_all(stream, names)
                short = stream == OUTBOX and await self._short_of_room()
                if stream == OUTBOX:
                    passed = self._old_enough(passed, now, short=short)
                await self._trim_streams(stream, passed, to_the_last=short)

    async def _trim_logs(self) -> None:
        """The worker's place is read before the archiver's.

        So an archiver at the end of the outbox has seen every commit below that place, also
        where the latest commits had nothing to archive.
        """
        pipe = self.redis.pipeline(transaction=False)
        for shard in range(self.shards):
            pipe.get(next_key(shard))
        worker = [int((text or b"0").partition(b":")[0]) for text in await pipe.execute()]
        reader = Reader(self.redis, self.shards)
        ends = await reader.ends()
        archived = await reader.cursors("archive")
        for shard in range(self.shards):
            done = archived[shard]
            at_end = done > START and done >= ends[shard]
            before = worker[shard] if at_end else min(worker[shard], done.offset)
            if before > 0:
                await self.log.trim(shard, before)

    async def _passed_by_all(self, stream: str, names: Sequence[str]) -> list[EntryId]:
        reader = Reader(self.redis, self.shards, stream)
        places = [await reader.cursors(name) for name in names]
        found = [min(place[shard] for place in places) for shard in range(self.shards)]
        if stream != OUTBOX:
            return found
        pipe = self.redis.pipeline(transaction=False)
        for shard in range(self.shards):
            pipe.get(cursor_key(shard, LEARNER))
        learner = [EntryId.parse(text) if text else None for text in await pipe.execute()]
        return [at if far is None else min(at, far) for at, far in zip(found, learner, strict=True)]

    def _old_enough(self, passed: list[EntryId], now: float, *, short: bool) -> list[EntryId]:
        """Of what may go, what could have gone `keep_seconds` ago already."""
        if not self.keep_seconds or short:
            self._passed.clear()
            return passed
        self._passed.append((now, passed))
        old = [START] * self.shards
        while self._passed and now - self._passed[0][0] >= self.keep_seconds:
            old = self._passed.popleft()[1]
        return old

    async def _short_of_room(self) -> bool:
        if await self._fullness() >= FULL_AT:
            return True
        most = self.outbox_bytes_max
        sizes = await outbox_bytes(self.redis, self.shards) if most else []
        return bool(most) and sum(sizes) >= most * LET_GO_AT

    async def _fullness(self) -> float:
        memory = await self.redis.info("memory")
        bound = int(memory["maxmemory"])
        return int(memory["used_memory"]) / bound if bound else 0.0

    async def _trim_streams(
        self, stream: str, passed: Sequence[EntryId], *, to_the_last: bool
    ) -> None:
        """The entry at the smallest cursor stays: it tells where the stream ends.

        Short of room even that goes, or the last entries alone could keep commits paused.
        """
        pipe = self.redis.pipeline(transaction=False)
        for shard, at in enumerate(passed):
            if at > START:
                first = EntryId(at.offset, at.step + 1) if to_the_last else at
                pipe.xtrim(stream_key(shard, stream), minid=first.text, approximate=False)
        await pipe.execute()
