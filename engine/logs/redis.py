"""The log on Redis Streams: one stream a shard, its ids `<offset+1>-0`, given by one append script.

Must live here: the stream's form, its clock, its bound. Must not: who reads it, what a record says.

    {sN}:log        the stream; fields k (key), v (value), t (log time, ms)
    {sN}:clock      the world's now in ms, in a record-time folder; absent in wall time
    {sN}:accepted   how many events came in, counted apart from what became of them
    laike:log       the log's own identity

An append whose answer never came may have happened: the caller appends again and the records'
own ids absorb the repeat. The last record of a stream is never trimmed: it holds the shard's end
and its log time.
"""

import math
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from engine.log import LogAway, LogFull
from engine.records import REJECTED, Append, Record

IDENTITY: Final = "laike:log"
GROUP_ITEMS: Final = 500  # a script holds Redis up while it runs: about 2 ms for this many
FULL_AT: Final = 0.75  # of maxmemory: events are refused and may come later
SHUT_AT: Final = 0.85  # and here the door is shut until an operator or the relay makes room
MEMORY_CHECK_SECONDS: Final = 1.0  # and ten times as often once a bound is near
NEAR: Final = 0.5

APPEND = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id, time = 0, 0
if last then
  id = tonumber(string.match(last[1], '^%d+'))
  time = tonumber(last[2][6])
end
local clock = tonumber(redis.call('GET', KEYS[2]) or '')
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local events = 0
for i = 1, #ARGV, 3 do
  if string.sub(ARGV[i], 1, 1) ~= '!' or ARGV[i] == '!rejected' then events = events + 1 end
  local at = now
  if clock then
    at = tonumber(ARGV[i + 2])
    if at <= 0 or at > clock then at = clock end
  end
  if at > time then time = at end
  id = id + 1
  redis.call('XADD', KEYS[1], string.format('%.0f-0', id),
    'k', ARGV[i], 'v', ARGV[i + 1], 't', string.format('%.0f', time))
end
if events > 0 then redis.call('INCRBY', KEYS[3], events) end
return id
"""


def stream(shard: int) -> str:
    """The key of a shard's log."""
    return f"{{s{shard}}}:log"


def _keys(shard: int) -> tuple[str, str, str]:
    return stream(shard), f"{{s{shard}}}:clock", f"{{s{shard}}}:accepted"


def client(url: str, *, timeout: float = 5.0) -> "aioredis.Redis":
    """A client of the log: nothing decoded, nothing tried again behind our back."""
    made = aioredis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    for command in ("XRANGE", "XREVRANGE", "XREAD"):
        made.set_response_callback(command, _raw)
    return made


def _raw(response: Any, **_options: Any) -> Any:
    return response


def records(entries: Iterable[Any]) -> list[Record]:
    """Stream entries as Redis answers them, `[id, [b"k", k, b"v", v, b"t", t]]`, as records."""
    return [Record(int(i[:-2]) - 1, int(f[5]), f[1], f[3]) for i, f in entries]


class RedisLog:
    """engine.log.Log on a Redis; all shards of a one-machine Laike."""

    def __init__(self, url: str, shards: int) -> None:
        self.shards = shards
        self._redis = client(url)
        self._fullness = 0.0  # at the last look, and what was appended since
        self._bound = math.inf  # maxmemory, bytes
        self._checked = float("-inf")

    async def append(self, items: Sequence[Append]) -> None:
        """Append all, in order within a shard; durable on return (AOF, fsync always)."""
        groups: dict[int, list[Append]] = {}
        for item in items:
            if not 0 <= item.shard < self.shards:
                raise ValueError(f"shard {item.shard}: this log has shards 0 to {self.shards - 1}")
            groups.setdefault(item.shard, []).append(item)
        try:
            if any(_may_wait(item.key) for item in items):
                await self._refuse_when_full()
            calls = self._redis.pipeline(transaction=False)
            for shard, group in groups.items():
                for start in range(0, len(group), GROUP_ITEMS):
                    part = group[start : start + GROUP_ITEMS]
                    arguments = [field for item in part for field in item[1:]]
                    calls.eval(APPEND, 3, *_keys(shard), *arguments)
            await calls.execute()
        except (RedisError, OSError) as error:
            raise _told(error) from error
        self._fullness += sum(len(item.value) for item in items) / self._bound

    async def fullness(self) -> float:
        """Used memory of its bound, 0 to 1; at most one look a second, ten when it is near.

        Between two looks what is appended here counts: a flood fills a small Redis within one.
        """
        wait = MEMORY_CHECK_SECONDS if self._fullness < NEAR else MEMORY_CHECK_SECONDS / 10
        if time.monotonic() - self._checked >= wait:
            memory = await self._redis.info("memory")
            self._bound = memory["maxmemory"] or math.inf
            self._fullness = memory["used_memory"] / self._bound
            self._checked = time.monotonic()
        return self._fullness

    async def _refuse_when_full(self) -> None:
        fullness = await self.fullness()
        if fullness >= SHUT_AT:
            raise LogAway(f"the log is shut: Redis is at {fullness:.0%} of its maxmemory")
        if fullness >= FULL_AT:
            raise LogFull(f"Redis is at {fullness:.0%} of its maxmemory; events wait outside")

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        """At most `count` records from `start` on; the first may lie above it after a trim."""
        try:
            found: Any = await self._redis.xrange(stream(shard), f"{start + 1}-0", "+", count)
            return records(found)
        except (RedisError, OSError) as error:
            raise _told(error) from error

    async def ends(self) -> list[int]:
        """The next offset of every shard."""
        try:
            calls = self._redis.pipeline(transaction=False)
            for shard in range(self.shards):
                calls.xrevrange(stream(shard), "+", "-", count=1)
            return [int(last[0][0][:-2]) if last else 0 for last in await calls.execute()]
        except (RedisError, OSError) as error:
            raise _told(error) from error

    async def trim(self, shard: int, before: int) -> None:
        """Let go of the records below `before`, the last one always excepted."""
        try:
            last: Any = await self._redis.xrevrange(stream(shard), "+", "-", count=1)
            if last:
                keep = min(before + 1, int(last[0][0][:-2]))
                await self._redis.xtrim(stream(shard), minid=f"{keep}-0", approximate=False)
        except (RedisError, OSError) as error:
            raise _told(error) from error

    async def identity(self) -> str:
        """What tells this log from every other one, made with it."""
        try:
            await self._redis.set(IDENTITY, f"redis:{secrets.token_hex(8)}", nx=True)
            found: Any = await self._redis.get(IDENTITY)
            return str(found.decode())
        except (RedisError, OSError) as error:
            raise _told(error) from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()


def _may_wait(key: bytes) -> bool:
    """Events may wait outside a full log; ticks and letters may not, they are what drains it."""
    return key[:1] != b"!" or key == REJECTED


def _told(error: Exception) -> Exception:
    """Full and away are states of the world; an error of the script is ours and stays itself."""
    if isinstance(error, OutOfMemoryError) or "OOM command" in str(error):
        return LogFull(f"Redis has no memory left: {error}", retry_after=30)
    if isinstance(error, ResponseError) and not _passing(str(error)):
        return error
    return LogAway(f"the Redis log is away: {error}")


def _passing(message: str) -> bool:
    return any(word in message for word in ("LOADING", "BUSY", "MISCONF", "READONLY", "MASTERDOWN"))
