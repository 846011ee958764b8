"""Letters in record time: carried in rounds while the engine stands still, so that runs are alike.

Must live here: when a round may begin. Must not: what a letter says (relay_letters.py carries it).
Entries without letters are passed as they come. A round begins when no step is open and every
shard has committed all of its log; then all letters that wait are appended in the order of (sender,
entry), and the next round waits for their commits. So the order of a shard's log does not depend
on which process was quicker.
"""

import asyncio
import contextlib
from typing import Any

from redis.asyncio import Redis

from engine.log import Log
from sinks.outbox import Entry, EntryId, Reader, last_of, next_key
from sinks.relay_letters import Letters, letters_of
from sinks.relay_loop import WAIT_MS, GivenUp, Tally, insist, stopped_within

PER_READ = 100
PAUSE_SECONDS = 0.003
OPEN_STEP = "laike:step"
CLOCK = "{s0}:clock"


class Rounds:
    """The letters sink of a record folder; the same face as `relay_loop.Loop`."""

    def __init__(self, log: Log, redis: Redis, shards: int, tally: Tally) -> None:
        self.log = log
        self.redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self.shards = shards
        self.sink = Letters(log)
        self.name = self.sink.name
        self.reader = Reader(redis, shards, self.sink.stream)
        self.tally = tally
        self.after: dict[int, EntryId] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until `stop`; a failure after `stop` ends it."""
        with contextlib.suppress(GivenUp):
            self.after = await insist(lambda: self.reader.cursors(self.sink.name), self.tally, stop)
            while not stop.is_set():
                if await insist(self._pass, self.tally, stop):
                    entries = await insist(self._round, self.tally, stop)
                    await self._carry(entries, stop)
                    if not entries:
                        await stopped_within(stop, PAUSE_SECONDS)

    async def _pass(self) -> bool:
        """Go past entries without letters; whether any shard has stopped before one with some.

        With nothing there it waits in Redis, not by asking again and again.
        """
        passed: dict[int, EntryId] = {}
        waiting: set[int] = set()
        for entry in await self.reader.read(self.after, PER_READ, WAIT_MS):
            if entry.shard in waiting or letters_of(entry):
                waiting.add(entry.shard)
            else:
                passed[entry.shard] = entry.id
        if passed:
            await self.reader.advance(self.sink.name, passed)
            self.after |= passed
        return bool(waiting)

    async def _carry(self, entries: list[Entry], stop: asyncio.Event) -> None:
        if entries:
            written = await insist(lambda: self.sink.take(entries), self.tally, stop)
            to = last_of(entries)
            await insist(lambda: self.reader.advance(self.sink.name, to), self.tally, stop)
            self.after |= to
            self.tally.succeeded(written)

    async def _round(self) -> list[Entry]:
        """All entries that wait, by shard; none while anything moves."""
        before = await self._still()
        if before is None:
            return []
        entries: list[Entry] = []
        after = dict(self.after)
        while found := await self.reader.read(after, PER_READ):
            entries += found
            after |= last_of(found)
        if await self._still() != before:
            return []
        return sorted(entries, key=lambda entry: (entry.shard, entry.id))

    async def _still(self) -> tuple[bytes | None, ...] | None:
        """The world's clock and every shard's position, if no step is open and none has work."""
        keys = [OPEN_STEP, CLOCK, *(next_key(shard) for shard in range(self.shards))]
        step, *where = await self.redis.mget(keys)
        if step is not None:
            return None
        ends = await self.log.ends()
        offsets = [int((text or b"0").partition(b":")[0]) for text in where[1:]]
        return tuple(where) if all(a >= b for a, b in zip(offsets, ends, strict=True)) else None
