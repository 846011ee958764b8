"""What the engine decided, read from its outboxes, so that the world's people can react to it.

Must live here: the reading. Must not: how anybody reacts (world.py). A decision that was trimmed
before it was read is a message that nobody looked at.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis

from sinks.outbox import EntryId, Reader, last_of

PER_READ = 200


class _Body(msgspec.Struct):
    decisions: list[dict[str, Any]] = []


_decode = msgspec.json.Decoder(_Body).decode


class Outboxes:
    """The decisions of all shards from the moment `begin` was called."""

    def __init__(self, redis: Redis, shards: int) -> None:
        self._reader = Reader(redis, shards)
        self._at: dict[int, EntryId] = {}

    async def begin(self) -> None:
        """Leave what was decided before."""
        self._at = dict(enumerate(await self._reader.ends()))

    async def __call__(self) -> list[Mapping[str, Any]]:
        """The decisions since the last call that act on somebody."""
        found: list[Mapping[str, Any]] = []
        while entries := await self._reader.read(self._at, PER_READ):
            self._at.update(last_of(entries))
            for entry in entries:
                found += [d for d in _decode(entry.body).decisions if d.get("result") == "act"]
        return found
