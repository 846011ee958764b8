"""The relay: every sink over all shards, side by side, each with its own cursor and its own pace.

Must live here: which sinks there are, how they start and end, what is told of them. Must not: what
any of them does. Only what is committed leaves, and every reader may be given an entry twice.
To add a sink: a class with `name`, `stream`, `weigh` and `take` (relay_loop.Sink), and a line here.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from clickhouse_connect.driver.client import Client
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.ending import end
from engine.keys import open_keys
from engine.log import Log
from engine.measures import MEASURES
from engine.settings import Settings
from sinks.archive import Archive
from sinks.channels_setup import open_channels, read_plan
from sinks.channels_sink import ChannelSink
from sinks.channels_standing import Standing
from sinks.channels_trying import Trying
from sinks.erase import Eraser
from sinks.erase_jobs import Requests
from sinks.held import Addressed
from sinks.latency import Latency
from sinks.outbox import AGAIN, OUTBOX, OUTCOMES, SINKS, EntryId
from sinks.receipts import Receipts
from sinks.relay_letters import Letters
from sinks.relay_loop import Loop, Tally
from sinks.relay_rounds import Rounds
from sinks.relay_tables import Decisions, Outcomes, Tables
from sinks.rendering import Rendering
from sinks.tries import Tries
from sinks.trim import KEEP_SECONDS, Trimmer

DRAIN_SECONDS = 8.0
TELL_SECONDS = 1.0
_log = logging.getLogger("laike.sinks")


async def run_relay(
    settings: Settings,
    log: Log,
    redis: Redis,
    clickhouse_client_factory: Callable[[], Client],
    stop: asyncio.Event,
) -> None:
    """Carry until `stop`; then what is readily there, for DRAIN_SECONDS at most."""
    await Relay(settings, log, redis, clickhouse_client_factory).run(stop)


class Relay:
    """All sinks of one installation, composed."""

    def __init__(
        self, settings: Settings, log: Log, redis: Redis, connect: Callable[[], Client]
    ) -> None:
        self.redis = redis
        self.shards = settings.shards
        record = settings.clock == "record"
        self.tallies: dict[str, Tally] = {}
        self.latency = Latency(record_clock=record)
        self.archive = Archive(log, Tables(connect))
        self.first: list[Loop | Rounds | ChannelSink] = [
            self._letters(log, record=record),
            self._loop(Decisions(Tables(connect), self.latency)),
            self._loop(self.archive),
        ]
        plan = read_plan(settings.data, settings.webhook)
        opened = open_channels(settings.data, plan, settings.webhook_allow)
        standing = Standing(redis, self.shards, settings.secret)
        self.keys = open_keys(settings)
        for name, (channel, wanted) in opened.items():
            if plan.tells_addresses(name):
                opened[name] = (Addressed(channel, redis, self.shards, self.keys), wanted)
        self.channels = [channel for channel, _ in opened.values()]
        rendering, tries = Rendering(redis), Tries(redis)
        for stream, suffix in ((OUTBOX, ""), (AGAIN, "-again")):
            for name, (channel, wanted) in opened.items():
                own = f"channel-{name}{suffix}"
                trying = Trying(
                    channel, self._tally(own), standing, rendering, tries, record_clock=record
                )
                self.first.append(ChannelSink(own, trying, wanted, redis, self.shards, stream))
        self.first.append(self._loop(Requests(redis)))
        self.eraser = Eraser(settings, redis, log, self.keys, connect, self._tally(Requests.name))
        self.last = self._loop(Outcomes(Tables(connect)))  # it reads what the channels write
        self.first.append(self._loop(Receipts(log)))
        streams: dict[str, list[str]] = {OUTBOX: [], AGAIN: [], OUTCOMES: []}
        for one in (*self.first, self.last):
            streams[one.reader.stream].append(one.name)
        self.streams = streams
        self.trimmer = Trimmer(
            redis,
            log,
            self.shards,
            streams,
            keep_seconds=0 if record else KEEP_SECONDS,
            outbox_bytes_max=settings.outbox_mb << 20,
        )

    def _tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally(name))

    def _loop(self, sink: Any) -> Loop:
        return Loop(sink, self.redis, self.shards, self._tally(sink.name))

    def _letters(self, log: Log, *, record: bool) -> Loop | Rounds:
        if record:
            return Rounds(log, self.redis, self.shards, self._tally(Letters.name))
        return self._loop(Letters(log))

    async def run(self, stop: asyncio.Event) -> None:
        """Run all sinks until `stop`, then end them: those that feed `outcomes` before its own."""
        await self._register(stop)
        fed = asyncio.Event()
        feeding = [asyncio.create_task(sink.run(stop)) for sink in self.first]
        ending = asyncio.create_task(self.last.run(fed))
        around = [asyncio.create_task(self._tell()), asyncio.create_task(self.trimmer.run(stop))]
        around.append(asyncio.create_task(self.eraser.run(stop)))
        told = asyncio.create_task(_wait(stop))
        work = [*feeding, ending, *around]
        try:
            ended, _ = await asyncio.wait([told, *work], return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                ended.pop().result()  # none of them ends by itself but by a fault
            await asyncio.wait(feeding, timeout=DRAIN_SECONDS * 0.75)
            await end(feeding)
            fed.set()
            await asyncio.wait([ending], timeout=DRAIN_SECONDS * 0.25)
        finally:
            await end([told, *work])
            for channel in self.channels:
                await channel.close()
            await self.keys.close()
        await self._tell_once()

    async def _register(self, stop: asyncio.Event) -> None:
        """Name the sinks that run now: `drained` and an operator ask for them."""
        names: dict[Any, Any] = {n: stream for stream, of in self.streams.items() for n in of}
        while not stop.is_set():
            try:
                pipe = self.redis.pipeline(transaction=True)
                pipe.delete(SINKS)
                pipe.hset(SINKS, mapping=names)
                await pipe.execute()
            except (RedisError, OSError) as away:
                _log.warning("the relay waits for Redis: %s", away)
                await asyncio.sleep(0.5)
            else:
                return

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await self._tell_once()

    async def _tell_once(self) -> None:
        """Write what each sink has to say of itself to `laike:sink:<name>`."""
        try:
            pipe = self.redis.pipeline(transaction=False)
            told = []
            for one in [*self.first, self.last]:
                written, one.tally.written = one.tally.written, 0
                told.append((one.tally, written))
                key = f"laike:sink:{one.tally.name}"
                pipe.hincrby(key, "written", written)
                pipe.hset(key, mapping=await self._said(one))
            try:
                await pipe.execute()
            except (RedisError, OSError):
                for tally, written in told:
                    tally.written += written
                raise
            await MEASURES.tell(self.redis)
        except (RedisError, OSError) as away:
            _log.debug("nothing told: %s", away)

    async def _said(self, one: Loop | Rounds | ChannelSink) -> dict[Any, Any]:
        ends = await one.reader.ends()
        lag = sum(_behind(end, one.after.get(shard)) for shard, end in enumerate(ends))
        said: dict[Any, Any] = {
            "lag": lag,
            "failing": one.tally.failing,
            "last_error": one.tally.last_error,
            "last_error_at": one.tally.last_error_at,
            "told_at": int(time.time() * 1000),
        }
        if one.name == "clickhouse":
            said |= self.latency.percentiles()
        if one.name == self.archive.name:
            said["missing"] = self.archive.missing
        return said


def _behind(end: EntryId, at: EntryId | None) -> int:
    """How far a reader is from the end of an outbox, in records of the shard's log."""
    if at is None:
        return end.offset
    return max(end.offset - at.offset, int(end > at))


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
