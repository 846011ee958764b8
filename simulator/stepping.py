"""Record time: the driver of a record folder moves the world's clock, one step at a time.

A step is: the clock set to its end, its records, a tick of its end to every shard; it is over when
all shards have committed that and the letters which it caused, at the same end time. Until then
`laike:step` stands in Redis, so that whoever carries letters can let a step's records go first.
Must live here: that order and nothing else. Must not: where records come from.

    {sN}:clock   the world's now (ms)     {sN}:next   "<offset>:<tick step>" of the worker
    {sN}:timers  customer -> earliest due (ms)        laike:step   the end of an open step
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import cast

from redis.asyncio import Redis

from engine.log import Log, LogAway, LogFull
from engine.records import TICK, Append

OPEN_STEP = "laike:step"
OPEN_MS_MAX = 60_000  # a driver that died leaves no letter waiting for longer
POLL_SECONDS = 0.003
AWAY_SECONDS_MAX = 300.0
PER_APPEND = 2_000


class Stalled(Exception):  # noqa: N818 - a state of the world: the engine does not come forward
    """No shard has committed anything for too long, though there is something to commit."""


async def append(log: Log, items: Sequence[Append], away_seconds: float = AWAY_SECONDS_MAX) -> None:
    """Append in order, in parts, waiting for a full or absent log up to `away_seconds` a part.

    An append that failed may have happened: the records' own ids and rows absorb the repeat.
    """
    for start in range(0, len(items), PER_APPEND):
        part = items[start : start + PER_APPEND]
        deadline, pause = time.monotonic() + away_seconds, 0.05
        while True:
            try:
                await log.append(part)
                break
            except LogAway as away:
                wait = float(away.retry_after) if isinstance(away, LogFull) else pause
                if time.monotonic() + wait > deadline:
                    raise
                await asyncio.sleep(wait)
                pause = min(2 * pause, 5.0)


class RecordClock:
    """The hand on the world's clock. `letters` tells how many letters are still on their way."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        letters: Callable[[], Awaitable[int]],
        stalled_seconds: float = 120.0,
    ) -> None:
        self.redis = redis
        self.log = log
        self.letters = letters
        self.stalled_seconds = stalled_seconds
        self._keys = [f"{{s{shard}}}:clock" for shard in range(log.shards)]
        self._at = 0

    async def now(self) -> int:
        """Where the world stands, ms; 0 before its first step."""
        if not self._at:
            self._at = max(int(value or 0) for value in await self._each(self._keys))
        return self._at

    async def open(self, end: int) -> None:
        """Begin the step that ends at `end` (ms). The clock never goes back."""
        self._at = max(await self.now(), end)
        pipe = self.redis.pipeline(transaction=False)
        pipe.set(OPEN_STEP, self._at, px=OPEN_MS_MAX)
        for key in self._keys:
            pipe.set(key, self._at)
        await pipe.execute()

    async def close(self) -> None:
        """Tick every shard at the step's end; return once all is committed, letters included."""
        tick = b'{"at":%d}' % self._at
        await append(self.log, [Append(s, TICK, tick, self._at) for s in range(self.log.shards)])
        await self._committed()
        await self.redis.delete(OPEN_STEP)
        while True:
            ends = await self._committed()
            if await self.letters() == 0 and await self._committed() == ends:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def due(self) -> int | None:
        """The earliest time (ms) at which any customer has something due; None for never."""
        keys = [f"{{s{shard}}}:timers" for shard in range(self.log.shards)]
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.zrange(key, 0, 0, withscores=True)
        found = [int(first[0][1]) for first in await pipe.execute() if first]
        return min(found, default=None)

    async def run_empty(self, from_end: int, until: int, step: int) -> int:
        """Run those empty steps after `from_end`, up to `until`, that a timer needs; how many."""
        ran, last = 0, from_end
        while (due := await self.due()) is not None:
            end = last + max(1, -(-(due - last) // step)) * step
            if end > until:
                break
            await self.open(end)
            await self.close()
            ran, last = ran + 1, end
        return ran

    async def _committed(self) -> list[int]:
        """Wait until every shard has committed what its log holds now; the logs' ends."""
        ends = await self.log.ends()
        deadline, before = time.monotonic() + self.stalled_seconds, [-1]
        while True:
            offsets = await self._offsets()
            if all(at >= end for at, end in zip(offsets, ends, strict=True)):
                return ends
            if offsets != before:
                before, deadline = offsets, time.monotonic() + self.stalled_seconds
            if time.monotonic() > deadline:
                raise Stalled(
                    f"no shard has come forward for {self.stalled_seconds:.0f} s; they stand at "
                    f"{offsets}, their logs end at {ends}: is a worker running? See its log"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _offsets(self) -> list[int]:
        found = await self._each([f"{{s{shard}}}:next" for shard in range(self.log.shards)])
        return [int((value or b"0").partition(b":")[0]) for value in found]

    async def _each(self, keys: Sequence[str]) -> list[bytes | None]:
        return cast("list[bytes | None]", await self.redis.mget(keys))  # all on one machine


async def nap(seconds: float, stop: asyncio.Event | None) -> None:
    """Sleep, but no longer than until `stop` is set."""
    if seconds <= 0:
        return
    if stop is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
