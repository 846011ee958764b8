"""`laike simulate`: a made-up shop before a running engine, put together from its settings.

Must live here: the wiring. In a record folder the shop first lives its past flat out, then a day
in `day_seconds` through the HTTP door; in a wall folder its events come at a rate. Started again
it goes on where it was.
"""

import asyncio
import signal
import time

from redis.asyncio import Redis
from rich.console import Console

from engine.logs import open_log
from engine.settings import Settings
from engine.status import letters_in_flight
from simulator.doors import HttpDoor, LogDoor
from simulator.drive import Driven, Position, drive, drive_now
from simulator.habits import DAY, HOUR, ZONE_MS
from simulator.progress import bar
from simulator.reactions import Outboxes
from simulator.stepping import RecordClock
from simulator.world import World

HISTORY_DAYS = 60
HISTORY_STEP_MS = 12 * HOUR
DAY_SECONDS = 4.0
EVENTS_PER_CUSTOMER = 2.2  # a day, on average
WALL_RATE = 50.0


def run(
    settings: Settings, write_key: str, *, rate: float | None = None, customers: int = 500,
    seed: int = 1, days: int = HISTORY_DAYS, console: Console | None = None,
) -> Driven:  # fmt: skip
    """Simulate until Ctrl-C or SIGTERM, which end it between two steps."""

    async def until_told() -> Driven:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        return await simulate(
            settings, write_key, rate=rate, customers=customers, seed=seed, days=days,
            console=console or Console(stderr=True), stop=stop,
        )  # fmt: skip

    return asyncio.run(until_told())


async def simulate(
    settings: Settings, write_key: str, *, rate: float | None, customers: int, seed: int,
    days: int, console: Console, stop: asyncio.Event,
) -> Driven:  # fmt: skip
    """Drive the engine at `settings`; `rate` in events a second, None for the usual."""
    redis = Redis.from_url(settings.redis)
    log = open_log(settings.log, redis=redis, shards=settings.shards,
                   record=settings.clock == "record")  # fmt: skip
    door = HttpDoor(f"http://{settings.host}:{settings.port}", write_key)
    try:
        at = await Position.load(redis) or _fresh(seed, customers, days)
        world = World(at.seed, at.customers, at.start)
        decisions = Outboxes(redis, settings.shards)
        await decisions.begin()
        if settings.clock == "wall":
            return await drive_now(
                world, door, redis, position=at, rate=WALL_RATE if rate is None else rate,
                decisions=decisions, stop=stop,
            )  # fmt: skip
        clock = RecordClock(redis, log, lambda: letters_in_flight(redis, settings.shards))
        past = at.start + days * DAY
        if at.now < past:
            with bar(f"{days} days of history", console) as progress:
                done = await drive(
                    world, LogDoor(log), clock, from_ms=at.now, until=past,
                    step_ms=HISTORY_STEP_MS, decisions=decisions, progress=progress, stop=stop,
                )  # fmt: skip
            if done.stopped:
                return done
        return await drive(
            world, door, clock, from_ms=max(at.now, past),
            day_seconds=day_seconds(rate, at.customers),
            decisions=decisions, stop=stop,
        )  # fmt: skip
    finally:
        await door.close()
        await log.close()
        await redis.aclose()


def day_seconds(rate: float | None, customers: int) -> float:
    """How long a day takes at so many events a second: 0 is flat out, None the usual.

    >>> day_seconds(None, 1_000), day_seconds(0, 1_000), day_seconds(550, 1_000)
    (4.0, 0.0, 4.0)
    """
    if rate is None:
        return DAY_SECONDS
    return customers * EVENTS_PER_CUSTOMER / rate if rate else 0.0


def _fresh(seed: int, customers: int, days: int) -> Position:
    """A new world whose history ends this midnight."""
    today = (time.time_ns() // 1_000_000 + ZONE_MS) // DAY * DAY - ZONE_MS
    return Position(seed, customers, start=today - days * DAY, now=today - days * DAY)
