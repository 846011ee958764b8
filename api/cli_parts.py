"""The processes of an engine, put together from their parts: the composition root of each.

Must live here: which parts a process is made of. Must not: what a part does.
"""

import asyncio
import functools
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import redis
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis

from api.checks import checks_of
from api.server import serve
from api.up_rules import Rules, begin_logs
from engine import telling
from engine.ending import end
from engine.logs import open_log
from engine.records import Append
from engine.settings import Settings
from sinks.clickhouse import connect, insert, migrate
from sinks.erase_tables import restore_tombstones
from sinks.relay import run_relay

FINISH_S = 8.0  # of the 20 that a process has from SIGTERM on

logger = logging.getLogger("laike.parts")
Stop = asyncio.Event
Job = Callable[[Stop], Awaitable[None]]


def log_to_stderr() -> None:
    """One line a message, warnings and what our own parts have to say."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    telling.log_to_stderr(form, ("httpx", "aiokafka", "faust", "mode"))


def api(settings: Settings, *, background: bool) -> None:
    """The door; with `background`, relay, archiver and learner beside it."""
    jobs = (relay_of, learner_of) if background else ()
    beside = [functools.partial(_until_cancelled, job, settings) for job in jobs]
    asyncio.run(serve(settings, background=beside, make_checks=checks_of))


def relay(settings: Settings) -> None:
    """The relay and the archiver alone."""
    asyncio.run(_until_signal(functools.partial(relay_of, settings)))


def put_in_place(settings: Settings) -> None:
    """The tables, the published rules, and on Kafka the topic."""
    told = logging.getLogger("laike.migrate").info
    client = connect(settings.clickhouse)
    for name in migrate(client):
        told("applied %s", name)
    with redis.Redis.from_url(settings.redis) as store:
        restore_tombstones(store, client)
        book = Rules(settings.rules, settings.secret, told).publish(store, client)
    told("rules %s published: %d rules", book.hash[:8], len(book.rules))
    asyncio.run(_logs(settings, book.hash))


async def _logs(settings: Settings, digest: str) -> None:
    if not settings.embedded:
        from engine.logs.kafka import Address, ensure_topic  # noqa: PLC0415 - the one in use

        record = settings.clock == "record"
        await ensure_topic(Address.parse(settings.log), settings.shards, record=record)
    await begin_logs(settings, digest)


def learner(settings: Settings) -> None:
    """The learner alone."""
    asyncio.run(_until_signal(functools.partial(learner_of, settings)))


async def relay_of(settings: Settings, stop: Stop) -> None:
    """Carry what was decided to where it goes, until `stop`."""
    async with AsyncExitStack() as held:
        redis = Redis.from_url(settings.redis)
        held.push_async_callback(redis.aclose)
        log = open_log(settings.log, redis=redis, shards=settings.shards)
        held.push_async_callback(log.close)
        await run_relay(settings, log, redis, lambda: connect(settings.clickhouse), stop)


async def learner_of(settings: Settings, stop: Stop) -> None:
    """Learn from what was decided, until `stop`."""

    async def publish(rows: list[dict[str, Any]]) -> None:
        try:
            await asyncio.to_thread(_write, settings, rows)
        except (ClickHouseError, OSError) as away:  # figures for people; learning goes on
            logger.warning("model metrics are not written: %s", away)

    async with AsyncExitStack() as held:
        redis = Redis.from_url(settings.redis)
        held.push_async_callback(redis.aclose)

        async def tell(records: Sequence[Append]) -> None:
            """A drift is rare: the log is opened for it."""
            record = settings.clock == "record"
            log = open_log(settings.log, redis=redis, shards=settings.shards, record=record)
            try:
                await log.append(records)
            finally:
                await log.close()

        # River takes a second to load: beside the door, not before it opens
        learning = await asyncio.to_thread(import_module, "engine.learner")
        await learning.LearnerTask(redis, settings.shards, settings.secret, publish, tell=tell).run(
            stop
        )


def _write(settings: Settings, rows: list[dict[str, Any]]) -> None:
    client = connect(settings.clickhouse)
    try:
        insert(client, "model_metrics", rows)
    finally:
        client.close()


async def _until_cancelled(
    job: Callable[[Settings, Stop], Awaitable[None]], settings: Settings
) -> None:
    """Run beside something else; told to end, finish what is begun, for a few seconds."""
    stop = Stop()
    task = asyncio.ensure_future(job(settings, stop))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        ended, _ = await asyncio.wait([task], timeout=FINISH_S)
        await end([task])
        for one in ended:
            one.result()
        raise


async def _until_signal(job: Job) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await job(stop)
