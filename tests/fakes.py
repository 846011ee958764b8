"""Parts we wrote for tests to stand on: they keep the promises of the real ones, in memory.

Must live here: fakes of protocols. Must not: a mock that only records calls.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from engine.log import LogAway
from engine.records import Append, Record


class MemoryLog:
    """A log in memory: the same order, offsets and log time as a real one.

    `fault` is raised by the next appends until it is set to None again; `seconds` is how long an
    append takes; `groups` are the sizes of the appends so far.
    """

    def __init__(self, shards: int = 8, clock: Callable[[], int] | None = None) -> None:
        self.shards = shards
        self.records: list[list[Record]] = [[] for _ in range(shards)]
        self.fault: Exception | None = None
        self.seconds = 0.0
        self.groups: list[int] = []
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)

    async def append(self, items: Sequence[Append]) -> None:
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault
        now = self._clock()
        for shard, key, value, _ in items:
            held = self.records[shard]
            log_time = max(held[-1].log_time if held else 0, now)
            held.append(Record(len(held), log_time, key, value))
        self.groups.append(len(items))

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        return [r for r in self.records[shard] if r.offset >= start][:count]

    async def ends(self) -> list[int]:
        if isinstance(self.fault, LogAway):
            raise self.fault
        return [held[-1].offset + 1 if held else 0 for held in self.records]

    async def trim(self, shard: int, before: int) -> None:
        self.records[shard] = [r for r in self.records[shard] if r.offset >= before]

    async def close(self) -> None:
        return

    def everything(self) -> list[Record]:
        """All records, shard after shard."""
        return [record for shard in self.records for record in shard]
