"""The store in memory: for rule tests, backtests and the fault simulator.

Must live here: the same comparisons as the Redis script, in the same order. Must not: shortcuts.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.store import Commit, Position, Prefetched


@dataclass
class _Shard:
    owner: bytes = b""
    position: Position = field(default_factory=lambda: Position(0))
    state: bytes | None = None
    customers: dict[str, bytes] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)
    index: list[str] = field(default_factory=list)  # in order
    outbox: list[tuple[str, bytes]] = field(default_factory=list)


class MemoryStore:
    """`Store` in plain dictionaries; `bodies` holds what a publisher would have stored."""

    def __init__(self) -> None:
        self.shards: dict[int, _Shard] = {}
        self.bodies: dict[tuple[str, str], bytes] = {}

    def shard(self, number: int) -> _Shard:
        """All that is held of one shard."""
        return self.shards.setdefault(number, _Shard())

    async def claim(self, shard: int, token: bytes) -> tuple[Position, bytes | None]:
        """See `Store.claim`."""
        held = self.shard(shard)
        held.owner = token
        return held.position, held.state

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """See `Store.prefetch`."""
        held = self.shard(shard)
        blobs = [held.customers.get(cid) for cid in customers]
        return Prefetched(held.owner, held.position, blobs)

    async def due(self, shard: int, until: int, limit: int) -> list[str]:
        """See `Store.due`."""
        alarms = self.shard(shard).alarms
        ripe = sorted((due, cid) for cid, due in alarms.items() if due <= until)
        return [cid for _, cid in ripe[:limit]]

    async def listed(self, shard: int, prefix: str, after: str, limit: int) -> list[str]:
        """See `Store.listed`."""
        index = self.shard(shard).index
        start = bisect_right(index, after) if after else bisect_left(index, prefix)
        return [name for name in index[start : start + limit] if name.startswith(prefix)]

    async def commit(self, commit: Commit) -> bool:
        """See `Store.commit`."""
        held = self.shard(commit.shard)
        if held.owner != commit.token or held.position != commit.before:
            return False
        for cid, blob in commit.blobs.items():
            if blob:
                held.customers[cid] = blob
            else:
                held.customers.pop(cid, None)
        for cid, due in commit.alarms.items():
            if due:
                held.alarms[cid] = due
            else:
                held.alarms.pop(cid, None)
        for name, wanted in commit.listed.items():
            at = bisect_left(held.index, name)
            if wanted != (held.index[at : at + 1] == [name]):
                held.index[at : at + (not wanted)] = [name] * wanted
        held.position, held.state = commit.after, commit.state
        held.outbox.append((commit.outbox_id, commit.outbox))
        return True

    async def body(self, kind: str, digest: str) -> bytes | None:
        """See `Store.body`."""
        return self.bodies.get((kind, digest))
