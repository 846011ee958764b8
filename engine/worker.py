"""The worker: a Faust app whose one agent hands whole batches to the shards it owns.

Must live here: putting the parts together, starting, ending. Must not: what a batch does. The agent
never raises and never acks: Faust would go on with the next batch. What ends the process comes by
`failed`: exit code 3, and a line that says why at first and at last. SIGTERM and Ctrl-C drain and
exit with 0.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import faust
from faust.types.tuples import TP
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine import birth, telling
from engine.duties import Duties
from engine.ending import end
from engine.lanes import Lanes, MakeShard, Shard
from engine.log import LogAway
from engine.logs import faust_kafka, faust_redis, open_log
from engine.logs.batches import BATCH_RECORDS, batch_topic
from engine.logs.kafka import Address, WrongLog
from engine.logs.lease import Lease
from engine.measures import MEASURES
from engine.settings import Settings
from engine.store import Fenced, Stopped
from engine.stores.redis import RedisStore

COMMIT_SECONDS: Final = 5.0
SESSION_SECONDS: Final = 10.0  # a worker that is gone is missed by Kafka after so long
DRAIN_SECONDS: Final = 15.0
FAILED_SECONDS: Final = 3.0
FAILED: Final = 3
LOOK_SECONDS: Final = 1.0
GC_THRESHOLD: Final = 200_000  # allocations between two looks for cycles
NOISY: Final = ("faust", "mode", "aiokafka", __name__, "engine.logs")  # Faust logs in our name too

log = logging.getLogger("laike.worker")


class App(faust.App):
    """Faust's app with our transport and the parts that our consumer asks for."""

    def __init__(self, settings: Settings, make_shard: MakeShard) -> None:
        self.settings = settings
        self.log_url = settings.log
        self.shards = settings.shards
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.lanes = Lanes(make_shard, self.failed)
        self.redis = Redis.from_url(settings.redis)
        record = settings.clock == "record"
        self.events = open_log(
            settings.log, redis=self.redis, shards=settings.shards, record=record
        )
        self.lease: Lease | None = None
        self.shards_mine: Sequence[int] = ()
        if settings.embedded:
            self._take_part(settings)
        else:
            self._join_group(settings)
        self.duties = Duties(
            self.lanes,
            self.events,
            self.redis,
            name=self._worker_name,
            ticking=not record,
            outbox_bytes_max=0 if record else settings.outbox_mb << 20,
            failed=self.failed,
        )
        super().__init__(
            f"laike-{self.topic_name}",
            broker=self._brokers,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            store="memory://",
            stream_wait_empty=True,
            stream_buffer_maxsize=2,
            broker_max_poll_records=BATCH_RECORDS,
            broker_commit_interval=COMMIT_SECONDS,
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=SESSION_SECONDS / 4,
        )

    def _take_part(self, settings: Settings) -> None:
        """On the Redis log: a fixed part of the shards, under a lease."""
        self._laike_transport: Any = faust_redis.Transport
        self._brokers = ["kafka://none"]  # Faust wants an address; our transport has its own
        self.topic_name = "log"
        self._worker_name = str(settings.worker_index)
        self.shards_mine = faust_redis.shards_of(
            settings.worker_index, settings.worker_count, settings.shards
        )
        self.lease = Lease(self.redis, self.shards_mine, settings.worker_index)

    def _join_group(self, settings: Settings) -> None:
        """On Kafka: what the group gives us, whichever index we were started with."""
        self._laike_transport = faust_kafka.Transport
        bootstrap, self.topic_name = Address.parse(settings.log)
        self._brokers = [f"kafka://{one}" for one in bootstrap.split(",")]
        self._worker_name = f"{socket.gethostname()}-{os.getpid()}"

    def failed(self, error: BaseException) -> None:
        """This process must end; the first reason counts."""
        if not self.failure.done():
            if isinstance(error, Fenced):
                MEASURES.count("fenced_commits_total")
            self.failure.set_result(error)

    def _new_transport(self) -> Any:
        return self._laike_transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """None: the state is in the store."""


def build_app(settings: Settings, make_shard: MakeShard) -> App:
    """The Faust app of a worker on either log; call it where the event loop runs."""
    app = App(settings, make_shard)

    @app.agent(batch_topic(app, app.topic_name), name="shards")
    async def shards(stream: Any) -> None:
        async for event in stream.noack().events():
            number = event.message.partition
            again = app.lanes.put(number, event.value)
            if again is not None:
                log.warning("shard %d: a batch was lost, reading again from %d", number, again)
                await app.consumer.seek(TP(app.topic_name, number), again)

    return app


