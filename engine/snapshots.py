"""Where what was learned is kept: parts and manifests by digest, the wanted one, history, pins.

Must live here: the Redis keys of models and what may be deleted. Must not: learning (learner.py),
what a manifest means to a worker (versions.py).

    laike:model:<digest>   a manifest, or a part of one: signed JSON
    laike:model:wanted     the digest of the manifest that every shard should decide under
    laike:models           the manifests kept, the newest first
    laike:model:pins       hash: model -> the digest of the scorer that stays in its place
    laike:model:told       hash: when the last was published (ms, wall), its figures: model/metric
    laike:learner:owner    whose turn it is to learn: a random token, gone when he was not heard of
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from engine.store import Fenced, ShardState
from engine.stores.redis import keys
from engine.versions import NO_MODEL, digest_of, opened
from features.models.snapshot import pack

WANTED: Final = "laike:model:wanted"
HISTORY: Final = "laike:models"
PINS: Final = "laike:model:pins"
TOLD: Final = "laike:model:told"
OWNER: Final = "laike:learner:owner"
KEPT: Final = 20  # manifests; older ones stay while a shard decides by them
LEARNERS_KEPT: Final = 2  # of them whose learners' states are kept too: one to fall back to
OWNER_MS: Final = 30_000
PARTS: Final = frozenset(("scorers", "learners", "cursors", "log_time", "figures"))

_state = msgspec.msgpack.Decoder(ShardState)


class Version(NamedTuple):
    """A manifest that is kept, by its digest."""

    digest: str
    manifest: dict[str, Any]


class Snapshots:
    """The manifests of one installation, for its one learner; others only read."""

    def __init__(self, redis: "Redis", shards: int, secret: bytes) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._shards = shards
        self._secret = secret
        self._token = b""
        self._stored: frozenset[str] = frozenset()  # parts of the last manifest: they stay

    async def claim(self) -> None:
        """Be the one who learns, whoever was before."""
        self._token, self._stored = secrets.token_hex(16).encode(), frozenset()
        await self._redis.set(OWNER, self._token, px=OWNER_MS)

    async def renew(self) -> None:
        """Still be the one; else Fenced."""
        if await self._redis.get(OWNER) != self._token:
            raise Fenced("another learner has begun")
        await self._redis.pexpire(OWNER, OWNER_MS)

    async def free(self) -> bool:
        """Whether nobody learns."""
        return not await self._redis.exists(OWNER)

    async def history(self) -> list[Version]:
        """The manifests that can be read, the wanted one first, then the newest."""
        wanted, digests = await self._redis.get(WANTED), await self._redis.lrange(HISTORY, 0, -1)
        names = list(dict.fromkeys(name.decode() for name in [wanted, *digests] if name))
        found = []
        for name in names:
            try:
                manifest = await self.open(name)
                if not manifest.keys() >= PARTS:
                    raise LookupError("it is signed, and no manifest")
                found.append(Version(name, manifest))
            except NO_MODEL as error:
                found.append(Version(name, {"refused": str(error)}))
        return found

    async def open(self, digest: str) -> dict[str, Any]:
        """What is kept under a digest; one of NO_MODEL if it is not, or is not ours."""
        body: bytes | None = await self._redis.get(f"laike:model:{digest}")
        return opened(body, self._secret, digest)

    async def pins(self) -> dict[str, str]:
        """Model -> the digest of the scorer that stays in its place."""
        found: dict[bytes, bytes] = await self._redis.hgetall(PINS)
        return {name.decode(): digest.decode() for name, digest in found.items()}

    def packed(self, part: dict[str, Any]) -> tuple[str, bytes]:
        """A part signed, under its name."""
        body = pack(part, self._secret)
        return digest_of(body), body

    async def put(self, manifest: dict[str, Any], parts: Mapping[str, bytes]) -> str:
        """Store it with the parts that are new, make it the wanted one, move the cursors: at once.

        Fenced if another has begun to learn. Done twice it is as if done once.
        """
        digest, body = self.packed(manifest)
        async with self._redis.pipeline(transaction=True) as pipe:
            await self._if_ours(pipe)
            for name, part in parts.items():
                if name not in self._stored:
                    pipe.set(f"laike:model:{name}", part)
            pipe.set(f"laike:model:{digest}", body)
            pipe.set(WANTED, digest)
            pipe.lrem(HISTORY, 0, digest)
            pipe.lpush(HISTORY, digest)
            _move(pipe, manifest["cursors"])
            await pipe.execute()
        self._stored = frozenset(parts)
        return digest

    async def passed(self, cursors: Mapping[str, str]) -> None:
        """Move the cursors alone, over what taught nothing: it may be trimmed, and be erased."""
        async with self._redis.pipeline(transaction=True) as pipe:
            await self._if_ours(pipe)
            _move(pipe, cursors)
            await pipe.execute()

    async def _if_ours(self, pipe: Any) -> None:
        """Have what follows in `pipe` done only while nobody else has begun to learn."""
        await pipe.watch(OWNER)
        if await pipe.get(OWNER) != self._token:
            raise Fenced("another learner has begun")
        pipe.multi()

    async def tell(self, figures: Mapping[str, Mapping[str, float]]) -> None:
        """For /metrics: when this was published, and what each model says of itself."""
        told: dict[str, float] = {"at": round(time.time() * 1000)}
        for model, found in figures.items():
            told |= {f"{model}/{metric}": value for metric, value in found.items()}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(TOLD)
            pipe.hset(TOLD, mapping=told)
            await pipe.execute()

    async def sweep(self) -> None:
        """Forget old manifests that no shard decides by, and the parts that nobody names now."""
        found = await self.history()
        versions = [one for one in found if "refused" not in one.manifest]
        states = await self._redis.mget([keys(shard)["shard"] for shard in range(self._shards)])
        in_force = {_state.decode(state).model for state in states if state}
        kept = [*versions[:KEPT], *(one for one in versions[KEPT:] if one.digest in in_force)]
        needed = {*(one.digest for one in kept), *(await self.pins()).values()}
        for at, (_, manifest) in enumerate(kept):
            needed |= set(manifest["scorers"].values())
            needed |= set(manifest["learners"].values()) if at < LEARNERS_KEPT else set()
        known = {
            digest
            for name, manifest in versions
            for digest in (name, *manifest["scorers"].values(), *manifest["learners"].values())
        }
        async with self._redis.pipeline(transaction=True) as pipe:
            for digest in sorted(known - needed):
                pipe.delete(f"laike:model:{digest}")
            for digest, _ in found:
                if digest not in needed:
                    pipe.lrem(HISTORY, 0, digest)
            await pipe.execute()


def _move(pipe: Any, cursors: Mapping[str, str]) -> None:
    for shard, after in cursors.items():
        pipe.set(f"{keys(int(shard))['cursor']}learner", after)
