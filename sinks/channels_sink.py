"""One channel at work: messages out of the outboxes, side by side, each settled once and told.

Must live here: what is in flight, the cursor, what is written of a message. Must not: how it is
tried (channels_trying.py), how a channel sends. A message is settled by `sent` or `failed` with a
reason, a row of `outcomes` that is written in the same transaction as the cursor; with it, in the
stream `again`, the message itself where its next channel or a later hour has it now. The cursor
passes an entry once all its messages are settled; a slow message holds back the cursor but not the
messages behind it, whose marks are kept beside the cursor until it has passed them.

A channel has two of these: one reads the outboxes, one the streams `again`.
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
from sinks.channels import Message
from sinks.channels_trying import Settled, Trying
from sinks.messages import again_body, messages_of
from sinks.outbox import AGAIN, OUTBOX, OUTCOMES, Entry, EntryId, Reader, cursor_key, stream_key
from sinks.receipts import RECEIPTS
from sinks.relay_loop import PER_READ, WAIT_MS, GivenUp, insist, stopped_within

IN_FLIGHT = 512  # messages that are not settled; beyond it no more are read
RESTING = 10_000  # messages that wait for their hour; beyond it no more are read
COMMIT_SECONDS = 0.01


@dataclass
class Open:
    """An entry whose messages are not all settled, or that the cursor has not passed yet."""

    id: EntryId
    left: int = 0
    settled: list[str] = field(default_factory=list)  # marks, while the cursor stands before it
    stored: list[str] = field(default_factory=list)  # of these, the ones that Redis knows


@dataclass
class Window:
    """What is under way of one shard, in the outbox's order."""

    open: deque[Open] = field(default_factory=deque)
    told: list[Settled] = field(default_factory=list)  # not written yet
    known: set[str] = field(default_factory=set)  # settled before a restart, beyond the cursor


def settled_key(shard: int, sink: str) -> str:
    """Where the marks are of messages that are settled beyond a sink's cursor."""
    return f"{{s{shard}}}:settled:{sink}"


class ChannelSink:
    """A channel with its cursor. `wanted` says which messages are this channel's."""

    def __init__(
        self,
        name: str,
        trying: Trying,
        wanted: Callable[[Message], bool],
        redis: Redis,
        shards: int,
        stream: str = OUTBOX,
    ) -> None:
        self.name = name
        self.trying = trying
        self.wanted = wanted
        self.redis = redis
        self.stream = stream
        self.reader = Reader(redis, shards, stream)
        self.tally = trying.tally
        self.after: dict[int, EntryId] = {}
        self._windows = {shard: Window() for shard in range(shards)}
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._rests = asyncio.Semaphore(RESTING)
        self._changed = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

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
                    if message.mark in window.known:
                        opened.stored.append(message.mark)
                        opened.left -= 1
                        continue
                    await (self._rests if _rest(message) else self._room).acquire()
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
        """Try until it is settled; when `stop` comes first it stays open for the next start."""
        if seconds := _rest(message):
            try:
                if await stopped_within(stop, seconds):
                    return
            finally:
                self._rests.release()
            await self._room.acquire()
        try:
            settled = await self.trying.settle(message, stop)
        finally:
            self._room.release()
        if settled is not None:
            window.told.append(settled)
            opened.settled.append(message.mark)
            opened.left -= 1
            self._changed.set()

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
        """Write what was settled and move the cursor past it, in one transaction a shard."""
        told, passed = list(window.told), _settled_prefix(window.open)
        ahead = [entry for entry in list(window.open)[passed:] if entry.settled]
        if not (told or passed or ahead):
            return
        gone = [key for entry in list(window.open)[:passed] for key in entry.stored]
        kept = [(entry, list(entry.settled)) for entry in ahead]
        pipe = self.redis.pipeline(transaction=True)
        if body := _outcomes_body(told):
            pipe.xadd(stream_key(shard, OUTCOMES), {b"b": body})
        if again := [settled.again for settled in told if settled.again]:
            pipe.xadd(stream_key(shard, AGAIN), {b"b": again_body(again)})
        if passed:
            pipe.set(cursor_key(shard, self.name), window.open[passed - 1].id.text)
        if gone:
            pipe.srem(settled_key(shard, self.name), *gone)
        if kept:
            pipe.sadd(settled_key(shard, self.name), *(key for _, keys in kept for key in keys))
        await pipe.execute()
        del window.told[: len(told)]
        for _ in range(passed):
            window.open.popleft()
        for entry, keys in kept:
            entry.stored += keys
            del entry.settled[: len(keys)]


def _rest(message: Message) -> float:
    """Seconds until a message may be tried."""
    return max(0.0, message.not_before / 1000 - time.time()) if message.not_before else 0.0


def _outcomes_body(told: list[Settled]) -> bytes:
    rows = [settled.row for settled in told if settled.row]
    receipts = [receipt for settled in told for receipt in settled.receipts]
    if not (rows or receipts):
        return b""
    return orjson.dumps({"outcomes": rows} | ({RECEIPTS: receipts} if receipts else {}))


def _settled_prefix(entries: deque[Open]) -> int:
    """How many entries from the first on have no message left."""
    for number, entry in enumerate(entries):
        if entry.left:
            return number
    return len(entries)
