"""The learner: examples out of the outboxes, to the models, out as one signed manifest.

Must live here: the cursor of each shard, which is inside the manifest, so that no example counts
twice and none is left out. Must not: models (features/models), where manifests are kept
(snapshots.py), scoring (the worker does).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.snapshots import Snapshots
from engine.store import Fenced
from engine.stores.redis import keys
from engine.versions import NO_MODEL
from features.models.learners import LEARNERS
from features.models.model import Learner

ENTRIES_A_READ: Final = 200
PUBLISH_EXAMPLES: Final = 200
PUBLISH_SECONDS: Final = 5.0
FEW_SECONDS: Final = 60.0  # by then fewer examples are published too: a small shop has few
IDLE_SECONDS: Final = 0.2

Publish = Callable[[list[dict[str, Any]]], Awaitable[None]]
log = logging.getLogger(__name__)


class _Entry(msgspec.Struct):
    log_time: int
    examples: list[dict[str, Any]] = []


_entry = msgspec.json.Decoder(_Entry)


class LearnerTask:
    """Reads every shard's outbox from its own cursors, learns, publishes now and then."""

    def __init__(
        self,
        redis: "Redis",
        shards: int,
        secret: bytes,
        publish: Publish,
        learners: Mapping[str, type[Learner]] = LEARNERS,
    ) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._shards = shards
        self._publish = publish
        self._kinds = learners
        self.snapshots = Snapshots(redis, shards, secret)
        self._begin({}, {})

    def _begin(self, models: Mapping[str, Learner], manifest: Mapping[str, Any]) -> None:
        """Stand where a manifest stands; a model that it does not know begins anew."""
        self.models = {name: models.get(name) or kind() for name, kind in self._kinds.items()}
        self.cursors: dict[str, str] = dict(manifest.get("cursors", {}))
        self.refused = Counter({  # examples that a model could not learn from
            name: int(found["refused"])
            for name, found in manifest.get("figures", {}).items() if "refused" in found
        })  # fmt: skip
        self._log_time = int(manifest.get("log_time", 0))
        self._pins: dict[str, str] = dict(manifest.get("pins", {}))
        self._parts: dict[str, tuple[dict[str, str], dict[str, bytes]]] = {}
        self._heard: set[str] = set(self.models)  # whose parts are to be made anew
        self._fresh = 0
        self._published_at = time.monotonic()

    async def restore(self) -> None:
        """Go on from the wanted manifest, with its cursors; a forged one is refused, and said.

        A cursor stands in every shard from the first moment on, so that nothing unread is trimmed.
        """
        await self.snapshots.claim()
        for shard in range(self._shards):
            await self._redis.set(f"{keys(shard)['cursor']}learner", "0-0", nx=True)
        for digest, manifest in await self.snapshots.history():
            if "refused" in manifest:
                log.error("manifest %s refused: %s", digest[:12], manifest["refused"])
                continue
            self._begin(await self._restored(manifest["learners"]), manifest)
            return
        self._begin({}, {})

    async def _restored(self, learners: Mapping[str, str]) -> dict[str, Learner]:
        found: dict[str, Learner] = {}
        for name, digest in learners.items():
            if name not in self._kinds:
                continue
            try:
                part = await self.snapshots.open(digest)
                if part["model"] != name:
                    raise ValueError(f"it is of {part['model']!r}")
                found[name] = self._kinds[name].restore(part["state"])
            except NO_MODEL as error:
                log.error("%s learns anew: %s refused: %s", name, digest[:12], error)  # noqa: TRY400
        return found

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
        """Each example to its model; one that it refuses is counted, and would be again."""
        self._log_time = max(self._log_time, entry.log_time)
        for example in entry.examples:
            name = example["model"]
            if name not in self.models:  # of a newer worker's: this program does not know it
                continue
            try:
                self.models[name].learn(example)
            except NO_MODEL as error:
                self.refused[name] += 1
                log.warning("%s: an example refused: %s", name, error)
            self._heard.add(name)
            self._fresh += 1

    async def publish(self) -> None:
        """Sign and store what was learned, make it the wanted version, tell its figures."""
        pins = await self.snapshots.pins()
        heard = set(self._heard)
        manifest, parts = await asyncio.to_thread(self._made, pins)
        digest = await self.snapshots.put(manifest, parts)
        figures = manifest["figures"]
        self._heard, self._fresh, self._pins = set(), 0, pins
        self._published_at = time.monotonic()
        await self.snapshots.sweep()
        await self._publish([
            {"model": model, "at": self._log_time, "version": digest, "metric": metric,
             "value": value, "examples": figures[model]["examples"]}
            for model in sorted(heard) for metric, value in figures[model].items()
            if metric != "examples"
        ])  # fmt: skip
        await self.snapshots.tell(figures)

    def _made(self, pins: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The manifest and its parts; those of a model that heard nothing are as they were."""
        for name in sorted(self._heard):
            try:
                self._parts[name] = self._packed(name)
            except NO_MODEL as error:  # it cannot be kept; the others can
                log.error("%s stays as it was published: %s", name, error)  # noqa: TRY400
        manifest: dict[str, Any] = {
            "scorers": {}, "learners": {}, "pins": dict(pins),
            "cursors": self.cursors, "log_time": self._log_time,
            "figures": {
                name: {**model.metrics(), "examples": model.examples}
                for name, model in self.models.items()
            },
        }  # fmt: skip
        for name, number in self.refused.items():
            manifest["figures"][name]["refused"] = number
        parts: dict[str, bytes] = {}
        for name, (named, bodies) in sorted(self._parts.items()):
            parts |= bodies
            for what, digest in named.items():
                manifest[what][name] = digest
        manifest["scorers"] |= pins
        return manifest, parts

    def _packed(self, name: str) -> tuple[dict[str, str], dict[str, bytes]]:
        """The parts of a model: what each is and its digest, the bytes under each digest."""
        model, pack = self.models[name], self.snapshots.packed
        digest, body = pack({"model": name, "state": model.state()})
        named, bodies = {"learners": digest}, {digest: body}
        if weights := model.weights():
            digest, body = pack({"model": name, "weights": weights})
            named["scorers"], bodies[digest] = digest, body
        return named, bodies

    def _is_time(self) -> bool:
        waited = time.monotonic() - self._published_at
        return (waited >= PUBLISH_SECONDS and self._fresh >= PUBLISH_EXAMPLES) or (
            waited >= FEW_SECONDS and self._fresh > 0
        )

    async def _look_round(self) -> None:
        """Whether another learns, and whether somebody pinned a scorer or let one go."""
        await self.snapshots.renew()
        if await self.snapshots.pins() != self._pins:
            await self.publish()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a last manifest keeps what was learned since.

        Of two learners the one who began last learns; the other goes on when that one is gone.
        """
        while not stop.is_set():
            try:
                await self._learn_on(stop)
            except Fenced as fenced:
                log.warning("learner: %s; standing by", fenced)
                await self._stand_by(stop)

    async def _stand_by(self, stop: asyncio.Event) -> None:
        while not await _away(self.snapshots.free):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PUBLISH_SECONDS)
                return

    async def _learn_on(self, stop: asyncio.Event) -> None:
        await _away(self.restore)
        renewed = time.monotonic()
        while not stop.is_set():
            if not await _away(self.step):
                await asyncio.sleep(IDLE_SECONDS)
            if self._is_time():
                await _away(self.publish)
            if time.monotonic() - renewed >= PUBLISH_SECONDS:
                await _away(self._look_round)
                renewed = time.monotonic()
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
