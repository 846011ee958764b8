"""Too much: the door closes before a commit can fail, and what was accepted is processed after."""

import asyncio
import functools
import os
import re
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import pytest
import redis

from engine.lanes import DEPTH, Lanes
from engine.logs.redis import FULL_AT, SHUT_AT, RedisLog
from engine.logs.redis_server import die_with_parent
from engine.records import Append, Record
from tests.fixtures_stack import SHARDS, Stack, stack_with
from tests.fixtures_workers import start_real_worker
from tests.patience import SECONDS, until
from tests.unit.test_house import ROOT

EVENT = {"userId": "u1", "event": "Product Viewed"}
PER_CALL = 200
PEOPLE = 40
PADDING = "x" * 300


def rss_bytes() -> int:
    pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Flood:
    """Many senders at once, each going on until the door says 429 or 503."""

    http: httpx.AsyncClient
    event: str = "Product Viewed"
    accepted: int = 0
    number: int = 0
    refusals: list[httpx.Response] = field(default_factory=list)

    async def send(self) -> httpx.Response:
        self.number += 1
        call = self.number
        items = [
            {"type": "track", "userId": f"u{n % PEOPLE}", "event": self.event,
             "messageId": f"{call}-{n}",
             "properties": {"product_id": "p1", "order_id": f"{call}-{n}", "total": 1,
                            "text": PADDING}}
            for n in range(PER_CALL)
        ]  # fmt: skip
        answer = await self.http.post("/v1/batch", content=orjson.dumps({"batch": items}))
        if answer.status_code == 200:
            self.accepted += PER_CALL
        else:
            self.refusals.append(answer)
        return answer

    async def until_refused(self, senders: int = 8, pause: float = 0) -> None:
        async def one() -> None:
            deadline = time.monotonic() + SECONDS
            while (await self.send()).status_code == 200:
                assert time.monotonic() < deadline, "nothing was ever refused"
                await asyncio.sleep(pause)

        await asyncio.gather(*(one() for _ in range(senders)))


def memory_ratio(client: redis.Redis) -> float:
    memory = client.info("memory")
    return memory["used_memory"] / memory["maxmemory"]


@stack_with(maxmemory="32mb")
async def test_a_flood_without_a_worker_is_refused_in_time_and_processed_later(
    stack: Stack, capsys: pytest.CaptureFixture
) -> None:
    await stack.put_in_place()
    flood = Flood(stack.http)
    await flood.send()  # what the first call loads is no growth
    before, began = rss_bytes(), time.monotonic()
    await flood.until_refused()
    seconds, grown = time.monotonic() - began, rss_bytes() - before
    with stack.redis.client() as client:
        ratio = memory_ratio(client)
        assert FULL_AT <= ratio < SHUT_AT
        for refused in flood.refusals:
            assert refused.status_code == 429
            assert refused.json()["code"] == "log_full"
            assert int(refused.headers["retry-after"]) > 0
        assert grown < 48 << 20

        while memory_ratio(client) < SHUT_AT + 0.01:
            client.rpush("filler", b"x" * 50_000)

        async def other() -> httpx.Response | None:
            return answer if (answer := await flood.send()).status_code != 429 else None

        shut = await until(other)  # the door looks once a second
        assert (shut.status_code, shut.json()["code"]) == (503, "log_away")
        assert int(shut.headers["retry-after"]) > 0
        client.delete("filler")

    async with stack.relay(), stack.worker():
        now = await stack.drained()
        assert now.events_in == now.events_processed == flood.accepted
        assert now.quarantined == now.duplicates_dropped == 0
        deadline = time.monotonic() + SECONDS
        while (await flood.send()).status_code != 200:  # archived, trimmed, and open again
            assert time.monotonic() < deadline
            await asyncio.sleep(0.5)
        assert (await stack.drained()).events_processed == flood.accepted
    with capsys.disabled():
        told = f"{flood.accepted} accepted in {seconds:.1f} s, {len(flood.refusals)} refused"
        sys.stderr.write(f"\nflood: {told}, Redis at {ratio:.0%}, API +{grown / 1e6:.1f} MB\n")


