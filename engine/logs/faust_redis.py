"""A Faust transport over the Redis log: the shards of this worker, split statically.

Must live here: fetching batches from the streams. Must not: the lease that makes the split safe
(lease.py), the streams' form (redis.py).
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types.tuples import TP
from redis.exceptions import RedisError

from engine.logs.batches import (
    BATCH_RECORDS,
    Batch,
    BatchConsumer,
    NoProducer,
    partitions,
)
from engine.logs.redis import client, records, stream

PAUSE_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class Consumer(BatchConsumer, FaustConsumer):  # type: ignore[misc]
    """Reads the streams of this worker's shards; nothing rebalances."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._redis = client(self.app.log_url)
        self._positions: dict[TP, int] = {}
        self._away = False

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take our shards, once; `topics` is the one we named."""
        del topics
        if not self._mine:
            self.add_future(self._take(partitions(self.app.topic_name, self.app.shards_mine)))

    async def _take(self, mine: frozenset[TP]) -> None:
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(set())
        await self.on_partitions_assigned(set(mine), self.app.consumer_generation_id)

    async def fetch(self, partitions: set[TP], timeout: float) -> Mapping[TP, Batch]:
        """One blocking read of all streams that may be read now."""
        shards = {stream(tp.partition).encode(): tp for tp in partitions}
        starts = [f"{self._positions.get(tp, 0)}-0" for tp in shards.values()]
        block = max(1, round(timeout * 1000))
        try:
            found: Any = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                "XREAD", "COUNT", BATCH_RECORDS, "BLOCK", block, "STREAMS", *shards, *starts
            )
        except (RedisError, OSError) as error:
            if not self._away:
                log.warning("the Redis log is away, its readers wait: %s", error)
            self._away = True
            await asyncio.sleep(PAUSE_SECONDS)
            return {}
        self._away = False
        batches: dict[TP, Batch] = {}
        for name, entries in found or ():
            tp = shards[name]
            batches[tp] = records(entries)
            self._positions[tp] = batches[tp][-1].offset + 1
        return batches

    def assignment(self) -> set[TP]:
        """The shards of this worker, once taken."""
        return set(self._mine)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Fetch from these offsets on."""
        self._positions.update(partitions)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset

    async def position(self, tp: TP) -> int | None:
        """The next offset to fetch."""
        return self._positions.get(tp)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return bool(offsets)  # nobody asks: the store has them

    async def on_stop(self) -> None:
        """End with the connection."""
        await super().on_stop()
        await self._redis.aclose()

    def highwater(self, _tp: TP) -> int:
        """Unknown, and only ever shown."""
        return 0

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int]:
        """For Faust's tables, of which we have none."""
        return dict.fromkeys(tps, 0)

    async def highwaters(self, *tps: TP) -> Mapping[TP, int]:
        """For Faust's tables, of which we have none."""
        return dict.fromkeys(tps, 0)

    def topic_partitions(self, _topic: str) -> int:
        """How many shards there are."""
        return int(self.app.shards)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def create_topic(self, *_arguments: Any, **_options: Any) -> None:
        """A stream comes with its first record."""

    def key_partition(self, *_arguments: Any, **_options: Any) -> int | None:
        """Faust sends nothing."""
        return None


class Transport(base.Transport):
    """What Faust asks for a consumer and a producer."""

    Consumer = Consumer
    Producer = NoProducer
    default_port = 6379
    driver_version = "redis-streams"


def shards_of(index: int, count: int, shards: int) -> Sequence[int]:
    """The shards of worker `index` of `count`.

    >>> list(shards_of(1, 3, 8))
    [1, 4, 7]
    """
    return range(index, shards, count)
