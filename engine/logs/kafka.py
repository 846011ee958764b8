"""The log on Apache Kafka: one topic, one partition a shard, log time by the broker.

Must live here: producing to and reading a topic of ours, and its making. Must not: the consumer
group (faust_kafka.py), what a record says.

In wall time the topic is LogAppendTime: the broker gives the log time. In record time it is
CreateTime and the producer supplies min(the event's time, the world's now), never going back.
A failed send throws the producer away: an idempotent producer cannot go on after a lost batch.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from engine.log import LogAway
from engine.records import Append, Record

if TYPE_CHECKING:
    from redis.asyncio import Redis

TOPIC: Final = "events"
REQUEST_TIMEOUT_MS: Final = 10_000
READ_WAIT_MS: Final = 50
DELIVERY_SECONDS: Final = 8.0  # less than the API waits for any log, so that this is what it says
READ_SECONDS: Final = 15.0
CREATE_SECONDS: Final = 20.0
LET_GO_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
REPLICAS: Final = 3  # or as many as there are brokers


class WrongLog(Exception):  # noqa: N818 - an outcome, with its repair in the message
    """The topic is not the one that these settings were made for."""


class Address(NamedTuple):
    """Where a Kafka log is: `kafka://host:port,host:port/topic`.

    >>> Address.parse("kafka://a:9092,b:9092")
    Address(bootstrap='a:9092,b:9092', topic='events')
    """

    bootstrap: str
    topic: str = TOPIC

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Take the address apart; the topic is `events` unless the path names one."""
        bootstrap, _, topic = url.removeprefix("kafka://").partition("/")
        return cls(bootstrap, topic or TOPIC)


class KafkaLog:
    """engine.log.Log on a Kafka topic; it connects at its first use and makes a missing topic."""

    def __init__(self, url: str, shards: int, clock: "Redis | None" = None) -> None:
        self.shards = shards
        self._address = Address.parse(url)
        self._clock = clock
        self._times = [0] * shards
        self._producer: Any = None
        self._consumer: Any = None
        self._connecting = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._partitions = [TopicPartition(self._address.topic, n) for n in range(shards)]
        self._known = False
        self._leaving: set[asyncio.Task[None]] = set()

    async def append(self, items: Sequence[Append]) -> None:
        """Append all, in order within a shard; acknowledged by every in-sync replica on return.

        LogAway comes within DELIVERY_SECONDS and LET_GO_SECONDS: what was sent may be there or not.
        """
        times = await self._log_times(items)
        producer = None
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                producer = await self._producing()
                sent = [
                    await producer.send(
                        self._address.topic, value, key=key, partition=shard, timestamp_ms=at
                    )
                    for (shard, key, value, _), at in zip(items, times, strict=True)
                ]
                await asyncio.gather(*sent)
        except (KafkaError, OSError) as error:
            if producer is not None:
                await self._let_go(producer)
            raise LogAway(_away(error, f"acknowledge {len(items)} records")) from error

    async def _log_times(self, items: Sequence[Append]) -> list[int | None]:
        if self._clock is None:
            return [None] * len(items)
        now: dict[int, int] = {}
        for shard in {item.shard for item in items}:
            now[shard] = int(await self._clock.get(f"{{s{shard}}}:clock") or 0)
        times: list[int | None] = []
        for shard, _, _, hint in items:
            at = min(hint or now[shard], now[shard])
            self._times[shard] = max(self._times[shard], at)
            times.append(self._times[shard])
        return times

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        """At most `count` records from `start` on; the first may lie above it after retention."""
        partition = self._partitions[shard]
        async with self._reading:
            consumer = await self._consuming()
            try:
                end = (await consumer.end_offsets([partition]))[partition]
                upto = min(start + count, end)
                if start >= upto:
                    return []
                consumer.resume(partition)
                if await consumer.position(partition) != start:
                    consumer.seek(partition, start)
                async with asyncio.timeout(READ_SECONDS):  # fetching tries for ever
                    return await _fetched(consumer, partition, upto, count)
            except (KafkaError, OSError) as error:
                raise LogAway(_away(error, "give records")) from error

    async def ends(self) -> list[int]:
        """The next offset of every shard."""
        async with self._reading:
            consumer = await self._consuming()
            try:
                ends = await consumer.end_offsets(self._partitions)
            except (KafkaError, OSError) as error:
                raise LogAway(_away(error, "tell its ends")) from error
            return [ends[partition] for partition in self._partitions]

    async def trim(self, shard: int, before: int) -> None:
        """Nothing: the topic's retention does it."""

    async def identity(self) -> str:
        """What tells this log from every other one."""
        admin = await _started(AIOKafkaAdminClient(bootstrap_servers=self._address.bootstrap))
        try:
            cluster = (await admin.describe_cluster())["cluster_id"]
        except (KafkaError, OSError) as error:
            raise LogAway(f"the Kafka log is away: {error!r}") from error
        finally:
            await admin.close()
        return f"kafka:{cluster}:{self._address.topic}"

    async def close(self) -> None:
        """Give the connections back."""
        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        if producer is not None:
            await _ended(producer, CLOSE_SECONDS)
        if consumer is not None:
            await consumer.stop()
        await asyncio.gather(*self._leaving)

    async def _producing(self) -> Any:
        async with self._connecting:
            if self._producer is None:
                await self._know_topic()
                self._producer = await _started(
                    AIOKafkaProducer(
                        bootstrap_servers=self._address.bootstrap,
                        acks="all",
                        enable_idempotence=True,
                        request_timeout_ms=REQUEST_TIMEOUT_MS,
                        max_batch_size=256 * 1024,
                    )
                )
            return self._producer

    async def _consuming(self) -> Any:
        async with self._connecting:
            if self._consumer is None:
                await self._know_topic()
                consumer = AIOKafkaConsumer(
                    bootstrap_servers=self._address.bootstrap,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                    fetch_max_wait_ms=READ_WAIT_MS,
                )
                self._consumer = await _started(consumer)
                consumer.assign(self._partitions)
                consumer.pause(*self._partitions)
            return self._consumer

    async def _let_go(self, producer: Any) -> None:
        if self._producer is producer:
            self._producer = None
        leaving = asyncio.create_task(_ended(producer, LET_GO_SECONDS))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        await asyncio.shield(leaving)  # who waits here may be cancelled; then `close` waits for it

    async def _know_topic(self) -> None:
        if not self._known:
            await ensure_topic(self._address, self.shards, record=self._clock is not None)
            self._known = True


