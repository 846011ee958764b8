"""One channel at work: messages out of the outboxes, side by side, each settled once and told.

Must live here: what is in flight, retries, when a message is given up, the cursor. Must not: how a
channel sends. A message is settled by `sent` or `failed` with a reason, a row of `outcomes`
that is written in the same transaction as the cursor. The cursor passes an entry once all its
messages are settled; a slow message holds back the cursor but not the messages behind it, whose
keys are kept beside the cursor until it has passed them. Each attempt first asks anew whether the
message may leave (channels_standing.py).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import orjson
from redis.asyncio import Redis

from engine.ending import end
from sinks.channels import Channel, Failed, Later, Message, Sent, messages_of
from sinks.channels_standing import Standing
from sinks.outbox import OUTBOX, OUTCOMES, Entry, EntryId, Reader, cursor_key, stream_key
from sinks.relay_loop import (
    PER_READ,
    WAIT_MS,
    GivenUp,
    Tally,
    back_off,
    insist,
    stopped_within,
)
from sinks.rows import Row

IN_FLIGHT = 512  # messages that are not settled; beyond it no more are read
AT_ONCE = 16  # sends to one channel
TRIES_MIN = 12  # before a message that its receiver refuses while taking others is given up
COMMIT_SECONDS = 0.01


@dataclass
class Open:
    """An entry whose messages are not all settled, or that the cursor has not passed yet."""

    id: EntryId
    left: int = 0
    settled: list[str] = field(default_factory=list)  # keys, while the cursor stands before it
    stored: list[str] = field(default_factory=list)  # of these, the ones that Redis knows


@dataclass
class Window:
    """What is under way of one shard, in the outbox's order."""

    open: deque[Open] = field(default_factory=deque)
    rows: list[Row] = field(default_factory=list)  # outcomes not written yet
    known: set[str] = field(default_factory=set)  # settled before a restart, beyond the cursor


def settled_key(shard: int, sink: str) -> str:
    """Where the keys are of messages that are settled beyond a sink's cursor."""
    return f"{{s{shard}}}:settled:{sink}"


