"""Where customers' wrapped keys are kept, apart from the log, the state and their AOF.

Must live here: the protocol and its two stores: a SQLite file for one machine, a Redis of its own
for many. Must not: what is wrapped, whose it is; names are hashes. Both forget for good: SQLite
overwrites what it deletes and cuts its journal, Redis rewrites its file.

    KeysAway   the store cannot be reached now
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

PAGE: Final = 500
KEYS: Final = "laike:keys"
_REPLACE: Final = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class KeysAway(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The store of customers' keys cannot be reached now."""


class KeyStore(Protocol):
    """Name -> wrapped key. What `add` has returned from survives a crash."""

    async def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """Those that are there."""

    async def add(self, keys: Mapping[str, bytes]) -> None:
        """Put in those whose names are not taken yet."""

    async def replace(self, name: str, before: bytes, after: bytes) -> bool:
        """Wrap anew; False, and nothing done, when it is not `before` any more."""

    async def remove(self, names: Sequence[str]) -> int:
        """Forget, so that no byte is left on the disk; how many there were."""

    def pages(self) -> AsyncIterator[dict[str, bytes]]:
        """All of them, in parts."""

    async def close(self) -> None:
        """Give back what is held."""


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process a time: SQLite does not wait for its turn to change to a WAL, it fails."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


class SqliteKeys:
    """One file, shared by the processes of a machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _alone_in(self._path.parent):
                self._opened = self._open()
        return self._opened

    def _open(self) -> sqlite3.Connection:
        self._path.touch(0o600)
        opened = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            opened.execute(f"PRAGMA {pragma}")
        opened.execute("CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, key BLOB)")
        return opened

    async def _do(self, work: Any, *given: Any) -> Any:
        """Run in a thread, one at a time, as one transaction; it may give back no cursor.

        One that is let go of out here would reset a statement that another thread is in.
        """

        def run() -> Any:
            try:
                with self._lock, self._connection() as connection:
                    return work(connection, *given)
            except sqlite3.Error as away:
                raise KeysAway(f"{self._path}: {away}") from away

        return await asyncio.to_thread(run)

    async def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `KeyStore.get`."""
        found: dict[str, bytes] = {}
        for start in range(0, len(names), PAGE):
            part = names[start : start + PAGE]
            marks = ",".join("?" * len(part))
            told = f"SELECT name, key FROM keys WHERE name IN ({marks})"  # noqa: S608 - marks alone
            found |= await self._do(lambda c, sql, given: dict(c.execute(sql, given)), told, part)
        return found

    async def add(self, keys: Mapping[str, bytes]) -> None:
        """See `KeyStore.add`."""
        told = "INSERT OR IGNORE INTO keys VALUES (?, ?)"
        await self._do(lambda c: c.executemany(told, list(keys.items())).rowcount)

    async def replace(self, name: str, before: bytes, after: bytes) -> bool:
        """See `KeyStore.replace`."""
        told = "UPDATE keys SET key = ? WHERE name = ? AND key = ?"
        return bool(await self._do(lambda c: c.execute(told, (after, name, before)).rowcount))

    async def remove(self, names: Sequence[str]) -> int:
        """See `KeyStore.remove`; the journal is cut back too."""
        told = "DELETE FROM keys WHERE name = ?"
        gone: int = await self._do(lambda c: c.executemany(told, [(n,) for n in names]).rowcount)
        for _ in range(100):
            busy, *_ = await self._do(
                lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            )
            if not busy:
                return gone
            await asyncio.sleep(0.05)
        raise KeysAway(f"{self._path}: its journal could not be cut: a reader stays in it")

    async def pages(self) -> AsyncIterator[dict[str, bytes]]:
        """See `KeyStore.pages`."""
        last = ""
        told = "SELECT name, key FROM keys WHERE name > ? ORDER BY name LIMIT ?"
        while True:
            after = last
            page = await self._do(lambda c, at: dict(c.execute(told, (at, PAGE))), after)
            if not page:
                return
            yield page
            last = max(page)

    async def close(self) -> None:
        """See `KeyStore.close`."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class RedisKeys:
    """A hash in a Redis that is not the log's: its own file, its own back-up."""

    def __init__(self, url: str) -> None:
        self._redis: Any = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        try:
            yield self._redis
        except (RedisError, OSError) as away:
            raise KeysAway(f"the Redis of the keys: {away}") from away

    async def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """See `KeyStore.get`."""
        if not names:
            return {}
        async with self._asking() as redis:
            found = await redis.hmget(KEYS, list(names))
        return {name: key for name, key in zip(names, found, strict=True) if key is not None}

    async def add(self, keys: Mapping[str, bytes]) -> None:
        """See `KeyStore.add`."""
        async with self._asking() as redis:
            pipe = redis.pipeline(transaction=True)
            for name, key in keys.items():
                pipe.hsetnx(KEYS, name, key)
            await pipe.execute()

    async def replace(self, name: str, before: bytes, after: bytes) -> bool:
        """See `KeyStore.replace`."""
        async with self._asking() as redis:
            return bool(await redis.eval(_REPLACE, 1, KEYS, name, before, after))

    async def remove(self, names: Sequence[str]) -> int:
        """See `KeyStore.remove`; its file is rewritten, where it keeps one."""
        async with self._asking() as redis:
            gone: int = await redis.hdel(KEYS, *names) if names else 0
        await rewrite(self._redis)
        return gone

    async def pages(self) -> AsyncIterator[dict[str, bytes]]:
        """See `KeyStore.pages`."""
        cursor = 0
        while True:
            async with self._asking() as redis:
                cursor, page = await redis.hscan(KEYS, cursor, count=PAGE)
            yield {name.decode(): key for name, key in page.items()}
            if not cursor:
                return

    async def close(self) -> None:
        """See `KeyStore.close`."""
        await self._redis.aclose()


async def rewrite(redis: Any, seconds: float = 600.0) -> bool:
    """Have Redis write its file anew, without what is gone; False when it keeps no such file.

    As commands: in a dump, a stream's block keeps the bytes of entries deleted from it. A rewrite
    under way began before us, perhaps, so another one follows it.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        with contextlib.suppress(ResponseError):  # where nobody may: its operator has to
            await redis.config_set("aof-use-rdb-preamble", "no")
        while asyncio.get_running_loop().time() < deadline:
            told = await redis.info("persistence")
            if not told.get("aof_enabled"):
                return False
            if not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"]):
                with contextlib.suppress(ResponseError):
                    await redis.bgrewriteaof()
                    break
            await asyncio.sleep(0.05)
        while asyncio.get_running_loop().time() < deadline:
            told = await redis.info("persistence")
            if not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"]):
                if told["aof_last_bgrewrite_status"] != "ok":
                    raise KeysAway("Redis could not rewrite its file; see its log")
                return True
            await asyncio.sleep(0.05)
    except (RedisError, OSError) as away:
        raise KeysAway(f"Redis: {away}") from away
    raise KeysAway(f"Redis has not rewritten its file in {seconds:.0f} s")
