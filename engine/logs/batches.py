"""What both Faust transports share: an agent gets whole batches and starts where our store says.

Must live here: the parts of Faust's consumer that count single events and commit by acks, replaced.
Must not: a broker's client. Faust's own bookkeeping assumes one event a message: acked offsets of
batches never become contiguous, and its buffer's pressure puts the fetcher to sleep for a second.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from faust.serializers.schemas import Schema
from faust.transport.producer import Producer
from faust.types.tuples import TP, ConsumerMessage

from engine.lanes import Lanes
from engine.measures import MEASURES
from engine.records import Record

BATCH_RECORDS: Final = 8_000
BUSY_POLL_SECONDS: Final = 0.01  # while a lane is full: its turn comes soon

Batch = list[Record]


class Owner(Protocol):
    """What these transports need of the app."""

    lanes: Lanes
    log_url: str
    topic_name: str
    shards: int
    shards_mine: Sequence[int]  # on a log without a group; else empty
    consumer_generation_id: int
    should_stop: bool

    def on_rebalance_start(self) -> None:
        """Faust's own: an assignment is about to change."""


class BatchConsumer:
    """Laid over a Faust consumer: one message is one fetched batch of one shard.

    `_mine` is what the last assignment gave us. A seek asked for in between, when the flow stands
    still, must not open a shard that another worker is about to own.
    """

    app: Owner
    _mine: frozenset[TP] = frozenset()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        wanted = active_partitions or set()
        ready = {tp for tp in wanted if self.app.lanes.has_room(tp.partition)}
        if not ready:
            await self.app.lanes.wait_for_room(timeout)
            return {}
        wait = timeout if len(ready) == len(wanted) else BUSY_POLL_SECONDS
        fetched = await self.fetch(ready, wait)
        return {tp: [batch] for tp, batch in fetched.items() if batch}

    async def fetch(self, partitions: set[TP], timeout: float) -> Mapping[TP, Batch]:
        """At most BATCH_RECORDS of each partition, waiting `timeout` seconds for the first."""
        raise NotImplementedError

    def _to_message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        last, value = batch[-1], cast("Any", batch)
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.log_time / 1000, 0, [], None, value,
            None, 0, 0, TP(*tp), generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Faust goes on to seek, by which our shards are opened."""
        self._mine = frozenset(assigned)
        MEASURES.count("rebalances_total")
        await super().on_partitions_assigned(assigned, generation_id)  # type: ignore[misc]

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust stops the flow and calls `wait_empty`; then the shards are let go."""
        self._mine = frozenset()
        await super().on_partitions_revoked(revoked)  # type: ignore[misc]
        await self.app.lanes.close()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """To our own next offsets: the broker's commit trails and is for its own graphs only."""
        if self.app.should_stop:
            return {}
        opened = {
            tp: await self.app.lanes.open(tp.partition)
            for tp in sorted(self._mine)
            if tp in self._mine  # still
        }
        offsets = {tp: at for tp, at in opened.items() if at is not None and tp in self._mine}
        await self.seek_wait(offsets)
        return offsets

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Fetch from these offsets on."""
        raise NotImplementedError

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Tell the broker our next offsets; Faust calls it at its interval and at the end."""
        del topics, start_new_transaction
        offsets = self.app.lanes.positions()
        name = self.app.topic_name
        return await self._commit({TP(name, shard): at for shard, at in offsets.items()})

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise NotImplementedError

    async def wait_empty(self) -> None:
        """Before shards are let go: the batches in flight end, our offsets are told."""
        await self.app.lanes.rest()
        await self.commit()

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: `_getmany` fetches for a lane with room only."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing: see `on_buffer_full`."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: our own liveness compares offsets."""


class BatchSchema(Schema[Any, Any]):
    """Hands the batch through as it is; Faust must not decode, it would ack what it cannot."""

    def compile(self, app: Any, **_options: Any) -> Any:
        """Return the function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return app.create_event(message.key, message.value, message.headers, message)

        return decode


class NoProducer(Producer):
    """Faust sends nothing here: what a worker appends goes by its Log."""

    async def flush(self) -> None:
        """Nothing waits."""


def batch_topic(app: Any, name: str) -> Any:
    """The channel whose events are batches; without acks, since our store keeps the offsets."""
    return app.topic(name, schema=BatchSchema(), acks=False)


def partitions(topic: str, shards: Iterable[int]) -> frozenset[TP]:
    """Shards as Faust names them."""
    return frozenset(TP(topic, shard) for shard in shards)
