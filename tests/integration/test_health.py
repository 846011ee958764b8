"""/readyz, /healthz and /metrics tell the truth, on a real Redis, ClickHouse, worker and relay."""

import asyncio
import time
from pathlib import Path

import pytest

from api.checks import Offsets
from engine.metrics import BY_NAME
from engine.records import Append
from engine.settings import Settings
from tests.fakes import MemoryLog
from tests.fixtures_stack import Stack
from tests.patience import SECONDS

TOLD = ("decide", "event_to_commit", "commit_to_row")  # by parts, each once a second
EVENT = {"userId": "u1", "event": "Product Viewed", "properties": {"product_id": "p1"}}


async def test_ready_is_what_it_says_from_the_first_start_to_stores_that_go(stack: Stack) -> None:
    status, _, bad = await stack.ready()
    assert status == 503
    assert "laike migrate" in bad["rules"]
    assert "0001" in bad["migrations"]
    assert set(bad) == {"rules", "migrations", "workers"}
    await stack.put_in_place()
    assert set(await stack.becomes("degraded")) == {"workers"}
    assert (await stack.numbers())["workers"] == {"": 0}

    async with stack.relay(), stack.worker():
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


async def _check_numbers(stack: Stack) -> None:
    """All that is on the page is in the list, and adds up to what was sent."""
    deadline = time.monotonic() + SECONDS
    while True:
        numbers = await stack.numbers()
        told = all(numbers.get(f"{name}_seconds_count", {}).get("") for name in TOLD)
        if told and numbers["events_received_total"] == {"": 51} == {
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
    for name in TOLD:
        buckets = numbers[f"{name}_seconds_bucket"]
        assert buckets["+Inf"] == numbers[f"{name}_seconds_count"][""] > 0
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
