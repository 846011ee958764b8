"""The API process: real parts put together and served until told to stop.

Must live here: connections, their order of opening and closing. Must not: an answer to a call.
Going down, the door closes first, then what runs beside it, then the connections.
"""

import asyncio
import functools
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager

import uvicorn
from fastapi import APIRouter, FastAPI
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from api import metrics, rules_calls
from api.access.accounts import Accounts
from api.app import Deps, create_app
from api.asking import Asking
from api.bounds import BoundedLog
from api.checks import log_answers
from api.clocks import WorldClock, wall
from api.customer_calls import calls_about_customers
from api.health import Checks
from api.privacy import Privacy
from api.privacy import router as privacy_calls
from api.proposals import Proposals
from api.sealing import Sealing
from api.sources import Sources, ensure_sources
from engine.ending import end
from engine.keys import open_keys
from engine.log import Log
from engine.logs import open_log
from engine.settings import Settings
from sinks.clickhouse import connect

DRAIN_SECONDS = 10
OPEN_LOOK_SECONDS = 0.02  # until the door is open: what is beside it takes a second to load
CONNECTIONS_MAX = 4096
BACKLOG = 2048
STORE_SECONDS_MAX = 5.0  # for the calls of people and programs, not the senders'
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Background = Callable[[], Awaitable[None]]
MakeChecks = Callable[[Settings, Log, Redis], Checks]


class CannotListen(OSError):  # noqa: N818 - a state of the world, not a fault of ours
    """The door's address cannot be had; the message names it."""


async def serve(
    settings: Settings,
    *,
    background: Sequence[Background] = (),
    make_checks: MakeChecks | None = None,
    routers: Sequence[APIRouter] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; raises what a `background` task raised.

    `background` runs beside the door (relay, archiver, learner). `make_checks` says what /readyz
    and /healthz ask; without it, the log alone.
    """
    async with AsyncExitStack() as held:
        redis = Redis.from_url(settings.redis)
        held.push_async_callback(redis.aclose)
        log = open_log(
            settings.log, redis=redis, shards=settings.shards, record=settings.clock == "record"
        )
        held.push_async_callback(log.close)
        clock: Callable[[], int] = wall
        refresh: Callable[[], Awaitable[None]] | None = None
        beside = list(background)
        if settings.clock == "record":
            clock = world = WorldClock.of(redis)
            refresh = world.refresh
        if make_checks:
            checks = make_checks(settings, log, redis)
        else:
            checks = Checks(needed={"log": functools.partial(log_answers, log)})
        numbers = metrics.router(settings, log, redis, checks)
        sources = open_sources(settings)
        store = BlockingRedis.from_url(settings.redis, socket_timeout=STORE_SECONDS_MAX)
        held.callback(store.close)
        accounts = Accounts(store, settings.secret)
        proposals = Proposals(store, settings.secret, lambda: connect(settings.clickhouse))
        rules = rules_calls.router(accounts, proposals)
        keys = open_keys(settings)
        held.push_async_callback(keys.close)
        privacy = Privacy(
            settings=settings,
            redis=redis,
            log=log,
            keys=keys,
            connect=lambda: connect(settings.clickhouse),
        )
        rights = privacy_calls(privacy, sources, clock, refresh)
        door = BoundedLog(log, redis, 0 if settings.clock == "record" else settings.outbox_mb << 20)
        asking = Asking(settings, redis, door, clock, refresh)
        customer_calls = calls_about_customers(
            asking, sources, functools.partial(connect, settings.clickhouse)
        )
        deps = Deps(
            log=door,
            sources=sources,
            clock=clock,
            refresh=refresh,
            checks=checks,
            accounts=accounts,
            sealing=Sealing(keys),
            routers=[numbers, rules, rights, *customer_calls, *routers],
        )
        await run(create_app(deps), settings.host, settings.port, beside)


def open_sources(settings: Settings) -> Sources:
    """The senders of the settings' file; a folder that has none gets its first two keys."""
    if settings.sources is None:
        ensure_sources(settings.data)
    return Sources(settings.sources_file)


class _Server(uvicorn.Server):
    """Uvicorn, leaving the signals to `run`: its own way would end us before we have drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(app: FastAPI) -> uvicorn.Server:
    """Uvicorn with our limits."""
    return _Server(
        uvicorn.Config(
            app,
            access_log=False,
            server_header=False,
            log_config=None,
            lifespan="on",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )


async def run(app: FastAPI, host: str, port: int, background: Sequence[Background] = ()) -> None:
    """Serve `app` with `background` beside it; the end of any one is the end of all."""
    server = server_of(app)
    listening = listen(host, port)
    loop = asyncio.get_running_loop()
    for sign in STOP_SIGNALS:
        loop.add_signal_handler(sign, server.handle_exit, sign, None)
    door = asyncio.ensure_future(server.serve([listening]))
    while not (server.started or door.done()):  # noqa: ASYNC110 - uvicorn sets no more than a flag
        await asyncio.sleep(OPEN_LOOK_SECONDS)
    beside = [asyncio.ensure_future(start()) for start in background]
    try:
        await asyncio.wait([door, *beside], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await door
    finally:
        await end(beside, DRAIN_SECONDS)
        for sign in STOP_SIGNALS:
            loop.remove_signal_handler(sign)
        listening.close()
    for task in beside:
        if not task.cancelled():
            task.result()


def listen(host: str, port: int) -> socket.socket:
    """The door's socket; raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it sees the protocol: 40 ms an answer without.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError as taken:
        door.close()
        told = f"cannot listen on {host} port {port}: {taken.strerror}"
        raise CannotListen(told) from None
    return door
