"""The learner: examples out of the outboxes, to the models, out as one signed manifest.

Must live here: the cursor of each shard, which is inside the manifest, so that no example counts
twice and none is left out. Must not: models (features/models), where manifests are kept
(snapshots.py), scoring (the worker does).
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.drifting import records_of
from engine.log import LogAway
from engine.records import Append
from engine.snapshots import Snapshots
from engine.store import Fenced
from engine.stores.redis import keys
from engine.versions import NO_MODEL
from features.models.drift import Watch
from features.models.learners import LEARNERS
from features.models.model import Judged, Learner

ENTRIES_A_READ: Final = 200
PUBLISH_EXAMPLES: Final = 200
PUBLISH_SECONDS: Final = 5.0
FEW_SECONDS: Final = 60.0  # by then fewer examples are published too: a small shop has few
IDLE_SECONDS: Final = 0.2

Publish = Callable[[list[dict[str, Any]]], Awaitable[None]]
Tell = Callable[[Sequence[Append]], Awaitable[None]]
Learned = Mapping[str, tuple[Learner, Watch]]
log = logging.getLogger(__name__)


class _Entry(msgspec.Struct):
    log_time: int
    examples: list[dict[str, Any]] = []


_entry = msgspec.json.Decoder(_Entry)


async def untold(_records: Sequence[Append]) -> None:
    """Where there is no log, alarms are figures alone."""


class LearnerTask:
    """Reads every shard's outbox from its own cursors, learns, publishes now and then.

    `publish` takes the figures of each version, `tell` the events of alarms, into the log.
    """

    def __init__(
        self,
        redis: "Redis",
        shards: int,
        secret: bytes,
        publish: Publish,
        learners: Mapping[str, type[Learner]] = LEARNERS,
        tell: Tell = untold,
    ) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._shards = shards
        self._publish, self._tell = publish, tell
        self._kinds = learners
        self.snapshots = Snapshots(redis, shards, secret)
        self._begin({}, {})

    def _begin(self, known: Learned, manifest: Mapping[str, Any]) -> None:
        """Stand where a manifest stands; a model that it does not know begins anew."""
        both = {name: known.get(name) or (kind(), Watch()) for name, kind in self._kinds.items()}
        self.models = {name: model for name, (model, _) in both.items()}
        self.watches = {
            name: watch for name, (model, watch) in both.items() if isinstance(model, Judged)
        }
        self.alarms: list[dict[str, Any]] = list(manifest.get("alarms", ()))  # to be told
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

    async def _restored(self, learners: Mapping[str, str]) -> Learned:
        found: dict[str, tuple[Learner, Watch]] = {}
        for name, digest in learners.items():
            if name not in self._kinds:
                continue
            try:
                part = await self.snapshots.open(digest)
                if part["model"] != name:
                    raise ValueError(f"it is of {part['model']!r}")
                model, watch = self._kinds[name].restore(part["state"]), part.get("watch")
                found[name] = model, Watch.restore(watch) if watch else Watch()
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
            else:
                self._watch(name, self.models[name])
            self._heard.add(name)
            self._fresh += 1

    def _watch(self, name: str, model: Learner) -> None:
        """Note how far off it was; an alarm when that has grown."""
        loss = getattr(model, "last_loss", math.nan)
        if name not in self.watches or not math.isfinite(loss):
            return
        if grown := self.watches[name].add(loss):
            before, after = grown
            self.alarms.append({
                "model": name, "metric": "loss", "before": before, "after": after,
                "examples": model.examples, "at": self._log_time,
            })  # fmt: skip
            log.warning("%s errs more: its loss went from %.4g to %.4g", name, before, after)

    async def publish(self) -> None:
        """Sign and store what was learned, make it the wanted version, tell its figures."""
        pins = await self.snapshots.pins()
        heard = set(self._heard)
        manifest, parts = await asyncio.to_thread(self._made, pins)
        digest = await self.snapshots.put(manifest, parts)
        figures = manifest["figures"]
        self._heard, self._fresh, self._pins = set(), 0, pins
        self._published_at = time.monotonic()
        await self._sound()
        await self.snapshots.sweep()
        await self._publish([
            {"model": model, "at": self._log_time, "version": digest, "metric": metric,
             "value": value, "examples": figures[model]["examples"]}
            for model in sorted(heard) for metric, value in figures[model].items()
            if metric != "examples"
        ])  # fmt: skip
        await self.snapshots.tell(figures)

    async def _sound(self) -> None:
        """Have the alarms of a durable manifest in the log; until then they stay in the next."""
        try:
            if self.alarms:
                await self._tell(records_of(self.alarms, self._shards))
            self.alarms = []
        except LogAway as away:
            log.warning("a drift is not told yet: %s", away)

    def _made(self, pins: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The manifest and its parts; those of a model that heard nothing are as they were."""
        for name in sorted(self._heard):
            try:
                self._parts[name] = self._packed(name)
            except NO_MODEL as error:  # it cannot be kept; the others can
                log.error("%s stays as it was published: %s", name, error)  # noqa: TRY400
        manifest: dict[str, Any] = {
            "scorers": {}, "learners": {}, "pins": dict(pins),
            "cursors": self.cursors, "log_time": self._log_time, "alarms": list(self.alarms),
            "figures": {
                name: {
                    **model.metrics(),
                    **(self.watches[name].metrics() if name in self.watches else {}),
                    "examples": model.examples,
                }
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
        learner = {"model": name, "state": model.state()}
        if name in self.watches:
            learner["watch"] = self.watches[name].state()
        digest, body = pack(learner)
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
        """Whether another learns, whether somebody pinned a scorer; pass what taught nothing."""
        await self.snapshots.renew()
        if await self.snapshots.pins() != self._pins:
            await self.publish()
        elif not self._fresh:
            await self.snapshots.passed(self.cursors)

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
        while not await _away(self.snapshots.free, stop):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PUBLISH_SECONDS)
                return

    async def _learn_on(self, stop: asyncio.Event) -> None:
        await _away(self.restore, stop)
        renewed = time.monotonic()
        while not stop.is_set():
            if not await _away(self.step, stop):
                await asyncio.sleep(IDLE_SECONDS)
            if self._is_time():
                await _away(self.publish, stop)
            if time.monotonic() - renewed >= PUBLISH_SECONDS:
                await _away(self._look_round, stop)
                renewed = time.monotonic()
        if self._fresh:
            await _away(self.publish, stop)


async def _away(work: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> Any:
    """Do it, again and again while Redis is away, until `stop`; twice is the same as once."""
    pause = 0.1
    while True:
        try:
            return await work()
        except (RedisError, OSError) as error:
            log.warning("learner: %s; again in %.1f s", error, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
                return None
            pause = min(5.0, pause * 2)
