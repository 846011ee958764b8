"""What the door does not take, and that nothing of it is lost, doubled or stuck."""

import gzip
import tracemalloc

import orjson
import pytest

from api.body import unpack
from api.items import BATCH_ITEMS_MAX, EVENT_BYTES_MAX
from api.refusals import Refused
from engine.log import LogAway, LogFull
from tests.unit.ingest_fixtures import open_shop

GOOD = {"type": "track", "userId": "u1", "event": "Product Viewed"}
MEGABYTE = 1024 * 1024


@pytest.fixture
async def shop(tmp_path):
    async for one in open_shop(tmp_path, origins=("https://shop.example",)):
        yield one


def deep(levels):
    return b'{"userId":"u1","event":"E","properties":{"x":' + b"[" * levels + b"]" * levels + b"}}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"null", 400, "invalid_json"),
        (b"\xff\xfe\x00", 400, "invalid_json"),
        (b"[" * 200_000, 400, "invalid_json"),
        (b'{"userId":"u1"}', 400, "missing_event"),
        (b'{"event":"E"}', 400, "missing_id"),
        (b'{"userId":{"a":1},"event":"E"}', 400, "bad_type"),
        (b'{"userId":"u1","event":"E","properties":{"price":NaN}}', 400, "bad_number"),
        (b'{"userId":"u1","event":"E","properties":{"x":1e999}}', 400, "bad_number"),
        (b'{"userId":"u1","event":"E","properties":{"x":"\\ud800"}}', 400, "bad_text"),
        (b'{"userId":"u1","event":"E","timestamp":"yesterday"}', 400, "bad_time"),
        (b'{"userId":"u1","event":"E","properties":[]}', 400, "bad_type"),
        (deep(50), 400, "too_deep"),
        (deep(300), 400, "too_deep"),
        (
            b'{"userId":"u1","event":"E","properties":{"x":"%s"}}' % (b"x" * 33_000),
            413,
            "too_large",
        ),
        (b"x" * 10 * MEGABYTE, 413, "body_too_large"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_bad_call_gets_its_reason(shop, body, status, code):
    answer = await shop.post("/v1/track", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}
    assert answer.headers["content-type"] == "application/json"
    assert shop.log.everything() == []


async def test_a_batch_with_bad_events_keeps_the_good_and_tells_of_the_bad(shop):
    wide = {**GOOD, "properties": {"x": "界" * EVENT_BYTES_MAX}}
    bad = [{"type": "track", "userId": "u1"}, 7, None, {**GOOD, "type": "trade"}, {}, wide]
    body = orjson.dumps({"batch": [GOOD, *bad, {**GOOD, "event": "Cart Viewed"}]})
    nan = b'{"type":"track","userId":"u1","event":"E","properties":{"price":NaN}}'
    answer = await shop.post("/v1/batch", body.replace(b",7,", b",7," + nan + b","))
    assert answer.status_code == 200
    assert [e["event"] for e in shop.stored()] == ["Product Viewed", "Cart Viewed"]
    rejected = {r["reason"]: r for r in shop.rejected()}
    assert set(rejected) >= {"missing_event", "not_an_object", "bad_number", "too_large"}
    assert len(shop.rejected()) == 7
    assert len(rejected["too_large"]["body"].encode()) <= EVENT_BYTES_MAX
    assert set(rejected["too_large"]) == {"id", "source", "reason", "detail", "body", "at"}
    assert "NaN" in rejected["bad_number"]["body"]


async def test_a_rejected_event_sent_again_has_the_same_id(shop):
    for _ in range(2):
        await shop.post("/v1/batch", {"batch": [{"type": "track", "userId": "u1"}]})
    first, second = shop.rejected()
    assert first["id"] == second["id"]


async def test_a_rejected_event_does_not_keep_the_write_key(shop):
    body = {"batch": [{"type": "track", "writeKey": shop.keys["server"]}]}
    await shop.post("/v1/batch", body)
    assert shop.keys["server"] not in shop.rejected()[0]["body"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"batch":{}}', 400, "missing_batch"),
        (b'{"event":"E"}', 400, "missing_batch"),
        (orjson.dumps({"batch": [0] * (BATCH_ITEMS_MAX + 1)}), 413, "batch_too_long"),
        (
            orjson.dumps({"batch": [0] * 2000, "context": {"x": "y" * 30_000}}),
            413,
            "batch_too_large",
        ),
    ],
    ids=["no list", "no batch", "too long", "amplified"],
)
async def test_a_batch_that_is_none_or_too_much(shop, body, status, code):
    answer = await shop.post("/v1/batch", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (gzip.compress(b" " * 64 * MEGABYTE), "gzip", "body_too_large"),
        (gzip.compress(b"{}")[:-9], "gzip", "bad_gzip"),
        (b"{}", "gzip", "bad_gzip"),
        (gzip.compress(b"") * 100_000, "gzip", "bad_gzip"),
        (b"{}", "br", "unknown_encoding"),
    ],
    ids=["bomb", "cut", "plain", "many members", "brotli"],
)
async def test_bad_packing(shop, body, encoding, code):
    answer = await shop.post("/v1/batch", body, headers={"Content-Encoding": encoding})
    assert answer.json()["code"] == code


