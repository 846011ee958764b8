"""The learner: examples out of the outboxes, into River, out as signed snapshots.

Must live here: the cursor of each shard, which is inside the snapshot, so that no example counts
twice and none is left out. Must not: River's models (features/models), scoring (the worker does).
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.stores.redis import keys
from features.models.purchase import MODEL
from features.models.purchase_learner import Learner
from features.models.snapshot import pack, unpack

WANTED = "laike:model:wanted"
HISTORY = "laike:models"
TOLD = "laike:model:told"  # hash: when the last was published (ms, wall), and its figures
KEPT = 5
ENTRIES_A_READ = 200
PUBLISH_EXAMPLES = 200
PUBLISH_SECONDS = 5.0
IDLE_SECONDS = 0.2

Publish = Callable[[list[dict[str, Any]]], Awaitable[None]]
log = logging.getLogger(__name__)


class _Entry(msgspec.Struct):
    log_time: int
    examples: list[dict[str, Any]] = []


_entry = msgspec.json.Decoder(_Entry)


class LearnerTask:
    """Reads every shard's outbox from its own cursors, learns, publishes now and then."""

    def __init__(self, redis: "Redis", shards: int, secret: bytes, publish: Publish) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._shards = shards
        self._secret = secret
        self._publish = publish
        self.model = Learner()
        self.cursors: dict[str, str] = {}
        self._fresh = 0
        self._log_time = 0
        self._published_at = time.monotonic()

    async def restore(self) -> None:
        """Go on from the wanted snapshot, with its cursors; a forged one is refused, and said.

        A cursor stands in every shard from the first moment on, so that nothing unread is trimmed.
        """
        for shard in range(self._shards):
            await self._redis.set(f"{keys(shard)['cursor']}learner", "0-0", nx=True)
        wanted = await self._redis.get(WANTED)
        body = await self._redis.get(f"laike:model:{wanted.decode()}") if wanted else None
        if body is None:
            return
        try:
            snapshot = unpack(body, self._secret)
            model = Learner.restore(snapshot)
            cursors, log_time = dict(snapshot["cursors"]), int(snapshot["log_time"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.error("snapshot %s refused, learning anew: %s", wanted[:12], error)  # noqa: TRY400
            return
        self.model, self.cursors, self._log_time = model, cursors, log_time

    async def step(self) -> bool:
        """Read and learn what there is, at most one read a shard; whether there was anything."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in range(self._shards):
                after = self.cursors.get(str(shard), "0-0")
                pipe.xrange(keys(shard)["outbox"], f"({after}", "+", count=ENTRIES_A_READ)
            found = await pipe.execute()
        for shard, entries in enumerate(found):
            for name, fields in entries:
                self._learn(_entry.decode(fields[b"b"]))
                self.cursors[str(shard)] = name.decode()
        return any(found)

    def _learn(self, entry: _Entry) -> None:
        self._log_time = max(self._log_time, entry.log_time)
        for example in entry.examples:
            if example["model"] == MODEL:
                self.model.learn(example["features"], example["label"])
                self._fresh += 1

    async def publish(self) -> None:
        """Sign and store a snapshot under its hash, make it the wanted one, drop the oldest."""
        snapshot = {
            **self.model.snapshot(),
            "cursors": self.cursors,
            "log_time": self._log_time,
        }
        body = pack(snapshot, self._secret)
        digest = hashlib.sha256(body).hexdigest()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(f"laike:model:{digest}", body)
            pipe.set(WANTED, digest)
            pipe.lpush(HISTORY, digest)
            pipe.lrange(HISTORY, KEPT, -1)
            pipe.ltrim(HISTORY, 0, KEPT - 1)
            for shard, after in self.cursors.items():
                pipe.set(f"{keys(int(shard))['cursor']}learner", after)
            old = (await pipe.execute())[3]
        if old:
            await self._redis.delete(*[f"laike:model:{name.decode()}" for name in old])
        await self._publish([
            {"model": MODEL, "at": self._log_time, "version": digest, "metric": name,
             "value": value, "examples": self.model.examples}
            for name, value in self.model.metrics().items()
        ])  # fmt: skip
        told = {"at": round(time.time() * 1000), **self.model.metrics()}
        await self._redis.hset(TOLD, mapping=told)
        self._fresh, self._published_at = 0, time.monotonic()

    def _is_time(self) -> bool:
        waited = time.monotonic() - self._published_at
        return waited >= PUBLISH_SECONDS and self._fresh >= PUBLISH_EXAMPLES

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a last snapshot keeps what was learned since."""
        await _away(self.restore)
        while not stop.is_set():
            if not await _away(self.step):
                await asyncio.sleep(IDLE_SECONDS)
            if self._is_time():
                await _away(self.publish)
        if self._fresh:
            await self.publish()


async def _away(work: Callable[[], Awaitable[Any]]) -> Any:
    """Do it, again and again while Redis is away; publishing twice or reading twice is the same."""
    pause = 0.1
    while True:
        try:
            return await work()
        except (RedisError, OSError) as error:
            log.warning("learner: %s; again in %.1f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)
