"""`laike replay`: traffic of record into the log, in record time, by the law of stepping.py.

Each record carries (file hash, row), and a shard drops a row that is not above the last one it has
had of that file: a file may be sent again, whole, any number of times. So a replay that was cut
short begins anew: what an earlier run had committed is sent flat out and dropped, and from there on
time goes on step by step. Must live here: that. Must not: rows, mappings, the engine's start.

    laike:replay:<file hash>   the end (ms) of the last step that was committed
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from engine.log import Log
from engine.records import REJECTED, Append
from simulator.doors import rejected, to_record
from simulator.happened import Happened, Reading
from simulator.mapping import Mapping, MappingError, choose, reader_of_time
from simulator.rows import Survey, file_hash, header, in_order, survey
from simulator.stepping import PER_APPEND, RecordClock, append, nap

PAUSE_SECONDS_MAX = 3_600.0


@dataclass
class ReplayResult:
    """What a replay did: `events_in` were sent, `resent` of them had been in an earlier run."""

    file: str
    mapping: str
    rows: int
    events_in: int = 0
    resent: int = 0
    rejected: int = 0
    left_out: int = 0
    steps: int = 0
    now: int = 0  # the end of the last step, ms
    stopped: bool = False


class File:
    """A file of record with the mapping that reads it."""

    def __init__(self, path: Path, mapping: str | Path | None = None) -> None:
        self.path = path
        columns = header(path)
        self.mapping: Mapping = choose(columns, mapping)
        self.hash = file_hash(path)
        self.reading = Reading(self.mapping, columns, self.hash)
        self._time_column = columns.index(self.mapping.time.column)
        self.read_time = reader_of_time(self.mapping.time)
        self.survey: Survey = survey(path, self._time_column, self.read_time)

    def happened(self) -> Iterator[Happened]:
        """Its events in order of time."""
        rows = in_order(self.path, self._time_column, self.read_time, self.survey)
        return self.reading.happened(rows)

    def record(self, event: Happened, shards: int) -> Append:
        """An event as a record of the log; an unreadable row as a rejected one."""
        source = f"replay:{self.mapping.mapping}"
        if event.wrong:
            item = {"file": self.hash, **event.item}
            return rejected(item, shards, source, event.at, "unreadable", event.wrong)
        return to_record(event.item, shards, source, event.at, [self.hash, event.row])

    def moment(self, text: str) -> int:
        """A moment as it is written on the command line; without a zone, in the file's."""
        at = reader_of_time(self.mapping.time.__class__("", zone=self.mapping.time.zone))(text)
        if at is None:
            raise MappingError(f"{text!r}: expected a moment such as 2011-06-01T00:00")
        return at


async def replay(
    file: File | Path,
    *,
    log: Log,
    redis: Redis,
    letters: Callable[[], Awaitable[int]],
    until: str | int | None = None,
    pace: float | None = None,
    mapping: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> ReplayResult:
    """Send `file` step by step, up to the last whole step before `until`.

    `pace` is how many times faster than it was, None for as fast as it goes. `letters` tells how
    many letters are on their way. `stop` ends it between two steps.
    """
    if isinstance(file, Path):
        file = await asyncio.to_thread(File, file, mapping)
    if isinstance(until, str):
        until = file.moment(until)
    return await _Replay(file, RecordClock(redis, log, letters), until, pace, progress, stop).run()


class _Replay:
    """One run over one file."""

    def __init__(
        self,
        file: File,
        clock: RecordClock,
        until: int | None,
        pace: float | None,
        progress: Callable[[int, int], None] | None,
        stop: asyncio.Event | None,
    ) -> None:
        self.file = file
        self.clock = clock
        self.log = clock.log
        self.step = file.mapping.step_ms
        self.until = None if until is None else until // self.step * self.step
        self.pace = pace
        self.progress = progress
        self.stop = stop
        self.done = 0  # the end of the last committed step
        self.pending: list[Append] = []
        self.result = ReplayResult(str(file.path), file.mapping.mapping, file.survey.rows)

    async def run(self) -> ReplayResult:
        """Send everything."""
        key = f"laike:replay:{self.file.hash}"
        self.done = before = int(await self.clock.redis.get(key) or 0)
        opened, began = 0, time.monotonic()
        first = 0
        for event in self.file.happened():
            end = (event.at // self.step + 1) * self.step
            if self.until is not None and end > self.until:
                break
            if end != opened and opened > before:
                await self._finish(opened, key)
                self._tell(event.row)
                await self._keep_pace(began, end - first)
            if self.stop and self.stop.is_set():
                break
            if end != opened and end > before:
                await self._flush()
                await self._bridge(end - self.step, key)
                await self.clock.open(end)
                first = first or end
            opened = end
            record = self.file.record(event, self.log.shards)
            self.pending.append(record)
            self.result.rejected += record.key == REJECTED
            self.result.resent += end <= before
            if len(self.pending) >= PER_APPEND:
                await self._flush()
                self._tell(event.row)
        stopped = bool(self.stop and self.stop.is_set())
        if opened > before and opened > self.done:
            await self._finish(opened, key)
        await self._flush()
        if self.until is not None and not stopped:
            await self._bridge(self.until, key)
        self._tell(self.result.rows if self.until is None and not stopped else 0)
        self.result.now, self.result.stopped = self.done, stopped
        self.result.left_out = self.file.reading.left_out
        return self.result

    async def _bridge(self, until: int, key: str) -> None:
        """Run the empty steps up to `until` in which something is due."""
        if self.done:
            self.result.steps += await self.clock.run_empty(self.done, until, self.step)
            if until > self.done:
                self.done = until
                await self.clock.redis.set(key, until)

    async def _finish(self, end: int, key: str) -> None:
        await self._flush()
        await self.clock.close()
        self.done = end
        self.result.steps += 1
        await self.clock.redis.set(key, end)

    async def _flush(self) -> None:
        await append(self.log, self.pending)
        self.result.events_in += len(self.pending)
        self.pending = []

    def _tell(self, row: int) -> None:
        if self.progress and row:
            self.progress(row, 0 if self.until else self.result.rows)  # until then: how many?

    async def _keep_pace(self, began: float, gone_ms: int) -> None:
        if self.pace:
            due = began + gone_ms / 1000 / self.pace
            await nap(min(due - time.monotonic(), PAUSE_SECONDS_MAX), self.stop)
