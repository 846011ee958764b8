"""A shard's store as its one owner sees it: who is away is waited for, every doubt ends by reading.

Must live here: the owner's token, where the shard stands, and comparing both at every read and
write. Must not: what is written (pipeline.py), the store's client. Raises `Fenced`, after which the
process must end; `StoreAway` goes no further than here.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from engine.store import Commit, Fenced, Position, Store, StoreAway

PAUSE_SECONDS: Final = 0.05
PAUSE_SECONDS_MAX: Final = 2.0

log = logging.getLogger(__name__)
T = TypeVar("T")


class Tenure:
    """One owner's time with a shard; `position` is where its last commit left it."""

    def __init__(self, store: Store, shard: int) -> None:
        self.shard = shard
        self.position = Position(0)
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._store = store
        self._token = b""

    async def claim(self) -> bytes | None:
        """Become the owner, under a new token; the bytes of the shard's state."""
        self._token = secrets.token_hex(16).encode()
        self.position, state = await self._patiently(
            lambda: self._store.claim(self.shard, self._token)
        )
        return state

    async def prefetch(self, names: Sequence[str]) -> list[bytes | None]:
        """The customers' blobs, if nobody else has written meanwhile."""
        found = await self._patiently(lambda: self._store.prefetch(self.shard, names))
        self._compare(found.owner)
        if found.position != self.position:
            raise Fenced(
                f"shard {self.shard} stands at {found.position}, not at {self.position} where "
                "this worker left it"
            )
        return found.blobs

    async def due(self, until: int, limit: int) -> list[str]:
        """See `Store.due`."""
        return await self._patiently(lambda: self._store.due(self.shard, until, limit))

    async def listed(self, prefix: str, after: str, limit: int) -> list[str]:
        """See `Store.listed`."""
        return await self._patiently(lambda: self._store.listed(self.shard, prefix, after, limit))

    async def body(self, kind: str, name: str) -> bytes | None:
        """See `Store.body`."""
        return await self._patiently(lambda: self._store.body(kind, name))

    async def commit(
        self,
        after: Position,
        state: bytes,
        blobs: dict[str, bytes],
        alarms: dict[str, int],
        outbox: bytes,
        listed: Mapping[str, bool],
    ) -> None:
        """Commit; when the answer is lost, read where the shard stands before doing it again."""
        commit = Commit(
            self.shard, self._token, self.position, after, state, blobs, alarms,
            f"{after.offset}-{after.step}", outbox, listed,
        )  # fmt: skip
        pause = PAUSE_SECONDS
        while True:
            try:
                if await self._store.commit(commit):
                    break
            except StoreAway as away:
                log.warning("shard %d: the store is away (%s)", self.shard, away)
                await self.sleep(pause)  # a full store refuses commits, yet can be read
                pause = min(PAUSE_SECONDS_MAX, pause * 2)
            found = await self._patiently(lambda: self._store.prefetch(self.shard, []))
            self._compare(found.owner)
            if found.position == after:
                break
            if found.position != commit.before:
                raise Fenced(f"shard {self.shard} was moved to {found.position} by another")
        self.position = after

    def _compare(self, owner: bytes) -> None:
        if owner != self._token:
            raise Fenced(f"shard {self.shard} has another owner now")

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until the world answers."""
        pause = PAUSE_SECONDS
        while True:
            try:
                return await ask()
            except StoreAway as away:
                log.warning("shard %d: the store is away (%s)", self.shard, away)
                await self.sleep(pause)
                pause = min(PAUSE_SECONDS_MAX, pause * 2)
