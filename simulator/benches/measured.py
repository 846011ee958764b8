"""A process that decides or merely decodes a log that is there, and says how fast.

    python -m simulator.benches.measured engine|plain LOG EVENTS

Must live here: the two contestants, each a Faust app on the same log. `engine` is the worker as it
runs; `plain` is a Faust agent as its manual has it, that only decodes JSON. Both are timed inside,
from a fifth of the events to seven tenths: every lane has a batch decided that is not counted yet,
and so it must be at either end, or what was done before counts and the rate is a fifth too high.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

import faust
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types.tuples import TP, ConsumerMessage

from engine.logs import faust_redis
from engine.records import Record
from engine.settings import Settings
from engine.worker import main as work
from engine.worker import pipeline_shards
from simulator.benches.parts import TIMED


class Clock:
    """Counts events and says the rate at the end, by ending the process."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.start, self.end = (int(part * events) for part in TIMED)
        self.count = 0
        self.begun = 0.0
        self.cpu = 0.0
        self.first = 0
        self.found: dict[str, float] = {}

    def saw(self, number: int) -> None:
        """Note that so many more are done."""
        self.count += number
        if not self.begun and self.count >= self.start:
            self.begun, self.cpu, self.first = time.monotonic(), time.process_time(), self.count
        elif not self.found and self.count >= self.end:
            seconds, cpu = time.monotonic() - self.begun, time.process_time() - self.cpu
            done = self.count - self.first
            self.found = {"rate": done / seconds, "cpu_us": cpu / done * 1e6}
        if self.count >= self.events:
            print(json.dumps(self.found), flush=True)
            self.events = 10**12
            os.kill(os.getpid(), signal.SIGTERM)


def engine(settings: Settings, events: int) -> None:
    """The worker, its shards counted commit by commit: a batch at hand is thousands of records."""
    clock, make = Clock(events), pipeline_shards(settings)

    async def counted(number: int) -> Any:
        shard: Any = await make(number)
        decide = shard._process_run  # noqa: SLF001 - what one commit holds

        async def process_run(run: list[Record], cids: list[str]) -> int:
            done: int = await decide(run, cids)
            clock.saw(done)
            return done

        shard._process_run = process_run  # noqa: SLF001
        return shard

    sys.exit(work(settings, counted))


class PlainConsumer(faust_redis.Consumer):
    """The Redis log handing out single messages, as every other transport of Faust does."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        wanted = active_partitions or set()
        if not wanted:
            await asyncio.sleep(0.05)
            return {}
        return await self.fetch(wanted, timeout)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic, tp.partition, record.offset, record.log_time / 1000, 0, [], record.key,
            record.value, None, 0, 0, TP(*tp), generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def seek_to_committed(self) -> Any:
        """From the beginning."""
        return dict.fromkeys(self.assignment(), 0)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Every few seconds, as to a broker."""
        found: Any = {str(tp.partition): offset for tp, offset in offsets.items()}
        return bool(await self._redis.hset("plain:committed", mapping=found) >= 0)

    # What the worker's batches do without: Faust's own book of what was done.
    commit = FaustConsumer.commit
    wait_empty = FaustConsumer.wait_empty
    on_partitions_revoked = FaustConsumer.on_partitions_revoked
    on_buffer_full = FaustConsumer.on_buffer_full
    on_buffer_drop = FaustConsumer.on_buffer_drop


class PlainTransport(faust_redis.Transport):
    """Faust's transport for it."""

    Consumer = PlainConsumer


class PlainApp(faust.App):
    """On the Redis log our transport, on Kafka Faust's own."""

    def __init__(self, settings: Settings) -> None:
        self.log_url, self.shards, self.topic_name = settings.log, settings.shards, "log"
        self.shards_mine = range(settings.shards)
        self.on_redis = settings.embedded
        broker = "kafka://unused" if settings.embedded else settings.log.rsplit("/", 1)[0]
        super().__init__(
            f"plain-{os.getpid()}", broker=broker, web_enabled=False, topic_disable_leader=True,
            topic_allow_declare=False, store="memory://", datadir=str(settings.data / "plain"),
        )  # fmt: skip

    def _new_transport(self) -> Any:
        if self.on_redis:
            return PlainTransport(self.conf.broker_consumer, self)
        return super()._new_transport()


async def _plain(settings: Settings, events: int) -> None:
    app, clock = PlainApp(settings), Clock(events)
    name = "log" if settings.embedded else settings.log.rsplit("/", 1)[1]

    @app.agent(app.topic(name, value_serializer="json", key_serializer="raw"))
    async def agent(records: Any) -> None:
        async for _ in records:
            clock.saw(1)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: os._exit(0))
    await app.start()
    await app.wait_until_stopped()


def main() -> None:
    """Run the contestant named on the command line."""
    kind, log, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    settings = Settings.load(log=log)
    if kind == "engine":
        engine(settings, events)
    loop = None
    if os.environ.get("LAIKE_UVLOOP") == "1":
        import uvloop  # noqa: PLC0415 - asked for

        loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_plain(settings, events))


if __name__ == "__main__":
    main()
