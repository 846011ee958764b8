"""The API process on a real Redis: what it takes is in the stream; Redis may go and come back."""

import asyncio
import signal
import socket
from contextlib import suppress

import httpx
import orjson
import pytest

from api.server import serve
from engine.settings import Settings
from tests.patience import until

GOOD = {"userId": "u1", "event": "Product Viewed"}
SHARDS = 4


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def ready(http):
    with suppress(httpx.TransportError):
        return (await http.get("/readyz")).status_code == 200
    return False


@pytest.fixture
async def served(redis_empty, tmp_path, request):
    given = {"shards": SHARDS, "port": free_port()} | getattr(request, "param", {})
    url = redis_empty.url
    settings = Settings(data=tmp_path, secret=b"x" * 16, log=url, redis=url, **given)
    running = asyncio.ensure_future(serve(settings))
    keys = tmp_path / "write-keys.txt"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=60) as http:
        await until(lambda: ready(http))
        key = dict(line.split() for line in keys.read_text().splitlines())["server"]
        http.auth = httpx.BasicAuth(key, "")
        yield http, redis_empty
    signal.raise_signal(signal.SIGTERM)
    await running


def stored(redis):
    with redis.client() as client:
        streams = [client.xrange(f"{{s{shard}}}:log") for shard in range(SHARDS)]
    return [orjson.loads(fields[b"v"]) for stream in streams for _, fields in stream]


async def test_what_is_answered_ok_is_in_the_stream(served):
    http, redis = served
    batch = {"batch": [{"type": "track", **GOOD, "userId": f"u{i}"} for i in range(300)]}
    assert (await http.post("/v1/batch", json=batch)).text == "OK"
    assert (await http.post("/v1/track", json=GOOD)).text == "OK"
    assert len(stored(redis)) == 301


async def test_a_body_of_ten_megabytes_is_refused_and_the_next_call_is_taken(served):
    http, redis = served

    async def parts():
        for _ in range(160):
            yield b"x" * 65_536

    for body in (b"x" * 10 * 1024 * 1024, parts()):  # with its length told, and without
        try:
            refused = await http.post("/v1/batch", content=body)
            assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        except httpx.WriteError:
            continue  # the door has answered and hung up while we still sent
    assert (await http.post("/v1/track", json=GOOD)).text == "OK"
    assert len(stored(redis)) == 1


async def test_redis_away_and_back(served):
    http, redis = served
    redis.stop()
    try:
        answer = await http.post("/v1/track", json=GOOD)
        ready = await http.get("/readyz")
    finally:
        redis.restart()
    assert (answer.status_code, answer.json()["code"]) == (503, "log_away")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")

    async def taken():
        return (await http.post("/v1/track", json=GOOD)).status_code == 200

    await until(taken)
    assert len(stored(redis)) == 1


@pytest.mark.parametrize("served", [{"clock": "record"}], indirect=True)
async def test_in_record_time_an_event_is_received_at_the_worlds_now(served):
    http, redis = served
    with redis.client() as client:
        client.set("{s0}:clock", 1_700_000_000_000)

    async def received():
        await http.post("/v1/track", json=GOOD)
        return stored(redis)[-1]["receivedAt"]

    async def at_the_worlds_now():
        return await received() == 1_700_000_000_000

    await until(at_the_worlds_now)  # the door looks at the world's clock now and then
    assert await received() == 1_700_000_000_000