class ChannelSink:
    """A channel with its cursor. `wanted` says which messages are this channel's."""

    stream = OUTBOX

    def __init__(
        self,
        name: str,
        channel: Channel,
        wanted: Callable[[Message], bool],
        redis: Redis,
        shards: int,
        tally: Tally,
        standing: Standing,
        *,
        record_clock: bool = False,
    ) -> None:
        self.name = name
        self.channel = channel
        self.wanted = wanted
        self.redis = redis
        self.reader = Reader(redis, shards)
        self.tally = tally
        self.record_clock = record_clock
        self.standing = standing
        self.after: dict[int, EntryId] = {}
        self._windows = {shard: Window() for shard in range(shards)}
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._resume_at = 0.0  # monotonic: the receiver asked for quiet until then
        self._last_success = 0.0  # monotonic

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, then what is there and can be sent without a retry."""
        done = asyncio.Event()
        try:
            self.after = await insist(self._begin, self.tally, stop)
            committing = asyncio.create_task(self._commit_changes(done, stop))
            try:
                await self._read(stop)
                while self._sending:
                    await asyncio.wait(self._sending)
                done.set()
                self._changed.set()
                await committing
            finally:
                await end([committing, *self._sending])
        except GivenUp:
            pass
        finally:
            await self.channel.close()

    async def _begin(self) -> dict[int, EntryId]:
        pipe = self.redis.pipeline(transaction=False)
        for shard in self._windows:
            pipe.smembers(settled_key(shard, self.name))
        for window, known in zip(self._windows.values(), await pipe.execute(), strict=True):
            window.known = {key.decode() for key in known}
        return await self.reader.cursors(self.name)

    async def _read(self, stop: asyncio.Event) -> None:
        while not (stop.is_set() and self.tally.failing):
            wait = 0 if stop.is_set() else WAIT_MS
            found = await insist(partial(self._next, wait), self.tally, stop)
            if not found and not wait:
                return
            for entry, messages in found:
                self.after[entry.shard] = entry.id
                window = self._windows[entry.shard]
                opened = Open(entry.id, left=len(messages))
                window.open.append(opened)
                for message in messages:
                    if message.key in window.known:
                        opened.stored.append(message.key)
                        opened.left -= 1
                        continue
                    await self._room.acquire()
                    task = asyncio.create_task(self._settle(message, opened, window, stop))
                    self._sending.add(task)
                    task.add_done_callback(self._ended)
            self._changed.set()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Forget a task; one that broke leaves its message open, for the next start to send."""
        self._sending.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            self.tally.failed(fault)

    async def _next(self, wait_ms: int) -> list[tuple[Entry, list[Message]]]:
        entries = await self.reader.read(self.after, PER_READ, wait_ms)
        return [(entry, [*filter(self.wanted, messages_of(entry))]) for entry in entries]

    async def _settle(
        self, message: Message, opened: Open, window: Window, stop: asyncio.Event
    ) -> None:
        """Send until it is settled; when `stop` comes first it stays open for the next start."""
        try:
            row = await self._outcome(message, stop)
        finally:
            self._room.release()
        if row is not None:
            window.rows.append(row)
            opened.settled.append(message.key)
            opened.left -= 1
            self._changed.set()

    async def _outcome(self, message: Message, stop: asyncio.Event) -> Row | None:
        began = time.monotonic()
        for number, pause in enumerate(back_off(), 1):
            if self._now(message) > message.not_after:
                return message.outcome("failed", "expired", message.not_after)
            await self._quiet(stop)
            try:
                async with self._slots:
                    if reason := await self.standing.against(message):
                        return message.outcome("failed", reason)
                    result = await self.channel.send(message)
            except Later as later:
                self.tally.failed(later)
                if later.pause:
                    self._resume_at = max(self._resume_at, time.monotonic() + later.pause)
                elsewhere = self._last_success > began
                if later.answered and elsewhere and number >= TRIES_MIN:
                    return message.outcome("failed", f"given up: {later.reason}")
            except Exception as error:  # noqa: BLE001 - a channel's fault is told and tried again
                self.tally.failed(error)
            else:
                return self._told(message, result)
            if stop.is_set():
                return None
            await stopped_within(stop, pause)
        return None

    def _told(self, message: Message, result: Sent | Failed) -> Row:
        self._last_success = time.monotonic()
        self.tally.succeeded(1)
        if isinstance(result, Failed):
            return message.outcome("failed", result.reason)
        return message.outcome("sent")

    async def _quiet(self, stop: asyncio.Event) -> None:
        """Wait while the receiver has asked for quiet."""
        while (left := self._resume_at - time.monotonic()) > 0 and not stop.is_set():
            await stopped_within(stop, left)

    def _now(self, message: Message) -> int:
        """In record time sending takes no time: a message is as old as its commit."""
        return message.log_time if self.record_clock else int(time.time() * 1000)

    async def _commit_changes(self, done: asyncio.Event, stop: asyncio.Event) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            last = done.is_set()
            for shard, window in self._windows.items():
                await insist(partial(self._commit, shard, window), self.tally, stop)
            if last:
                return
            await stopped_within(done, COMMIT_SECONDS)

    async def _commit(self, shard: int, window: Window) -> None:
        """Write a shard's outcomes and move its cursor past what is settled, in one transaction."""
        rows, passed = list(window.rows), _settled_prefix(window.open)
        ahead = [entry for entry in list(window.open)[passed:] if entry.settled]
        if not (rows or passed or ahead):
            return
        gone = [key for entry in list(window.open)[:passed] for key in entry.stored]
        kept = [(entry, list(entry.settled)) for entry in ahead]
        pipe = self.redis.pipeline(transaction=True)
        if rows:
            pipe.xadd(stream_key(shard, OUTCOMES), {b"b": orjson.dumps({"outcomes": rows})})
        if passed:
            pipe.set(cursor_key(shard, self.name), window.open[passed - 1].id.text)
        if gone:
            pipe.srem(settled_key(shard, self.name), *gone)
        if kept:
            pipe.sadd(settled_key(shard, self.name), *(key for _, keys in kept for key in keys))
        await pipe.execute()
        del window.rows[: len(rows)]
        for _ in range(passed):
            window.open.popleft()
        for entry, keys in kept:
            entry.stored += keys
            del entry.settled[: len(keys)]


def _settled_prefix(entries: deque[Open]) -> int:
    """How many entries from the first on have no message left."""
    for number, entry in enumerate(entries):
        if entry.left:
            return number
    return len(entries)
