"""Real servers for tests: Redis as production starts it, and a Kafka broker where there is Java."""

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis as blocking
from redis.asyncio import Redis

from engine.logs import broker, redis_server
from engine.logs.redis import RedisLog


@dataclass
class RedisProcess:
    process: "subprocess.Popen[bytes]"
    data: Path
    url: str
    socket: Path

    def client(self) -> blocking.Redis:
        return blocking.Redis.from_url(self.url)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        redis_server.stop(self.process)

    def restart(self) -> None:
        """The same data again, after `kill` or `stop`."""
        self.process = start_redis(self.data).process


def start_redis(data: Path, maxmemory: str = "512mb") -> RedisProcess:
    process = redis_server.start(data, maxmemory=maxmemory)
    url = redis_server.url(data)
    redis_server.wait_ready(process, url, data / "redis.log")
    return RedisProcess(process, data, url, redis_server.socket_of(data))


@pytest.fixture(name="redis_server", scope="session")
def redis_server_of_the_session() -> Iterator[RedisProcess]:
    data = Path(tempfile.mkdtemp(prefix="laike-redis-"))
    server = start_redis(data)
    yield server
    server.stop()
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def redis_empty(redis_server: RedisProcess) -> RedisProcess:
    """The session's Redis with nothing in it."""
    redis_server.flush()
    return redis_server


@pytest.fixture
async def redis(redis_empty: RedisProcess) -> AsyncIterator[Redis]:
    """A client of that Redis."""
    async with Redis.from_url(redis_empty.url) as client:
        yield client


@pytest.fixture
async def log(redis_empty: RedisProcess, request: pytest.FixtureRequest) -> AsyncIterator[RedisLog]:
    """The log in it, of as many shards as the test's module says."""
    log = RedisLog(redis_empty.url, request.module.SHARDS)
    yield log
    await log.close()


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[broker.Broker]:
    if why := broker.missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="laike-kafka-"))
    try:
        node = broker.Broker(folder)
        node.wait_ready()
    except broker.BrokerFailed as failed:
        pytest.skip(str(failed))
    yield node
    node.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_log_url(kafka_broker: broker.Broker) -> str:
    """The address of a log with nothing in it: a topic of this test's own, not yet made."""
    return f"kafka://{kafka_broker.bootstrap}/t{uuid.uuid4().hex[:12]}"
