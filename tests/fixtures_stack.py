"""A whole engine for tests: Redis, ClickHouse and the API; worker and relay as a test wants them."""

# ruff: noqa: PLC0415 - every test loads this file, and few of them the whole API

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from engine.metrics import PREFIX
from engine.settings import Settings
from engine.status import Status, read
from sinks.embedded.process import Embedded, start
from tests.fixtures_logs import RedisProcess, start_redis
from tests.fixtures_workers import ROOT, start_real_worker
from tests.patience import SECONDS, until

SHARDS = 4


@dataclass
class Stack:
    settings: Settings
    redis: RedisProcess
    clickhouse: Embedded
    http: httpx.AsyncClient

    async def ready(self) -> tuple[int, str, dict[str, str]]:
        answer = await self.http.get("/readyz")
        told = answer.json()
        bad = {name: said for name, said in told["checks"].items() if said != "ok"}
        return answer.status_code, told["status"], bad

    async def becomes(self, status: str, seconds: float = SECONDS) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while True:
            _, now, bad = await self.ready()
            if now == status:
                return bad
            assert time.monotonic() < deadline, (now, bad)
            await asyncio.sleep(0.1)

    async def numbers(self) -> dict[str, dict[str, float]]:
        """Sample name -> label's value (or "") -> number."""
        page = (await self.http.get("/metrics")).text
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                label = next(iter(sample.labels.values()), "")
                found.setdefault(sample.name.removeprefix(PREFIX), {})[label] = sample.value
        return found

    async def put_in_place(self) -> None:
        """The tables and the rules; in a thread, as it runs a loop of its own."""
        from api.cli_parts import put_in_place

        await asyncio.to_thread(put_in_place, self.settings)

    async def status(self) -> Status:
        async with Redis.from_url(self.settings.redis) as redis:
            return await read(redis, self.settings.shards)

    async def drained(self, seconds: float = SECONDS) -> Status:
        """Wait until all that came in is decided."""
        deadline = time.monotonic() + seconds
        while True:
            now = await self.status()
            if not now.lag and not now.lost:
                return now
            assert time.monotonic() < deadline, now
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[None]:
        from api.cli_parts import relay_of

        stop = asyncio.Event()
        task = asyncio.ensure_future(relay_of(self.settings, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def worker(self) -> AsyncIterator["subprocess.Popen[bytes]"]:
        with start_real_worker(self.settings) as process:
            try:
                yield process
            finally:
                process.terminate()
                _, told = await asyncio.to_thread(process.communicate, timeout=SECONDS)
                sys.stderr.write(told)  # pytest shows it when the test fails


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[RedisProcess, Embedded, Path]]:
    """A Redis and a ClickHouse of one's own: these tests stop them, or fill them."""
    memory = _given(request).get("maxmemory", "512mb")
    with tempfile.TemporaryDirectory(prefix="laike-") as name:
        folder = Path(name)
        redis = start_redis(folder / "redis", maxmemory=memory)
        clickhouse = start(folder / "clickhouse")
        yield redis, clickhouse, folder
        redis.stop()
        clickhouse.stop()


@pytest.fixture
async def stack(
    request: pytest.FixtureRequest, stores: tuple[RedisProcess, Embedded, Path]
) -> AsyncIterator[Stack]:
    """The API alone, in this process; `@stack_with(maxmemory="24mb", log="kafka")` changes it."""
    from api.checks import checks_of
    from api.preflight import any_port
    from api.server import serve

    redis, clickhouse, folder = stores
    (folder / "secret").write_text("0123456789abcdef")
    given = {"shards": SHARDS, "rules": ROOT / "rules", "log": redis.url} | _given(request)
    given.pop("maxmemory", None)
    if given["log"] == "kafka":
        given["log"] = request.getfixturevalue("kafka_log_url")
    settings = Settings(
        data=folder, secret=b"0123456789abcdef", redis=redis.url,
        clickhouse=clickhouse.url, port=any_port(), **given,
    )  # fmt: skip
    serving = asyncio.ensure_future(serve(settings, make_checks=checks_of))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=60) as http:
        await until(lambda: _listens(http))
        lines = (folder / "write-keys.txt").read_text().splitlines()
        http.auth = httpx.BasicAuth(dict(line.split() for line in lines)["server"], "")
        yield Stack(settings, redis, clickhouse, http)
    signal.raise_signal(signal.SIGTERM)
    await serving


async def _listens(http: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        await http.get("/healthz")
        return True
    return False


def stack_with(**given: Any) -> pytest.MarkDecorator:
    """Settings of a test's stack, and its Redis' `maxmemory`."""
    return pytest.mark.stack(**given)


def _given(request: pytest.FixtureRequest) -> dict[str, Any]:
    mark = request.node.get_closest_marker("stack")
    return dict(mark.kwargs) if mark else {}