def test_a_gzip_bomb_is_never_unzipped_whole():
    bomb = gzip.compress(b" " * 64 * MEGABYTE)
    tracemalloc.start()
    with pytest.raises(Refused, match="at most"):
        unpack(bomb, b"gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MEGABYTE


async def test_a_body_without_a_length_is_bounded_too(shop):
    sent = 0

    async def endless():
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * MEGABYTE

    answer = await shop.http.post("/v1/t", content=endless(), auth=(shop.keys["server"], ""))
    assert answer.status_code == 413


@pytest.mark.parametrize("given", [{"auth": ("nobody", "")}, {"auth": None}])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_an_unknown_key_gets_401_and_nothing_is_stored(shop, path, given):
    answer = await shop.post(path, {**GOOD, "batch": [GOOD]}, **given)
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_write_key")
    assert shop.log.everything() == []


@pytest.mark.parametrize("header", ["Basic ?", "Basic", "Basic " + "/w==", "Digest x"])
async def test_an_unreadable_authorization_gets_401(shop, header):
    answer = await shop.post("/v1/t", GOOD, auth=None, headers={"Authorization": header})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(LogFull("75% full", 7), 429, "log_full"), (LogAway("no route"), 503, "log_away")],
)
async def test_a_log_that_is_full_or_away(shop, fault, status, code):
    shop.log.fault = fault
    answer = await shop.post("/v1/batch", {"batch": [GOOD]})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert int(answer.headers["retry-after"]) >= 1
    shop.log.fault = None
    assert (await shop.post("/v1/batch", {"batch": [GOOD]})).status_code == 200
    assert len(shop.stored()) == 1


async def test_a_source_over_its_rate_waits(shop, tmp_path):
    file = tmp_path / "sources.json"
    file.write_bytes(orjson.dumps([{"name": "slow", "write_key": "s", "rate": 1}]))
    shop.app.state.door._sources._looked = -1e9
    batch = {"batch": [GOOD] * 100}
    assert (await shop.post("/v1/b", batch, auth=("s", ""))).status_code == 200
    answer = await shop.post("/v1/b", batch, auth=("s", ""))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) in {94, 95}


async def test_a_preflight_is_answered_for_the_pages_of_the_shop_alone(shop):
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-anything",
    }
    yes = await shop.http.options("/v1/t", headers=asked)
    assert yes.status_code == 200
    assert yes.headers["access-control-allow-origin"] == "https://shop.example"
    assert yes.headers["access-control-allow-credentials"] == "true"
    assert "x-anything" in yes.headers["access-control-allow-headers"]
    assert int(yes.headers["access-control-max-age"]) > 0
    no = await shop.http.options("/v1/t", headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in no.headers


async def test_a_refusal_may_be_read_by_the_page_too(shop):
    answer = await shop.post("/v1/t", b"{", headers={"Origin": "https://shop.example"})
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


async def test_any_page_may_call_when_so_configured(tmp_path):
    async for shop in open_shop(tmp_path):
        answer = await shop.post("/v1/t", GOOD, headers={"Origin": "http://anywhere:1"})
        assert answer.headers["access-control-allow-origin"] == "http://anywhere:1"


async def test_a_wrong_method_is_405(shop):
    assert (await shop.http.get("/v1/track")).status_code == 405
    nowhere = await shop.http.get("/v1/trak")
    assert nowhere.status_code == 404
    assert "/openapi.json" in nowhere.json()["message"]
