"""/readyz, /healthz and /metrics tell the truth, on a real Redis, ClickHouse, worker and relay."""

import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.checks import Offsets, checks_of
from api.cli_parts import put_in_place, relay_of
from api.server import serve
from engine.metrics import BY_NAME, PREFIX
from engine.records import Append
from engine.settings import Settings
from sinks.embedded.process import Embedded, start
from tests.fakes import MemoryLog
from tests.fixtures_logs import RedisProcess, start_redis
from tests.fixtures_workers import start_real_worker
from tests.unit.test_house import ROOT
from tests.unit.test_ingest_process import free_port

SHARDS = 4
EVENT = {"userId": "u1", "event": "Product Viewed", "properties": {"product_id": "p1"}}


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

    async def becomes(self, status: str, seconds: float = 20) -> dict[str, str]:
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

    @asynccontextmanager
    async def worker(self) -> AsyncIterator["subprocess.Popen[bytes]"]:
        with start_real_worker(self.settings) as process:
            try:
                yield process
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, 20)


@pytest.fixture
def stores() -> Iterator[tuple[RedisProcess, Embedded, Path]]:
    """A Redis and a ClickHouse of one's own: these tests stop them."""
    with tempfile.TemporaryDirectory(prefix="laike-") as name:
        folder = Path(name)
        redis, clickhouse = start_redis(folder / "redis"), start(folder / "clickhouse")
        yield redis, clickhouse, folder
        redis.stop()
        clickhouse.stop()


@pytest.fixture
async def stack(stores: tuple[RedisProcess, Embedded, Path]) -> AsyncIterator[Stack]:
    redis, clickhouse, folder = stores
    (folder / "secret").write_text("0123456789abcdef")
    settings = Settings(
        data=folder, secret=b"0123456789abcdef", log=redis.url, redis=redis.url,
        clickhouse=clickhouse.url, shards=SHARDS, port=free_port(), rules=ROOT / "rules",
    )  # fmt: skip

    serving = asyncio.ensure_future(serve(settings, make_checks=checks_of))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=15) as http:
        for _ in range(200):
            try:
                await http.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.02)
        lines = (folder / "write-keys.txt").read_text().splitlines()
        http.auth = httpx.BasicAuth(dict(line.split() for line in lines)["server"], "")
        yield Stack(settings, redis, clickhouse, http)
    signal.raise_signal(signal.SIGTERM)
    await serving


async def test_ready_is_what_it_says_from_the_first_start_to_stores_that_go(stack: Stack) -> None:
    status, _, bad = await stack.ready()
    assert status == 503
    assert "laike migrate" in bad["rules"]
    assert "0001" in bad["migrations"]
    assert set(bad) == {"rules", "migrations", "workers"}
    # in a thread: it runs a loop of its own
    await asyncio.to_thread(put_in_place, stack.settings)
    assert set(await stack.becomes("degraded")) == {"workers"}
    assert (await stack.numbers())["workers"] == {"": 0}

    relaying = asyncio.ensure_future(relay_of(stack.settings, stop := asyncio.Event()))
    async with stack.worker():
        await stack.becomes("ready")
        batch = [{"type": "track", **EVENT, "userId": f"u{n}"} for n in range(50)]
        bad_one = {"type": "track", "userId": "u1"}
        answer = await stack.http.post("/v1/batch", json={"batch": [*batch, bad_one]})
        assert answer.status_code == 200
        await _check_numbers(stack)
        health = (await stack.http.get("/healthz")).json()
        assert health["status"] == "ok"
        assert health["workers"]["0"]["shards"] == [0, 1, 2, 3]

        stack.clickhouse.stop()
        assert set(await stack.becomes("degraded")) == {"clickhouse"}
        assert (await stack.http.post("/v1/track", json=EVENT)).status_code == 200
        assert (await stack.numbers())["degraded"] == {"": 1}

        stack.redis.kill()
        status, told, bad = await stack.ready()
        assert (status, told) == (503, "not ready")
        assert {"log", "redis", "rules"} <= set(bad)
        assert (await stack.http.get("/healthz")).json()["status"] == "ok"  # a restart cannot help
        numbers = await stack.numbers()
        assert numbers["ready"] == {"": 0}
        assert "lag_events" not in numbers
        stack.redis.restart()
        assert set(await stack.becomes("degraded")) == {"clickhouse"}
    stop.set()
    await relaying


async def _check_numbers(stack: Stack) -> None:
    """All that is on the page is in the list, and adds up to what was sent."""
    deadline = time.monotonic() + 20
    while True:
        numbers = await stack.numbers()
        rows = numbers.get("commit_to_row_seconds_count", {}).get("", 0)
        if rows and numbers["events_received_total"] == {"": 51} == {
            "": numbers["events_processed_total"][""] + numbers["events_quarantined_total"][""]
        }:
            break
        assert time.monotonic() < deadline, numbers
        await asyncio.sleep(0.2)
    bare = {
        name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in numbers
    }
    strange = {name for name in bare if name not in BY_NAME and not name.endswith("_created")}
    assert not strange
    assert numbers["events_quarantined_total"] == {"": 1}
    assert numbers["door_events_total"] == {"accepted": 50, "rejected": 1}
    assert set(numbers["outbox_bytes"]) == {"0", "1", "2", "3"}
    assert sum(numbers["outbox_bytes"].values()) > 100
    assert numbers["workers"] == {"": 1}
    assert numbers["ready"] == {"": 1}
    assert 0 < numbers["redis_memory_ratio"][""] < 0.5
    assert numbers["rebalances_total"][""] >= 1
    assert len(numbers["rules_shards"]) == 1
    for name in ("decide_seconds", "event_to_commit_seconds"):
        buckets = numbers[f"{name}_bucket"]
        assert buckets["+Inf"] == numbers[f"{name}_count"][""] > 0
        assert list(buckets.values()) == sorted(buckets.values())
    page = (await stack.http.get("/metrics")).text
    assert "u:u1" not in page
    assert "u49" not in page


class Positions:
    """The one question Offsets asks of Redis beside the outboxes' size."""

    def __init__(self) -> None:
        self.at = [b"0:0"] * 2

    async def mget(self, _keys: list[str]) -> list[bytes]:
        return self.at


async def test_offsets_that_stand_still_before_waiting_records_are_told(tmp_path: Path) -> None:
    now = 0.0
    redis, log = Positions(), MemoryLog(2)
    settings = Settings(data=tmp_path, secret=b"x" * 16, shards=2, clock="record")
    offsets = Offsets(settings, log, redis, lambda: now)  # type: ignore[arg-type]
    await offsets.check()
    now = 1000.0
    await log.append([Append(1, b"u:1", b"{}")] * 3)
    await offsets.check()  # it has only just come
    now += 50
    redis.at = [b"0:0", b"1:0"]
    await offsets.check()  # it moved
    now += 50
    await offsets.check()
    now += 20
    with pytest.raises(Exception, match="shard 1 stands still at offset 1 for 70 s with 2 records"):
        await offsets.check()
    redis.at = [b"0:0", b"3:0"]
    await offsets.check()
