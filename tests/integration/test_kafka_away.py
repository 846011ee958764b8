"""A Kafka broker that falls under its clients: they end in time, and nothing arrives late."""

import asyncio
import logging
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from engine.log import LogAway
from engine.logs import broker
from engine.logs.faust_kafka import Consumer, ConsumerThread
from engine.logs.kafka import KafkaLog
from engine.records import Append
from tests.patience import SECONDS


@pytest.fixture
def folder():
    if why := broker.missing():
        pytest.skip(why)
    path = Path(tempfile.mkdtemp(prefix="laike-kafka-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.kafka
async def test_a_log_whose_broker_is_gone_says_so_in_time_and_delivers_nothing_later(
    folder, monkeypatch
):
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    node = broker.Broker(folder)
    node.wait_ready()
    url, port = f"kafka://{node.bootstrap}/t", int(node.bootstrap.rpartition(":")[2])
    log, cut, fresh = KafkaLog(url, 1), KafkaLog(url, 1), KafkaLog(url, 1)
    await log.append([Append(0, b"u:1", b"before")])
    await cut.append([Append(0, b"u:1", b"too")])
    monkeypatch.setattr("engine.logs.kafka.DELIVERY_SECONDS", 1.0)
    for name in ("LET_GO_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(f"engine.logs.kafka.{name}", 0.3)
    node.process.send_signal(signal.SIGSTOP)  # it takes connections, and answers nobody
    for one in (log, fresh):
        async with asyncio.timeout(SECONDS):
            with pytest.raises(LogAway, match="did not acknowledge 1 records in time"):
                await one.append([Append(0, b"u:1", b"given up")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):  # whoever asks may have less patience
            await cut.append([Append(0, b"u:1", b"given up")])
    node.process.kill()
    node.process.wait()
    async with asyncio.timeout(SECONDS):
        with pytest.raises(LogAway, match="no Kafka answers"):
            await log.append([Append(0, b"u:1", b"given up")])
    await asyncio.wait_for(cut.close(), SECONDS)
    node = broker.Broker(folder, port)
    try:
        node.wait_ready()
        monkeypatch.undo()
        await log.append([Append(0, b"u:1", b"after")])  # it finds the broker again
        found = [record.value for record in await log.read(0, 0, 9)]
        assert found == [b"before", b"too", b"after"]
        await asyncio.gather(log.close(), fresh.close())
    finally:
        node.stop()


async def test_offsets_for_a_thread_that_has_ended_are_no_crash():
    class Ended:
        async def commit(self, _):
            raise RuntimeError("Event loop is closed")

    consumer = object.__new__(Consumer)
    consumer._thread = Ended()
    assert await consumer._commit({}) is False


def test_a_thread_that_a_crash_has_ended_is_told_to_end_for_nothing():
    thread = object.__new__(ConsumerThread)
    thread.thread_loop = asyncio.new_event_loop()
    thread._stopped = asyncio.Event()
    thread._stopped_set()
    thread.thread_loop.close()
    thread._stopped_set()


async def test_a_producer_given_up_is_ended_by_the_close_when_its_waiter_was_cancelled():
    class Slow:
        ended = False

        async def stop(self):
            await asyncio.sleep(0.1)
            self.ended = True

    log, producer = KafkaLog("kafka://nobody:1", 1), Slow()
    letting_go = asyncio.create_task(log._let_go(producer))
    await asyncio.sleep(0)
    letting_go.cancel()
    await asyncio.wait([letting_go])
    assert letting_go.cancelled()
    assert not producer.ended
    await log.close()
    assert producer.ended
