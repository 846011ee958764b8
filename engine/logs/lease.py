"""The lease of the Redis log: which worker has which shard, so that two never start on one.

Must live here: taking, renewing and giving back. Must not: correctness of commits, which is the
owner token's; a lease only turns a mistake into a clear message at the start.

A lease outlives a crash by LEASE_SECONDS at most, and by nothing where the dead process can be
seen to be dead: it was on this machine.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.store import Stopped


def _processes() -> str:
    """Tell apart containers that share a name: their process numbers mean different processes."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()).removeprefix("pid:")
    except OSError:
        return ""


LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 2.5
LOOK_SECONDS: Final = 0.2
PROCESS: Final = secrets.token_hex(8)  # a restart within one process keeps its leases

MACHINE: Final = f"{socket.gethostname()}{_processes()}"

RENEW = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"

log = logging.getLogger(__name__)


class Lease:
    """The shards of one worker, held together: all or none."""

    def __init__(self, redis: "Redis", shards: Sequence[int], worker: int) -> None:
        self._redis = redis
        self._keys = [f"{{s{shard}}}:lease" for shard in shards]
        told = {"worker": worker, "host": MACHINE, "pid": os.getpid()}
        self._mine = json.dumps({**told, "process": PROCESS}).encode()

    async def take(self) -> None:
        """Hold every shard; `Stopped` naming the holder when one is held by a living worker."""
        try:
            for key in self._keys:
                await self._take(key)
        except Stopped:
            await self.release()
            raise

    async def _take(self, key: str) -> None:
        first_seen, expiry = b"", 0.0
        while held := await self._renew(key):
            asked = time.monotonic()  # an answer that took long must not look like a renewal
            left = await self._redis.pttl(key) / 1000
            if _is_dead(held):
                await self._redis.eval(RELEASE, 1, key, held)
                continue
            if held == first_seen and asked + left > expiry + 0.1:
                raise Stopped(_refusal(key, held))
            if held != first_seen:
                first_seen, expiry = held, time.monotonic() + left
            await asyncio.sleep(LOOK_SECONDS)

    async def _renew(self, key: str) -> bytes:
        """Take or renew; who holds it instead, or nothing."""
        held: bytes = await self._redis.eval(RENEW, 1, key, self._mine, int(LEASE_SECONDS * 1000))
        return b"" if held and _process(held) == PROCESS else held

    async def keep(self, failed: Callable[[BaseException], None]) -> None:
        """Renew until cancelled; a lease that another took over ends this process."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                for key in self._keys:
                    if held := await self._renew(key):
                        failed(Stopped(_refusal(key, held)))
                        return
            except (RedisError, OSError) as error:
                log.debug("leases are not renewed: %s", error)

    async def release(self) -> None:
        """Give back what is ours."""
        for key in self._keys:
            try:
                await self._redis.eval(RELEASE, 1, key, self._mine)
            except (RedisError, OSError):
                return  # it expires


def _read(held: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(held)
    return found


def _process(held: bytes) -> str:
    return str(_read(held)["process"])


def _is_dead(held: bytes) -> bool:
    """Whether the holder was a process of this machine that is there no more."""
    told = _read(held)
    if told["host"] != MACHINE:
        return False
    if told["pid"] == os.getpid():  # and yet not this process: a restarted container
        return True
    try:
        os.kill(told["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _refusal(key: str, held: bytes) -> str:
    told = _read(held)
    shard = key[2 : key.index("}")]
    return (
        f"shard {shard} is held by worker {told['worker']} (pid {told['pid']} on {told['host']}), "
        "which is alive. Stop that one first, or give this worker an index of its own "
        "(LAIKE_WORKER_INDEX of LAIKE_WORKER_COUNT)."
    )
