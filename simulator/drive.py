"""Made-up traffic into an engine: step by step in record time, or at a rate in wall time.

`drive` moves a record folder's clock with the world's; `drive_now` sends the same events stamped
with the wall's time. Both end between two steps when `stop` is set, and remember in Redis how far
they came, so that a restart goes on there. Must live here: pace, order, position. Must not: what
people do (world.py), how items travel (doors.py), the clock's law (stepping.py).

    laike:world   {"seed", "customers", "start", "now", "sent"}: sent items of the step after `now`
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from simulator.doors import Door
from simulator.habits import DAY, MINUTE, iso
from simulator.stepping import RecordClock, nap
from simulator.world import World

POSITION = "laike:world"
STEP_MS = 15 * MINUTE
BEAT_SECONDS = 0.05

Progress = Callable[[int, int], None]  # how much is done, of how much
Decisions = Callable[[], Awaitable[list[Mapping[str, Any]]]]  # those since the last call


class Position(msgspec.Struct):
    """How far a world has been told; times in ms."""

    seed: int
    customers: int
    start: int
    now: int
    sent: int = 0

    async def save(self, redis: Redis) -> None:
        """Remember it."""
        await redis.set(POSITION, msgspec.json.encode(self))

    @classmethod
    async def load(cls, redis: Redis) -> "Position | None":
        """What was remembered, None in a new folder."""
        found = await redis.get(POSITION)
        return msgspec.json.decode(found, type=cls) if found else None


@dataclass
class Driven:
    """What a drive came to; `now` is the world's time (ms) that has been told."""

    events_in: int
    now: int
    stopped: bool


async def drive(
    world: World,
    door: Door,
    clock: RecordClock,
    *,
    from_ms: int,
    until: int | None = None,
    step_ms: int = STEP_MS,
    day_seconds: float = 0.0,
    decisions: Decisions | None = None,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> Driven:
    """Tell the world from `from_ms` on, up to `until`; a day takes `day_seconds`, 0 for no pause.

    A step that a crash cut short is told again whole: its message ids absorb the first half.
    """
    now, count = from_ms, 0
    pause = day_seconds * step_ms / DAY
    due = time.monotonic()
    while (until is None or now < until) and not (stop and stop.is_set()):
        end = now + step_ms if until is None else min(now + step_ms, until)
        items = world.step(now, end)
        await clock.open(end)
        await door.send(items, end)
        await clock.close()
        now, count = end, count + len(items)
        position = Position(world.seed, world.customers, world.start, now)
        await position.save(clock.redis)
        for decision in await decisions() if decisions else ():
            world.react({**decision, "at": max(int(decision["at"]), now)})
        if progress and until is not None:
            progress(now - from_ms, until - from_ms)
        due = max(due + pause, time.monotonic() - 1.0)  # what is late by over a second stays late
        await nap(due - time.monotonic(), stop)
    return Driven(count, now, until is None or now < until)


async def drive_now(
    world: World,
    door: Door,
    redis: Redis,
    *,
    position: Position,
    rate: float = 0.0,
    most: int | None = None,
    decisions: Decisions | None = None,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> Driven:
    """Send the world's events as if they happened now, `rate` a second, 0 for as many as go.

    The world's own calendar runs as fast as its events leave; `most` ends after so many.
    """
    now, count, begun = position.now, 0, time.monotonic()
    skip, position.sent = position.sent, 0
    while not (stop and stop.is_set()) and (most is None or count < most):
        items = world.step(now, now + STEP_MS)[skip:]
        position.sent, skip = skip, 0
        while items and not (stop and stop.is_set()) and (most is None or count < most):
            allowed = _allowed(rate, begun, count, most)
            if not allowed:
                await nap(BEAT_SECONDS, stop)
                continue
            part, items = items[:allowed], items[allowed:]
            stamp = time.time_ns() // 1_000_000
            await door.send([{**item, "timestamp": iso(stamp)} for item in part], stamp)
            count += len(part)
            position.sent += len(part)
            await position.save(redis)
            if progress and most is not None:
                progress(count, most)
        if items:
            break
        now += STEP_MS
        position.now, position.sent = now, 0
        await position.save(redis)
        for decision in await decisions() if decisions else ():
            world.react({**decision, "at": now})
    return Driven(count, now, most is None or count < most)


def _allowed(rate: float, begun: float, count: int, most: int | None) -> int:
    """How many items may leave now; a second's worth at most, whatever was missed before."""
    left = 1_000 if most is None else min(1_000, most - count)
    if rate <= 0:
        return left
    owed = rate * (time.monotonic() - begun) - count
    return max(0, min(left, int(owed), int(rate) or 1))