async def _fetched(consumer: Any, partition: TopicPartition, upto: int, count: int) -> list[Record]:
    found: list[Record] = []
    while not found or found[-1].offset + 1 < upto:
        fetched = await consumer.getmany(
            partition, timeout_ms=READ_WAIT_MS, max_records=count - len(found)
        )
        found += [record(one) for one in fetched.get(partition, ())]
    return found


def _away(error: Exception, what: str) -> str:
    """The words for a log that is away; a time-out of ours says what it waited for."""
    if type(error) is TimeoutError:
        return f"the Kafka log is away: the broker did not {what} in time"
    return f"the Kafka log is away: {error!r}"


def record(fetched: Any) -> Record:
    """What aiokafka fetched, as a record of ours."""
    return Record(fetched.offset, fetched.timestamp, fetched.key or b"", fetched.value or b"")


async def ensure_topic(address: Address, shards: int, *, record: bool = False) -> None:
    """Make the topic if it is missing; raise WrongLog if it has another number of partitions."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=address.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    await _started(admin)
    configs = {"message.timestamp.type": "LogAppendTime"}
    if record:  # events of long ago would fall to a retention that counts from their own time
        configs = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    try:
        brokers = (await admin.describe_cluster())["brokers"]
        replicas = min(REPLICAS, len(brokers))
        topic = NewTopic(address.topic, shards, replicas, topic_configs=configs)
        made = await admin.create_topics([topic])
        _, code, *reason = made.topic_errors[0]
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise for_code(code)(*reason)
        await asyncio.wait_for(_expect(admin, address.topic, shards), CREATE_SECONDS)
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogAway(f"topic {address.topic} cannot be made: {error!r}") from error
    finally:
        await admin.close()


async def _expect(admin: Any, topic: str, shards: int) -> None:
    """Return once the topic is there with all its leaders."""
    while True:
        (told,) = await admin.describe_topics([topic])
        leaders = [one["leader"] for one in told["partitions"]]
        if told["error_code"] == 0 and leaders and min(leaders) >= 0:
            if len(leaders) == shards:
                return
            raise WrongLog(
                f"topic {topic} has {len(leaders)} partitions and the settings say {shards} shards;"
                f" set LAIKE_SHARDS={len(leaders)}, or name another topic in LAIKE_LOG"
            )
        await asyncio.sleep(0.1)


async def _ended(producer: Any, seconds: float) -> None:
    """Stop it; when it cannot deliver what it holds in that time, it must not do so later.

    An idempotent producer never gives a batch up by itself: `stop` waits for a broker for ever.
    """
    with contextlib.suppress(KafkaError, OSError):
        try:
            await asyncio.wait_for(producer.stop(), seconds)
        except TimeoutError:
            await asyncio.wait_for(_cut(producer), seconds)


async def _cut(producer: Any) -> None:
    """End its sender and its connections; there is no public way to it."""
    sending = producer._sender.sender_task  # noqa: SLF001
    if sending is not None:
        sending.cancel()  # it sends nothing more, and waits for what is in flight:
    await producer.client.close()  # which ends with its connections
    if sending is not None:
        await asyncio.wait([sending])
    gone = KafkaError("it was given up")
    producer._message_accumulator.fail_all(gone)  # noqa: SLF001 - or `stop` waits for them for ever


async def _started(client: Any) -> Any:
    try:
        await client.start()
    except (KafkaError, OSError, asyncio.CancelledError) as error:
        stop = getattr(client, "stop", None) or client.close
        await stop()
        if isinstance(error, asyncio.CancelledError):  # whoever asked waits no longer
            raise
        raise LogAway(f"no Kafka answers: {error!r}") from error
    return client