async def run(app: App) -> int:
    """Start, work until told to stop, drain; the exit code."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    stopping = asyncio.create_task(told.wait())
    tasks: list[asyncio.Task[None]] = []
    try:
        if not await _before(app, stopping):
            return 0
        if app.lease:
            tasks.append(asyncio.create_task(app.lease.keep(app.failed)))
        tasks.append(asyncio.create_task(app.duties.run()))
        tasks.append(asyncio.create_task(_start(app)))
        for task in tasks:
            task.add_done_callback(lambda task: _notice(app, task))
        await _either(stopping, app.failure)
    except (Stopped, WrongLog) as why:
        app.failed(why)
    return await _end(app, tasks)


async def _before(app: App, stopping: "asyncio.Task[bool]") -> bool:
    """Wait for the world and compare the birth record; False when told to stop meanwhile."""
    told = ""
    while not stopping.done():
        try:
            if app.lease:
                await app.lease.take()
            await birth.check(
                app.redis,
                app.events,
                identity=await app.events.identity(),
                shards=app.settings.shards,
                clock=app.settings.clock,
            )
        except (LogAway, OSError, RedisError) as away:
            if told != (told := str(away)):
                log.warning("waiting for the log and the store: %s", told)
            await asyncio.wait([stopping], timeout=LOOK_SECONDS)
        else:
            return True
    return False


async def _either(*awaited: "asyncio.Future[Any]") -> None:
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)


async def _start(app: App) -> None:
    """Start Faust and watch that it does not crash."""
    await app.start()
    log.info("worker ready, pid %d", os.getpid())
    await app.wait_until_stopped()
    if app.crash_reason:
        raise app.crash_reason


def _notice(app: App, task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        app.failed(error)


async def _end(app: App, tasks: "list[asyncio.Task[None]]") -> int:
    """Drain in reverse order; the exit code."""
    error = app.failure.result() if app.failure.done() else None
    ours = isinstance(error, Fenced | Stopped | WrongLog)
    why = str(error) if ours else repr(error)
    if error:
        log.critical("the worker stops: %s", why, exc_info=None if ours else error)
    stopping = asyncio.ensure_future(app.stop())
    await asyncio.wait([stopping], timeout=FAILED_SECONDS if error else DRAIN_SECONDS)
    await end([stopping, *tasks])
    await app.lanes.close(0)
    await app.duties.end()
    if app.lease:
        await app.lease.release()
    await app.events.close()
    await app.redis.aclose()
    unended = None if stopping.cancelled() else stopping.exception()
    if error:  # whatever the parts said as they ended: whoever reads the end is to find this
        log.critical("the worker has stopped: %s", why)
        return FAILED
    if unended:
        raise unended
    return 0


def pipeline_shards(settings: Settings) -> MakeShard:
    """Make the shards of the real pipeline, over one store client."""
    from engine import effects, pipeline  # noqa: PLC0415 - a worker of other shards needs neither

    store = RedisStore(Redis.from_url(settings.redis))

    async def make_shard(number: int) -> Shard:
        return pipeline.Shard(
            effects.Settings(
                shard=number,
                shards=settings.shards,
                secret=settings.secret,
                record_clock=settings.clock == "record",
                faults_max=settings.faults_max,
                peak_rate=0 if settings.clock == "record" else settings.peak_rate,
            ),
            store,
        )

    return make_shard


async def _main(settings: Settings, make_shard: MakeShard | None) -> int:
    return await run(build_app(settings, make_shard or pipeline_shards(settings)))


def main(settings: Settings, make_shard: MakeShard | None = None) -> int:
    """A worker's whole life; 0 when told to stop, 3 when it must not go on."""
    telling.log_to_stderr("%(asctime)s %(levelname)s %(message)s", NOISY)
    gc.freeze()  # a batch makes many objects and no cycles: looking for them cost a third
    gc.set_threshold(GC_THRESHOLD, 50, 100)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_main(settings, make_shard))
        if code:  # threads of a broken client must not hold the exit up
            logging.shutdown()
            os._exit(code)
    return code


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("LAIKE_UVLOOP") != "1":
        return None
    import uvloop  # noqa: PLC0415 - asked for

    return uvloop.new_event_loop
