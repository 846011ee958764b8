"""A Kafka broker that falls under its clients: they end in time, and nothing arrives late."""

import asyncio
import logging
import shutil
import tempfile
from pathlib import Path

import pytest

from engine.logs import broker
from engine.logs.faust_kafka import Consumer
from engine.logs.kafka import KafkaLog
from engine.records import Append


@pytest.fixture
def folder():
    if why := broker.missing():
        pytest.skip(why)
    path = Path(tempfile.mkdtemp(prefix="laike-kafka-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.kafka
async def test_a_log_whose_broker_is_gone_closes_in_time_and_delivers_nothing_later(folder):
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    node = broker.Broker(folder)
    node.wait_ready()
    url, port = f"kafka://{node.bootstrap}/t", int(node.bootstrap.rpartition(":")[2])
    log = KafkaLog(url, 1)
    await log.append([Append(0, b"u:1", b"before")])
    node.process.kill()
    node.process.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await log.append([Append(0, b"u:1", b"given up")])
    await asyncio.wait_for(log.close(), 15)
    node = broker.Broker(folder, port)
    try:
        node.wait_ready()
        other = KafkaLog(url, 1)
        await other.append([Append(0, b"u:1", b"after")])
        await asyncio.sleep(1)
        assert [record.value for record in await other.read(0, 0, 9)] == [b"before", b"after"]
        await other.close()
    finally:
        node.stop()


async def test_offsets_for_a_thread_that_has_ended_are_no_crash():
    class Ended:
        async def commit(self, _):
            raise RuntimeError("Event loop is closed")

    consumer = object.__new__(Consumer)
    consumer._thread = Ended()
    assert await consumer._commit({}) is False