@stack_with(outbox_mb=1)
async def test_at_the_outboxes_bound_commits_pause_the_door_says_later_and_nothing_is_dropped(
    stack: Stack,
) -> None:
    """Without a relay nothing is carried away; then it comes, and all goes on by itself."""
    await stack.put_in_place()
    flood = Flood(stack.http, event="Order Paid")  # each leaves facts in the outbox
    with stack.redis.client() as client:
        async with stack.worker():
            await flood.until_refused(senders=2, pause=0.5)  # no more than can be decided soon
            for refused in flood.refusals:
                assert (refused.status_code, refused.json()["code"]) == (429, "log_full")
                assert refused.headers["retry-after"] == "5"
                assert "outboxes hold" in refused.json()["message"]
            paused = functools.partial(client.hget, "laike:measures", "commits_paused_total")
            await until(lambda: float(paused() or 0) >= 2)
            still, now = [-1], await stack.status()  # batches that were begun end first
            deadline = time.monotonic() + SECONDS
            while now.next_offsets != still:
                assert time.monotonic() < deadline
                still = now.next_offsets
                await asyncio.sleep(1.5)
                now = await stack.status()
            assert now.lag > 0  # ticks at least: the world goes on
            assert (await stack.http.get("/healthz")).json()["status"] == "ok"
            async with stack.relay():
                deadline = time.monotonic() + SECONDS
                while (await flood.send()).status_code != 200:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.3)
                now = await stack.drained()
            assert now.events_processed == flood.accepted
            assert now.duplicates_dropped == now.quarantined == 0


class Slow:
    """A shard that notes what it is given."""

    rules_hash = model_hash = killed = ""

    def __init__(self, number: int) -> None:
        self.number, self.next_offset = number, 0

    async def open(self) -> int:
        return 0

    async def process(self, records: Sequence[Record]) -> None:
        self.next_offset = records[-1].offset + 1

    async def close(self) -> None:
        return


async def test_paused_lanes_keep_what_waits_and_rest_at_once() -> None:
    async def make(number: int) -> Slow:
        return Slow(number)

    failed: list[BaseException] = []
    lanes = Lanes(make, failed.append)
    await lanes.open(0)
    (lane,) = lanes
    lanes.pause(True)
    for n in range(DEPTH):
        lanes.put(0, [Record(n, 1, b"u:1", b"")])
    await asyncio.sleep(0.05)
    assert (lane.shard.next_offset, lane.has_room) == (0, False)
    lanes.pause(False)
    await until(lambda: lane.shard.next_offset == DEPTH)
    lanes.pause(True)
    lanes.put(0, [Record(DEPTH, 1, b"u:1", b"")])
    await asyncio.wait_for(lanes.close(9 * SECONDS), SECONDS)  # what waits is not waited for
    assert lane.shard.next_offset == DEPTH
    assert not failed


BAD = Append(2, b"u:1", b"{not json")


async def stopped_worker(stack: Stack, **variables: str) -> tuple[int, str]:
    with start_real_worker(stack.settings, **variables) as worker:
        _, told = await asyncio.to_thread(worker.communicate, timeout=SECONDS)
    return worker.returncode, told


async def test_a_worker_whose_stream_fails_ends_with_3_and_says_so_until_told_otherwise(
    stack: Stack,
) -> None:
    log = RedisLog(stack.settings.log, SHARDS)
    await log.append([BAD] * 101)
    for _ in range(2):  # a supervisor starts it again: the same answer, and nothing moved
        code, told = await stopped_worker(stack)
        assert code == 3
        assert "shard 2: over 100 of the last 10000 records were quarantined" in told
        assert "the last for unreadable" in told
        assert "LAIKE_FAULTS_MAX=10000" in told
        assert "Traceback" not in told
    now = await stack.status()
    assert (now.quarantined, now.next_offsets[2]) == (0, 0)
    with start_real_worker(stack.settings, LAIKE_FAULTS_MAX="10000") as worker:
        now = await stack.drained()
        worker.terminate()
        await asyncio.to_thread(worker.communicate, timeout=SECONDS)
    assert (now.quarantined, worker.returncode) == (101, 0)
    await log.close()


STUCK = """
import sys
from redis.asyncio import Redis
from engine import duties, effects, pipeline, worker
from engine.logs.redis_server import die_with_parent
from engine.settings import Settings
from engine.store import StoreAway
from engine.stores.redis import RedisStore

class Deaf(RedisStore):
    async def commit(self, commit):
        raise StoreAway("it never answers a commit")

duties.STANDSTILL_SECONDS = 2.0
settings = Settings.load()
store = Deaf(Redis.from_url(settings.redis))

async def make_shard(number):
    return pipeline.Shard(effects.Settings(number, settings.shards, settings.secret), store)

sys.exit(worker.main(settings, make_shard))
"""


async def test_a_worker_whose_offsets_stand_still_ends_and_says_where(stack: Stack) -> None:
    """It prefetches, decides, asks for the commit again and again, and gets nowhere."""
    environ = os.environ | stack.settings.environment() | {"PYTHONPATH": str(ROOT)}
    told = [sys.executable, "-c", STUCK]
    process = await asyncio.create_subprocess_exec(
        *told, env=environ, cwd=ROOT, stderr=PIPE, preexec_fn=die_with_parent
    )
    assert (await stack.http.post("/v1/track", json=EVENT)).status_code == 200
    _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 3, said.decode()
    assert re.search(rb"stands still at offset 0 for \d+ s with \d+ records waiting", said)
    assert b"Traceback" not in said
