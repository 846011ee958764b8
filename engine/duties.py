"""What the owner of shards does beside deciding: ticks, asking for rules, the heartbeat.

Must live here: the once-a-second work and its keys. Must not: deciding, fetching.

    laike:worker:<name>    JSON {at, pid, shards, next_offsets, lag, events_per_second}, with a TTL
    laike:workers          set of their names; one without a heartbeat was killed
    laike:rules:wanted     the hash that every shard should decide under; laike:model:wanted too
    laike:kill:wanted      what the kill switch is to stop (switches.py)

The log and the store may be away: then a second is left out, and the next one tries again.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine import switches
from engine.bounds import outbox_bytes, paused
from engine.lanes import Lane, Lanes
from engine.log import Log, LogAway
from engine.measures import MEASURES
from engine.records import KILL, MODEL, RULES, TICK, Append
from engine.store import Stopped

PERIOD_SECONDS: Final = 1.0
HEARTBEAT_TTL_SECONDS: Final = 5
HEARTBEAT: Final = "laike:worker:"
WORKERS: Final = "laike:workers"
STANDSTILL_SECONDS: Final = 60.0
NO_TIME: Final = 1  # of itself: the record takes its shard's log time, in record time too
WANTED: Final = {
    RULES: "laike:rules:wanted",
    MODEL: "laike:model:wanted",
    KILL: switches.WANTED,  # no hash: what is killed stands in it, and in the record
}

log = logging.getLogger(__name__)


class Duties:
    """The once-a-second work for the lanes of one worker; `name` tells its heartbeat apart."""

    def __init__(
        self,
        lanes: Lanes,
        to: Log,
        redis: "Redis",
        *,
        name: str,
        ticking: bool,
        outbox_bytes_max: int = 0,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._lanes = lanes
        self._log = to
        self._redis = redis
        self._name = name
        self._key = HEARTBEAT + name
        self._ticking = ticking
        self._outbox_bytes_max = outbox_bytes_max
        self._failed = failed
        self._watch = Standstill()
        self._beat_at = time.monotonic()
        self._processed: dict[int, int] = {}

    async def run(self) -> None:
        """Until cancelled; a lane that opens is served at once."""
        while True:
            self._lanes.changed.clear()
            started = time.monotonic()
            try:
                await self.once(round(time.time() * 1000))
            except (RedisError, OSError, LogAway) as error:
                log.debug("this second is left out: %s", error)
            left = PERIOD_SECONDS - (time.monotonic() - started)
            try:
                await asyncio.wait_for(self._lanes.changed.wait(), max(0.0, left))
            except TimeoutError:
                continue

    async def once(self, now: int) -> None:
        """Do everything due at `now` (ms)."""
        lanes = list(self._lanes)
        await self._ask_for_versions(lanes)
        await self._look_at_outboxes()
        await self._beat(now, lanes)
        if self._ticking and lanes:
            tick = b'{"at":%d}' % now
            await self._log.append([Append(lane.shard.number, TICK, tick, now) for lane in lanes])

    async def _ask_for_versions(self, lanes: list[Lane]) -> None:
        """Append the wanted version to the shards that decide under another, once a hash."""
        found: Any = await self._redis.mget(list(WANTED.values()))
        wanted = {kind: text.decode() for kind, text in zip(WANTED, found, strict=True) if text}
        asking = [
            (lane, kind, digest)
            for lane in lanes
            for kind, digest in wanted.items()
            if digest not in {_version(lane, kind), lane.asked.get(kind)}
        ]
        if not asking:
            return
        await self._log.append(
            [
                Append(lane.shard.number, kind, json.dumps({"hash": digest}).encode(), NO_TIME)
                for lane, kind, digest in asking
            ]
        )
        for lane, kind, digest in asking:
            lane.asked[kind] = digest

    async def _look_at_outboxes(self) -> None:
        """At their bound nothing more is decided until they were carried away: see bounds.py."""
        if not (most := self._outbox_bytes_max):
            return
        size = sum(await outbox_bytes(self._redis, self._log.shards))
        before = self._lanes.paused
        now = paused(size, most, before=before)
        self._lanes.pause(now)
        if now:
            MEASURES.count("commits_paused_total", number=PERIOD_SECONDS)
        if now != before:
            told = "commits pause until they are carried away" if now else "commits go on"
            log.warning("the outboxes hold %d of %d bytes: %s", size, most, told)

    async def _beat(self, now: int, lanes: list[Lane]) -> None:
        ends = await self._log.ends()
        offsets = {lane.shard.number: lane.shard.next_offset for lane in lanes}
        lags = {shard: max(0, ends[shard] - offset) for shard, offset in offsets.items()}
        seconds = time.monotonic() - self._beat_at
        processed = {lane.shard.number: lane.processed for lane in lanes}
        more = sum(max(0, n - self._processed.get(shard, 0)) for shard, n in processed.items())
        told = {
            "at": now,
            "pid": os.getpid(),
            "shards": list(offsets),
            "next_offsets": {str(shard): offset for shard, offset in offsets.items()},
            "lag": sum(lags.values()),
            "events_per_second": round(more / max(seconds, 0.001), 1),
        }
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(self._key, json.dumps(told), ex=HEARTBEAT_TTL_SECONDS)
            pipe.sadd(WORKERS, self._name)
            await pipe.execute()
        await MEASURES.tell(self._redis)
        self._beat_at, self._processed = time.monotonic(), processed
        if self._lanes.paused:
            self._watch = Standstill()
        elif stuck := self._watch.see(offsets, lags, seconds):
            self._failed(Stopped(stuck))

    async def end(self) -> None:
        """Take the heartbeat away: this worker is gone, not lost."""
        try:
            await MEASURES.tell(self._redis)
            await self._redis.delete(self._key)
            await self._redis.srem(WORKERS, self._name)
        except (RedisError, OSError):
            return


async def heartbeats(redis: "Redis") -> dict[str, Any]:
    """What the workers that are alive said last, by name; those that were killed are forgotten."""
    names: Any = sorted(await redis.smembers(WORKERS))
    found: Any = await redis.mget([HEARTBEAT.encode() + name for name in names]) if names else []
    if dead := [name for name, beat in zip(names, found, strict=True) if beat is None]:
        await redis.srem(WORKERS, *dead)
    return {
        name.decode(): json.loads(beat)
        for name, beat in zip(names, found, strict=True)
        if beat is not None
    }


def _version(lane: Lane, kind: bytes) -> str:
    shard = lane.shard
    return {RULES: shard.rules_hash, MODEL: shard.model_hash, KILL: shard.killed}[kind]


class Standstill:
    """Offsets that stand still while records wait; seconds count only while the world is there.

    >>> watch = Standstill()
    >>> [watch.see({0: 7}, {0: 3}, 30.0) for _ in range(2)]
    ['', '']
    >>> watch.see({0: 7}, {0: 3}, 31.0)
    'shard 0 stands still at offset 7 for 61 s with 3 records waiting'
    """

    def __init__(self) -> None:
        self._offsets: dict[int, int] = {}
        self._seconds: dict[int, float] = {}

    def see(self, offsets: dict[int, int], lags: dict[int, int], seconds: float) -> str:
        """What to say when a shard has stood still too long, or nothing."""
        stuck = ""
        for shard, offset in offsets.items():
            still = offset == self._offsets.get(shard) and lags[shard] > 0
            passed = self._seconds.get(shard, 0.0) + seconds if still else 0.0
            self._seconds[shard] = passed
            if passed > STANDSTILL_SECONDS:
                stuck = (
                    f"shard {shard} stands still at offset {offset} for {passed:.0f} s "
                    f"with {lags[shard]} records waiting"
                )
        self._offsets = offsets
        return stuck
