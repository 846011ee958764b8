"""A Faust transport over the Kafka log: aiokafka's consumer group, whole batches, our offsets.

Must live here: what of Faust's aiokafka driver must be other for us. Must not: what both transports
share (batches.py), producing (kafka.py).
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from engine.logs.batches import Batch, BatchConsumer, NoProducer
from engine.logs.kafka import record

FETCH_WAIT_MS: Final = 50  # the driver's 1500 would hold a busy shard up behind the quiet ones

log = logging.getLogger(__name__)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The driver's thread; a commit that fails is no reason to crash, ours is in the store."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust has it fixed
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        told = {
            at: OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if (at := driver.ensure_aiokafka_TP(tp)) in assigned
        }
        if not told:
            return False
        try:
            await consumer.commit(told)
        except KafkaError as error:
            log.info("Kafka did not take our offsets, which are in the store anyway: %r", error)
            return False
        return True

    def _stopped_set(self) -> None:
        """Tell the thread to end; one that a crash has ended has closed its loop."""
        with contextlib.suppress(RuntimeError):
            super()._stopped_set()


class Consumer(BatchConsumer, driver.Consumer):  # type: ignore[misc]
    """One fetched list of a partition is one message."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def fetch(self, partitions: set[TP], timeout: float) -> Mapping[TP, Batch]:
        """What the driver's thread has fetched, as records of ours."""
        fetched = await self._thread.getmany(partitions, timeout)
        return {TP(*tp): [record(one) for one in found] for tp, found in fetched.items()}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Fetch from these offsets on."""
        at = {driver.ensure_aiokafka_TP(tp): offset for tp, offset in partitions.items()}
        await self._thread.seek_wait(at)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._thread.seek(driver.ensure_aiokafka_TP(partition), offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            return bool(await self._thread.commit(offsets))
        except RuntimeError as ended:  # a crash closed the thread's loop before we were told to end
            log.info("Kafka is not told our offsets, which are in the store anyway: %s", ended)
            return False


class Transport(driver.Transport):
    """What Faust asks for a consumer and a producer."""

    Consumer = Consumer
    Producer = NoProducer
