"""The store on Redis: every key of a shard carries its hash tag, every commit is one script.

Must live here: the keys and the script. Must not: decisions. Scripts do not roll back, so the
script compares and measures before its first write.
"""

import re
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisSlow

from engine.store import Commit, Position, Prefetched, Stopped, StoreAway

VALUES_MAX = 50_000  # the script goes through them one by one: some 50 ms
# How Redis says "not now": bare, or in what Redis 6 tells of a script that met it.
AWAY = re.compile(
    r"(?:^|-)(?:OOM|LOADING|BUSY|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b"
)

_COMMIT = """
local owner, next = unpack(redis.call('MGET', KEYS[1], KEYS[2]))
if owner ~= ARGV[1] or (next or '0:0') ~= ARGV[2] then return 0 end
local blobs, dues = tonumber(ARGV[7]), tonumber(ARGV[8])
local at = 9
for i = 1, blobs do
  if ARGV[at] == '' then redis.call('DEL', KEYS[6 + i])
  else redis.call('SET', KEYS[6 + i], ARGV[at]) end
  at = at + 1
end
for i = 1, dues do
  local due, who = ARGV[at], ARGV[at + 1]
  if due == '0' then redis.call('ZREM', KEYS[4], who) else redis.call('ZADD', KEYS[4], due, who) end
  at = at + 2
end
for i = at, #ARGV, 2 do
  if ARGV[i] == '0' then redis.call('ZREM', KEYS[6], ARGV[i + 1])
  else redis.call('ZADD', KEYS[6], 0, ARGV[i + 1]) end
end
redis.call('MSET', KEYS[2], ARGV[3], KEYS[3], ARGV[4])
redis.call('XADD', KEYS[5], ARGV[5], 'b', ARGV[6])
return 1
"""


def keys(shard: int) -> dict[str, str]:
    """The names of a shard's keys, all in one slot of a cluster."""
    tag = f"{{s{shard}}}"
    return {
        name: f"{tag}:{name}"
        for name in (
            *("owner", "next", "shard", "timers", "index", "outbox"),
            *("log", "accepted", "clock"),
        )
    } | {"customer": f"{tag}:c:", "cursor": f"{tag}:cursor:"}


class RedisStore:
    """`Store` over one Redis or Redis Cluster client, which it does not close."""

    def __init__(self, redis: "Redis") -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._script = redis.register_script(_COMMIT)

    async def claim(self, shard: int, token: bytes) -> tuple[Position, bytes | None]:
        """See `Store.claim`."""
        k = keys(shard)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(k["owner"], token)
                pipe.mget(k["next"], k["shard"])
                _, (position, state) = await pipe.execute()
        except RedisError as error:
            raise StoreAway(str(error)) from error
        return Position.parse(position), state

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """See `Store.prefetch`."""
        k = keys(shard)
        prefix = k["customer"]
        try:
            owner, position, *blobs = await self._redis.mget(
                k["owner"], k["next"], *[prefix + cid for cid in customers]
            )
        except RedisError as error:
            raise StoreAway(str(error)) from error
        return Prefetched(owner or b"", Position.parse(position), blobs)

    async def due(self, shard: int, until: int, limit: int) -> list[str]:
        """See `Store.due`."""
        try:
            found = await self._redis.zrange(
                keys(shard)["timers"], "-inf", str(until), byscore=True, offset=0, num=limit
            )  # fmt: skip
        except RedisError as error:
            raise StoreAway(str(error)) from error
        return [name.decode() for name in found]

    async def listed(self, shard: int, prefix: str, after: str, limit: int) -> list[str]:
        """See `Store.listed`."""
        start = f"({after}" if after else f"[{prefix}"
        try:
            found = await self._redis.zrange(
                keys(shard)["index"], start, b"(" + prefix.encode() + b"\xff",
                bylex=True, offset=0, num=limit,
            )  # fmt: skip
        except RedisError as error:
            raise StoreAway(str(error)) from error
        return [name.decode() for name in found]

    async def commit(self, commit: Commit) -> bool:
        """See `Store.commit`; `StoreAway` leaves unknown whether it was applied."""
        values = len(commit.blobs) + 2 * len(commit.alarms) + 2 * len(commit.listed)
        if values > VALUES_MAX:
            raise Stopped(f"shard {commit.shard}: a commit of over {VALUES_MAX} values")
        k = keys(commit.shard)
        names = [k[name] for name in ("owner", "next", "shard", "timers", "outbox", "index")]
        names += [k["customer"] + cid for cid in commit.blobs]
        arguments: list[bytes | str | int] = [
            commit.token, commit.before.text(), commit.after.text(), commit.state,
            commit.outbox_id, commit.outbox, len(commit.blobs), len(commit.alarms),
            *commit.blobs.values(),
        ]  # fmt: skip
        for cid, due in commit.alarms.items():
            arguments += [due, cid]
        for name, wanted in commit.listed.items():
            arguments += [int(wanted), name]
        try:
            return bool(await self._script(keys=names, args=arguments))
        except (RedisGone, RedisSlow) as error:
            raise StoreAway(str(error)) from error
        except ResponseError as error:
            if AWAY.search(str(error)):  # of a script before its first write: nothing was written
                raise StoreAway(str(error)) from error
            raise

    async def body(self, kind: str, digest: str) -> bytes | None:
        """See `Store.body`."""
        try:
            found: bytes | None = await self._redis.get(f"laike:{kind}:{digest}")
        except RedisError as error:
            raise StoreAway(str(error)) from error
        return found
