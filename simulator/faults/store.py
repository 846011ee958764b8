"""The memory store behind a network that fails: what was asked may have happened, or not.

Must live here: what a Redis can do to a worker. Must not: the comparisons of a commit (the memory
store has the real ones). One `FaultyStore` is what one lane sees; `Memory` is what all share, with
the sinks' cursors, since a Redis that loses its last second loses both.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from engine.store import Commit, Position, Prefetched, StoreAway
from engine.stores.memory import MemoryStore
from simulator.faults.history import Claimed, Committed, History, Rewound
from simulator.faults.world import World, boundary
from sinks.outbox import START, Entry, EntryId

READ_MS, COMMIT_MS = 0.5, 1.2
T = TypeVar("T")


def at_once(asked: Awaitable[T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        asked.__await__().__next__()
    except StopIteration as done:
        found: T = done.value
        return found
    raise RuntimeError("this was to wait for nothing")


class Memory:
    """One Redis: the shards, their outboxes, the sinks' cursors, and a snapshot of it all."""

    def __init__(self, world: World, history: History, shards: int, sinks: Sequence[str]) -> None:
        self.world = world
        self.history = history
        self.store = MemoryStore()
        self.shards = shards
        self.cursors = [dict.fromkeys(sinks, START) for _ in range(shards)]
        self.full_until = 0.0
        self.early: dict[str, list[Entry]] = {}  # asked for, by sink: for the hasty relay
        self.snapshot()

    def snapshot(self) -> None:
        """What the disk holds: all that a power cut leaves."""
        self._kept = [self._copy(shard) for shard in range(self.shards)]
        self._kept_cursors = [dict(cursors) for cursors in self.cursors]

    def _copy(self, shard: int) -> Any:
        held = copy.copy(self.store.shard(shard))
        held.customers, held.alarms = dict(held.customers), dict(held.alarms)
        held.outbox, held.index = list(held.outbox), list(held.index)
        return held

    def lose_last_second(self, shards: Sequence[int]) -> None:
        """These shards stand where the snapshot has them; the log has kept everything."""
        for shard in shards:
            self.store.shards[shard] = self._kept[shard]
            self._kept[shard] = self._copy(shard)
            self.cursors[shard] = dict(self._kept_cursors[shard])
            held = self.store.shard(shard)
            position = (held.position.offset, held.position.step)
            self.history.facts.append(Rewound(shard, held.owner, position))

    def commit(self, commit: Commit) -> bool:
        """Apply a commit as the store does, and note it."""
        if not at_once(self.store.commit(commit)):
            return False
        before, after = ((at.offset, at.step) for at in (commit.before, commit.after))
        self.history.facts.append(
            Committed(commit.shard, commit.token, before, after, commit.outbox)
        )
        for sink in ("clickhouse", "push", "letters"):
            self.world.wake(sink)
        return True

    def entries(self, shard: int, after: EntryId, count: int) -> list[Entry]:
        """At most `count` entries of a shard's outbox after that one."""
        found: list[Entry] = []
        for name, body in reversed(self.store.shard(shard).outbox):
            number = EntryId.parse(name.encode())
            if number <= after:
                break
            found.append(Entry(shard, number, body))
        return found[::-1][:count]

    def end(self, shard: int) -> EntryId:
        """The last entry of a shard's outbox."""
        outbox = self.store.shard(shard).outbox
        return EntryId.parse(outbox[-1][0].encode()) if outbox else START

    def trim(self) -> None:
        """Let go of what every sink has passed, but for the last entry."""
        for shard, cursors in enumerate(self.cursors):
            passed, outbox = min(cursors.values()), self.store.shard(shard).outbox
            while len(outbox) > 1 and EntryId.parse(outbox[0][0].encode()) < passed:
                del outbox[0]


class FaultyStore:
    """`Store` as one lane sees it."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.token = b""

    async def claim(self, shard: int, token: bytes) -> tuple[Position, bytes | None]:
        """See `Store.claim`."""

        def claim() -> tuple[Position, bytes | None]:
            found = at_once(self.memory.store.claim(shard, token))
            self.token = token
            self.memory.history.facts.append(Claimed(shard, token))
            return found

        return await self._ask("claim", READ_MS, claim, writes=True)

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """See `Store.prefetch`."""
        read = self.memory.store.prefetch
        return await self._ask("prefetch", READ_MS, lambda: at_once(read(shard, customers)))

    async def due(self, shard: int, until: int, limit: int) -> list[str]:
        """See `Store.due`."""
        read = self.memory.store.due
        return await self._ask("due", READ_MS, lambda: at_once(read(shard, until, limit)))

    async def listed(self, shard: int, prefix: str, after: str, limit: int) -> list[str]:
        """See `Store.listed`."""
        read = self.memory.store.listed
        return await self._ask(
            "listed", READ_MS, lambda: at_once(read(shard, prefix, after, limit))
        )

    async def commit(self, commit: Commit) -> bool:
        """See `Store.commit`."""
        return await self.write(commit, self.memory.commit)

    async def write(self, commit: Commit, apply: Callable[[Commit], bool]) -> bool:
        """Ask for a commit, over the same network as everything."""
        name = EntryId.parse(commit.outbox_id.encode())
        for waiting in self.memory.early.values():
            waiting.append(Entry(commit.shard, name, commit.outbox))
        return await self._ask("commit", COMMIT_MS, lambda: apply(commit), writes=True)

    async def body(self, kind: str, digest: str) -> bytes | None:
        """See `Store.body`."""
        read = self.memory.store.body
        return await self._ask("body", READ_MS, lambda: at_once(read(kind, digest)))

    async def _ask(self, what: str, ms: float, do: Callable[[], T], *, writes: bool = False) -> T:
        world = self.memory.world
        await boundary(f"before {what}", ms / 2)
        if world.fault("store_away"):
            raise StoreAway("it did not get there")
        if writes and self.memory.full_until > world.now:
            raise StoreAway("OOM command not allowed when used memory > 'maxmemory'")
        found = do()
        await boundary(f"after {what}", ms / 2)
        if world.fault("answer_lost"):
            raise StoreAway("the answer was lost")
        return found
