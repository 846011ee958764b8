"""The life of one sink: read in order, gather, hand over until it is taken, move the cursor.

Must live here: batching, back-off, what is told of a sink. Must not: what a sink does with entries.
A sink that fails is tried again for ever with back-off and holds nobody else up; what it was given
twice it must absorb, because the cursor moves only after the hand-over.

    Away     the other side cannot take it now: try again
    any other exception of a sink is a fault of ours: logged whole, told, tried again all the same,
    since an entry may not be skipped and the other sinks have to go on
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.measures import MEASURES
from engine.telling import blanked
from sinks.outbox import Entry, EntryId, Reader, last_of

WAIT_MS = 200
PER_READ = 16  # entries of each shard
BACK_OFF_SECONDS = (0.05, 10.0)
_log = logging.getLogger("laike.sinks")
T = TypeVar("T")


class Away(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The other side of a sink cannot take anything now; the same again later."""


@dataclass
class Tally:
    """What one sink tells of itself, once a second, in the hash `laike:sink:<name>`."""

    name: str
    written: int = 0  # since last told; Redis sums it up
    failing: int = 0  # attempts in a row that failed
    last_error: str = ""
    last_error_at: int = 0
    extra: dict[str, int | float | str] = field(default_factory=dict)

    def failed(self, error: BaseException) -> None:
        """Note an attempt that failed; the first of a row is logged, a fault of ours always."""
        self.failing += 1
        MEASURES.count("relay_retries_total", self.name)
        self.last_error = blanked(f"{type(error).__name__}: {error}")[:500]
        self.last_error_at = int(time.time() * 1000)
        expected = isinstance(error, (Away, RedisError, OSError))
        if self.failing == 1 or not expected:
            _log.warning("%s: %s", self.name, self.last_error, exc_info=not expected)

    def succeeded(self, written: int) -> None:
        """Note a hand-over."""
        self.written += written
        self.failing = 0


class Sink(Protocol):
    """Where entries go. `take` may be called again with entries that it has taken already."""

    name: str
    stream: str  # which stream of the shards it reads
    linger_seconds: float  # how long a batch may wait for company
    batch: int  # the weight at which a batch is full

    def weigh(self, entry: Entry) -> int:
        """How much of a batch this entry fills."""

    async def take(self, entries: Sequence[Entry]) -> int:
        """Carry these away, for good; how many things were written. Raises Away."""


def back_off() -> Iterator[float]:
    """Seconds to wait after each failure in a row, growing, with jitter."""
    pause, longest = BACK_OFF_SECONDS
    while True:
        yield pause * random.uniform(0.7, 1.3)  # noqa: S311 - jitter needs no secrecy
        pause = min(pause * 2, longest)


class GivenUp(Exception):  # noqa: N818 - an outcome, not a fault
    """The step failed and the relay is to stop: what is left waits for the next start."""


class Loop:
    """One sink at work over all shards."""

    def __init__(self, sink: Sink, redis: Redis, shards: int, tally: Tally) -> None:
        self.sink = sink
        self.name = sink.name
        self.reader = Reader(redis, shards, sink.stream)
        self.tally = tally
        self.after: dict[int, EntryId] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until `stop`, then what is readily there; a failure after `stop` ends it."""
        try:
            self.after = await insist(lambda: self.reader.cursors(self.sink.name), self.tally, stop)
            while True:
                stopping = stop.is_set()
                entries = await insist(lambda: self._gather(stop), self.tally, stop)
                if entries:
                    await self._carry(entries, stop)
                elif stopping:
                    return
        except GivenUp:
            return

    async def _gather(self, stop: asyncio.Event) -> list[Entry]:
        """Wait for entries; then, if the sink likes company, wait a little for more."""
        entries = await self.reader.read(self.after, PER_READ, 0 if stop.is_set() else WAIT_MS)
        weight = sum(map(self.sink.weigh, entries))
        patient = bool(entries) and self.sink.linger_seconds > 0
        seen = self.after | last_of(entries)
        while patient and weight < self.sink.batch:
            more = await self.reader.read(seen, PER_READ)
            if not more:
                await stopped_within(stop, self.sink.linger_seconds)
                more = await self.reader.read(seen, PER_READ)
                patient = False
            entries += more
            weight += sum(map(self.sink.weigh, more))
            seen |= last_of(more)
        return entries

    async def _carry(self, entries: list[Entry], stop: asyncio.Event) -> None:
        written = await insist(lambda: self.sink.take(entries), self.tally, stop)
        to = last_of(entries)
        await insist(lambda: self.reader.advance(self.sink.name, to), self.tally, stop)
        self.after |= to
        self.tally.succeeded(written)


async def insist(step: Callable[[], Awaitable[T]], tally: Tally, stop: asyncio.Event) -> T:
    """Do `step` until it succeeds; raises GivenUp when it fails and `stop` is set."""
    for pause in back_off():
        try:
            return await step()
        except Exception as error:  # noqa: BLE001 - told, and tried again: see the law above
            tally.failed(error)
        if stop.is_set():
            break
        await stopped_within(stop, pause)
    raise GivenUp


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, but wake when `stop` is set; whether it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
