"""What runs around the door: health, the world's clock, and the end of the process."""

import asyncio
import signal
import socket

import pytest
from redis.exceptions import ConnectionError as RedisAway

from api.clocks import WorldClock, wall
from api.health import Checks
from api.server import open_sources, run
from engine.log import LogAway
from engine.settings import Settings
from tests.patience import until
from tests.unit.ingest_fixtures import open_shop


async def well():
    return


async def away():
    raise ConnectionError("refused")


async def silent():
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("checks", "status", "told"),
    [
        (Checks(needed={"log": well}, useful={"clickhouse": well}), 200, "ready"),
        (Checks(needed={"log": well}, useful={"clickhouse": away}), 200, "degraded"),
        (Checks(needed={"log": away}, useful={"clickhouse": well}), 503, "not ready"),
    ],
)
async def test_readyz(tmp_path, checks, status, told):
    async for shop in open_shop(tmp_path, checks=checks):
        answer = await shop.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (status, told)
        assert set(answer.json()["checks"]) == {"log", "clickhouse"}
        head = await shop.http.head("/readyz")
        assert (head.status_code, head.content) == (status, b"")


async def test_healthz(tmp_path, monkeypatch):
    monkeypatch.setattr("api.health.CHECK_SECONDS_MAX", 0.01)
    async for shop in open_shop(tmp_path, checks=Checks(alive={"offsets": silent})):
        answer = await shop.http.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (503, "stuck")
        assert "no answer" in answer.json()["checks"]["offsets"]


async def test_the_worlds_clock_never_goes_back_and_stands_while_redis_is_away():
    told: list[bytes | Exception | None] = [None, b"1000", RedisAway("gone"), b"900", b"2000"]

    async def read():
        answer = told.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock, before = WorldClock(read), wall()
    seen = []
    for _ in range(5):
        await clock.refresh()
        seen.append(clock())
    assert before <= seen[0] <= wall()
    assert seen[1:] == [1000, 1000, 1000, 2000]


async def test_the_first_start_of_a_folder_makes_its_sources(tmp_path):
    sources = open_sources(Settings(data=tmp_path, secret=b"x" * 16))
    key = dict(line.split() for line in (tmp_path / "write-keys.txt").read_text().splitlines())
    assert sources.find(key["web"]).name == "web"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_what_runs_beside_the_door_ends_with_it(tmp_path, sign):
    begun, ended = asyncio.Event(), asyncio.Event()
    before = signal.getsignal(sign)

    async def beside():
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.3)  # it finishes what it has begun
            ended.set()

    async for shop in open_shop(tmp_path):
        running = asyncio.ensure_future(run(shop.app, "127.0.0.1", free_port(), [beside]))
        await until(lambda: begun.is_set() and signal.getsignal(sign) is not before)
        signal.raise_signal(sign)
        await running
        assert ended.is_set()


async def test_a_part_that_breaks_ends_the_process_with_its_reason(tmp_path):
    async def beside():
        await asyncio.sleep(0.1)
        raise LogAway("fenced")

    async for shop in open_shop(tmp_path):
        with pytest.raises(LogAway, match="fenced"):
            await run(shop.app, "127.0.0.1", free_port(), [beside])


async def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async for shop in open_shop(tmp_path):
            with pytest.raises(OSError, match=f"127.0.0.1 port {port}: Address already in use"):
                await run(shop.app, "127.0.0.1", port)
