"""How large the outboxes are, and the bound at which commits pause and the door says: later.

Must live here: measuring and the two thresholds. Must not: pausing, refusing, trimming.
All who act on it measure all shards alike, so they agree. Between two looks, a second apart, the
outboxes grow on by what is committed meanwhile; the bound is no exact one, and loses nothing.
"""

from typing import Any, Final

from redis.asyncio import Redis

from engine.stores.redis import keys

RESUME_AT: Final = 0.9  # of the bound: commits go on below it, or they would flutter
LET_GO_AT: Final = 0.5  # of the bound: from here on, entries that were carried away are not kept


async def outbox_bytes(redis: "Redis", shards: int) -> list[int]:
    """The memory of each shard's outbox; Redis estimates it from a few of the entries."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(shards):
            pipe.memory_usage(keys(shard)["outbox"])
        found: list[Any] = await pipe.execute()
    return [int(size or 0) for size in found]


def paused(size: int, bound: int, *, before: bool) -> bool:
    """Whether commits pause at `size` of `bound` bytes (0: no bound), given that they did `before`.

    >>> paused(99, 100, before=False), paused(100, 100, before=False), paused(95, 100, before=True)
    (False, True, True)
    """
    return bool(bound) and size >= bound * (RESUME_AT if before else 1)
