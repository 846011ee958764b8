"""The worker on Kafka: shards are shared, a dead worker's go to the living, counts stay exact."""

import itertools
import json
from collections.abc import AsyncIterator

import pytest
import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

from engine.logs.kafka import Address, KafkaLog
from tests.fixtures_logs import RedisProcess
from tests.fixtures_workers import SHARDS, Start, end, items, once_each, seen
from tests.patience import until

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka_log_url: str) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(kafka_log_url, SHARDS)
    await log.ends()
    yield log
    await log.close()


def shards_of_workers(client: redis.Redis) -> list[list[int]]:
    beats = [client.get(key) for key in client.keys("laike:worker:*")]
    return sorted(json.loads(beat)["shards"] for beat in beats if beat)


async def committed(url: str) -> list[int | None]:
    """What Kafka itself was told."""
    bootstrap, topic = Address.parse(url)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=f"laike-{topic}", enable_auto_commit=False
    )
    await consumer.start()
    try:
        return [await consumer.committed(TopicPartition(topic, n)) for n in range(SHARDS)]
    finally:
        await consumer.stop()


async def test_two_share_and_when_one_is_killed_the_other_goes_on_exactly(
    start_worker: Start, log: KafkaLog, kafka_log_url: str, redis_empty: RedisProcess
) -> None:
    first = start_worker(LAIKE_LOG=kafka_log_url, COUNTING_SECONDS="0.05")
    with redis_empty.client() as client:
        await until(lambda: shards_of_workers(client) == [[0, 1, 2, 3]])
        await log.append(items(0, 4000))
        second = start_worker(LAIKE_LOG=kafka_log_url, COUNTING_SECONDS="0.05")
        await until(lambda: [len(shards) for shards in shards_of_workers(client)] == [2, 2])
        assert sorted(itertools.chain(*shards_of_workers(client))) == [0, 1, 2, 3]
        await log.append(items(4000, 12_000))
        await until(lambda: len(seen(client)) > 5000)
        second.kill()
        second.wait()
        await log.append(items(12_000, 16_000))
        await until(lambda: len(seen(client)) == 16_000)
        await until(lambda: shards_of_workers(client) == [[0, 1, 2, 3]])
        code, told = end(first)
        assert code == 0, told
        assert "Traceback" not in told
        assert seen(client) == once_each(16_000)


async def test_our_offsets_are_told_to_kafka_and_are_the_ones_that_count(
    start_worker: Start, log: KafkaLog, kafka_log_url: str, redis_empty: RedisProcess
) -> None:
    await log.append(items(0, 2000))
    worker = start_worker(LAIKE_LOG=kafka_log_url)
    with redis_empty.client() as client:
        await until(lambda: len(seen(client)) == 2000)
        assert end(worker)[0] == 0
        positions = [int(client.get(f"{{s{n}}}:count_next")) for n in range(SHARDS)]
        assert await committed(kafka_log_url) == positions

        # A Redis restored from an older back-up goes on from its own offset, not from Kafka's.
        client.set("{s1}:count_next", 100)
        client.delete("{s1}:seen")
        worker = start_worker(LAIKE_LOG=kafka_log_url)
        await until(lambda: len(seen(client)) == 2000 - 100)
        assert end(worker)[0] == 0
        again = sorted(int(name.split(b"/")[0]) for name in client.hkeys("{s1}:seen"))
        assert again == list(range(100, 500))
