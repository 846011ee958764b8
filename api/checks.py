"""What /readyz and /healthz look at: the stores, the rules, the tables, offsets that move.

Must live here: one small class or function a check. Must not: how an answer is made (health.py).
A check returns when all is well, else it raises NotWell, or what its client raises.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.health import Checks
from engine import bounds
from engine.duties import heartbeats
from engine.log import Log, LogAway
from engine.settings import Settings
from engine.stores.redis import keys
from sinks.clickhouse import connect
from sinks.migrations import MigrationError, pending

STANDSTILL_SECONDS = 60.0
LOOK_SECONDS = 1.0  # of what is asked of ClickHouse, however often somebody asks us
PROBE = "laike:probe"
WANTED = "laike:rules:wanted"


class NotWell(Exception):  # noqa: N818 - an answer, not a fault of ours
    """A check failed; the message says what and what to do."""


def checks_of(settings: Settings, log: Log, redis: Redis) -> Checks:
    """All checks of an API process. ClickHouse away is degraded: ingest goes on without it."""
    tables = Tables(settings.clickhouse)
    return Checks(
        alive={"offsets": Offsets(settings, log, redis).check},
        needed={
            "log": partial(log_answers, log),
            "redis": partial(redis_writable, redis),
            "rules": partial(rules_loaded, redis),
            "migrations": tables.at_the_version,
        },
        useful={"clickhouse": tables.answers, "workers": partial(a_worker_runs, redis)},
        workers=partial(heartbeats, redis),
    )


async def log_answers(log: Log) -> None:
    """The log can be read; where it is Redis', `redis_writable` says the rest."""
    await log.ends()


async def redis_writable(redis: Redis) -> None:
    """Redis takes a write now: neither away, full, nor a replica."""
    await redis.set(PROBE, b"1", ex=10)


async def rules_loaded(redis: Redis) -> None:
    """Some version of the rules was published, and Redis holds it."""
    wanted: Any = await redis.get(WANTED)
    if wanted is None:
        raise NotWell("no rules are published: run `laike migrate`")
    if not await redis.exists(f"laike:rules:{wanted.decode()}"):
        raise NotWell(f"rules {wanted.decode()[:12]} are wanted and lost: run `laike migrate`")


async def a_worker_runs(redis: Redis) -> None:
    """Some worker has a heartbeat; without one, what comes in waits in the log."""
    if not await heartbeats(redis):
        raise NotWell("no worker has a heartbeat: events are taken, and wait to be decided")


class Tables:
    """ClickHouse, asked at most once a second; its client is made when first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None
        self._lock = asyncio.Lock()
        self._looked = float("-inf")
        self._away = ""
        self._wrong = ""

    async def answers(self) -> None:
        """ClickHouse answers."""
        await self._look()
        if self._away:
            raise NotWell(self._away)

    async def at_the_version(self) -> None:
        """The tables are as this version has them; while ClickHouse is away, as last seen."""
        await self._look()
        if self._wrong:
            raise NotWell(self._wrong)

    async def _look(self) -> None:
        async with self._lock:
            if time.monotonic() - self._looked < LOOK_SECONDS:
                return
            try:
                self._wrong = await asyncio.to_thread(self._ask)
                self._away = ""
            except (ClickHouseError, OSError) as away:
                self._away, self._client = f"{type(away).__name__}: {away}"[:300], None
            self._looked = time.monotonic()

    def _ask(self) -> str:
        if self._client is None:
            self._client = connect(self._url, timeout_seconds=2)
        try:
            lacking = pending(self._client)
        except MigrationError as wrong:
            return str(wrong)
        return f"not applied: {', '.join(lacking)}; run `laike migrate`" if lacking else ""


class Offsets:
    """Offsets that stand still while records wait: somebody has to look at the workers.

    Seconds count from the first look that found a shard waiting at its offset. Commits that pause
    at the outbox's bound are no standstill: the answer is at the receivers.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        redis: Redis,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._redis = redis
        self._outbox_bytes_max = 0 if settings.clock == "record" else settings.outbox_mb << 20
        self._clock = clock
        self._still: Mapping[int, tuple[int, float]] = {}  # shard -> its offset, since when

    async def check(self) -> None:
        """Raise when a shard stood still for too long; that a store is away, /readyz tells."""
        now, before = self._clock(), self._still
        try:
            ends, waiting = await self._waiting()
        except (RedisError, LogAway, OSError):
            self._still = {}
            return
        self._still = {
            shard: before[shard] if before.get(shard, (-1, 0))[0] == offset else (offset, now)
            for shard, offset in waiting.items()
        }
        for shard, (offset, since) in self._still.items():
            if now - since > STANDSTILL_SECONDS:
                raise NotWell(
                    f"shard {shard} stands still at offset {offset} for {now - since:.0f} s with "
                    f"{ends[shard] - offset} records waiting: does a worker run?"
                )

    async def _waiting(self) -> tuple[list[int], dict[int, int]]:
        """Where the log ends, and the offsets of the shards before which something waits."""
        shards = range(self._log.shards)
        found: list[Any] = await self._redis.mget([keys(shard)["next"] for shard in shards])
        ends = await self._log.ends()
        at = [int((text or b"0").partition(b":")[0]) for text in found]
        waiting = {shard: offset for shard, offset in enumerate(at) if offset < ends[shard]}
        if waiting and self._outbox_bytes_max:
            sizes = await bounds.outbox_bytes(self._redis, self._log.shards)
            if bounds.paused(sum(sizes), self._outbox_bytes_max, before=True):
                waiting = {}
        return ends, waiting
