"""The calls of the SDKs: each path, each way to bring the key, what stands in the log."""

import base64
import gzip

import orjson
import pytest

from api.ingest import KINDS, PATHS
from engine.shards import partition
from features.vocabulary import SERVER_ONLY, SERVER_ONLY_PREFIXES
from tests.unit.ingest_fixtures import NOW, open_shop

TRACK = {"userId": "u1", "event": "Product Viewed", "messageId": "m1"}
CALLS = {
    "identify": {"userId": "u1", "traits": {"email": "a@b.c"}},
    "track": TRACK,
    "page": {"anonymousId": "a1", "name": "Home"},
    "screen": {"anonymousId": "a1", "name": "Home"},
    "group": {"userId": "u1", "groupId": "g1"},
    "alias": {"userId": "u1", "previousId": "a1"},
}


@pytest.fixture
async def shop(tmp_path):
    async for one in open_shop(tmp_path):
        yield one


def test_every_path_of_the_sdks_is_there():
    short = {f"/v1/{letter}" for letter in "itpsgab"}
    long = {f"/v1/{name}" for name in (*KINDS, "batch", "import")}
    assert set(PATHS) == short | long | {"/beacon/v1/batch"}


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_every_path_stores_its_call(shop, path):
    kind = PATHS[path]
    body = {"batch": [{"type": "track", **TRACK}]} if kind == "batch" else CALLS[kind]
    answer = await shop.post(path, body)
    assert (answer.status_code, answer.text) == (200, "OK")
    assert [e["type"] for e in shop.stored()] == ["track" if kind == "batch" else kind]


async def test_the_record_is_keyed_by_the_events_own_bytes(shop):
    await shop.post("/v1/track", TRACK)
    await shop.post("/v1/page", CALLS["page"])
    by_key = {r.key: shard for shard in range(8) for r in shop.log.records[shard]}
    assert by_key == {key: partition(key, 8) for key in (b"u:u1", b"a:a1")}
    event = next(e for e in shop.stored() if e["type"] == "track")
    assert (event["source"], event["receivedAt"], event["timestamp"]) == ("server", NOW, NOW)


@pytest.mark.parametrize("how", ["basic", "body", "query", "bearer and body"])
async def test_the_key_may_come_in_three_ways(shop, how):
    key = shop.keys["server"]
    body, given = dict(TRACK), {"auth": None}
    if how == "basic":
        code = base64.b64encode(f"{key}:".encode()).decode()
        given["headers"] = {"Authorization": f"Basic {code}"}
    elif how == "query":
        given["params"] = {"writeKey": key}
    else:
        body["writeKey"] = key
    if how.startswith("bearer"):
        given["headers"] = {"Authorization": "Bearer something"}
    assert (await shop.post("/v1/track", body, **given)).status_code == 200
    assert key not in shop.log.everything()[0].value.decode()


async def test_text_plain_and_gzip_are_read(shop):
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
    packed = gzip.compress(orjson.dumps(TRACK))
    assert (await shop.post("/v1/t", packed, headers=headers)).status_code == 200
    two_members = gzip.compress(b'{"userId":"u2",') + gzip.compress(b'"event":"X"}')
    assert (await shop.post("/v1/t", two_members, headers=headers)).status_code == 200
    assert len(shop.stored()) == 2


async def test_a_batchs_context_merges_into_its_items(shop):
    batch = [
        {"type": "track", **TRACK, "context": {"page": {"path": "/own"}}},
        {"type": "track", "userId": "u1", "event": "Cart Viewed"},
    ]
    context = {"page": {"path": "/shared"}, "locale": "zh-CN"}
    await shop.post("/v1/batch", {"batch": batch, "context": context, "integrations": {"All": 1}})
    own, shared = (e["context"] for e in shop.stored())
    assert own == {"page": {"path": "/own"}, "locale": "zh-CN"}
    assert shared == context


async def test_a_batch_keeps_its_order(shop):
    batch = [{"type": "track", "userId": "u1", "event": f"E{i}"} for i in range(1000)]
    assert (await shop.post("/v1/batch", {"batch": batch})).status_code == 200
    assert [e["event"] for e in shop.stored()] == [f"E{i}" for i in range(1000)]
    assert max(shop.log.groups) <= 500


async def test_an_empty_batch_is_no_error(shop):
    assert (await shop.post("/v1/batch", {"batch": []})).status_code == 200


async def test_the_clients_clock_is_set_right_by_the_batchs_sent_at(shop):
    item = {"type": "track", **TRACK, "originalTimestamp": "2026-01-01T00:00:00Z"}
    await shop.post("/v1/batch", {"batch": [item], "sentAt": "2026-01-01T00:01:00Z"})
    assert abs(shop.stored()[0]["timestamp"] - (NOW - 60_000)) <= 150_000


async def test_an_unreadable_sent_at_spoils_no_batch(shop):
    answer = await shop.post("/v1/batch", {"batch": [{"type": "track", **TRACK}], "sentAt": "soon"})
    assert answer.status_code == 200
    assert len(shop.stored()) == 1


async def test_a_call_is_what_its_path_says(shop):
    await shop.post("/v1/track", {**TRACK, "type": "identify"})
    assert shop.stored()[0]["type"] == "track"


async def test_the_browser_may_not_assert_an_order(shop):
    order = {
        "userId": "u1",
        "event": "Order Completed",
        "properties": {"order_id": "o1", "total": 9},
    }
    answer = await shop.post("/v1/track", order, source="web")
    assert (answer.status_code, answer.json()["code"]) == (400, "forbidden")
    assert (await shop.post("/v1/track", order)).status_code == 200
    await shop.post("/v1/batch", {"batch": [{"type": "track", **order}]}, source="web")
    assert [r["reason"] for r in shop.rejected()] == ["forbidden"]


async def test_the_browser_may_assert_nothing_that_is_the_servers(shop):
    names = sorted(SERVER_ONLY) + [f"{prefix}Made Up" for prefix in SERVER_ONLY_PREFIXES]
    things = {"order_id": "o", "product_id": "p", "live_id": "l", "channels": []}
    batch = [
        {"type": "track", "userId": "u1", "event": name, "properties": things} for name in names
    ]
    await shop.post("/v1/batch", {"batch": batch}, source="web")
    assert shop.stored() == []
    assert {r["reason"] for r in shop.rejected()} == {"forbidden"}
    assert len(shop.rejected()) == len(names) > 40


async def test_the_two_bootstrap_calls(shop):
    key = shop.keys["web"]
    config = await shop.http.get("/sourceConfig/", params={"writeKey": key, "p": "web"})
    assert config.json() == {"source": {"id": "web", "config": {}, "destinations": []}}
    assert (await shop.http.get("/sourceConfig/", auth=(key, ""))).status_code == 200
    settings = (await shop.http.get(f"/v1/projects/{key}/settings")).json()
    segment = {"apiKey": key, "apiHost": "laike.test/v1", "protocol": "http"}
    assert settings["integrations"] == {"Segment.io": segment}
    for path in ("/sourceConfig/?writeKey=x", "/sourceConfig/", "/v1/projects/x/settings"):
        answer = await shop.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_write_key")


async def test_the_openapi_document_tells_of_every_call(shop):
    document = (await shop.http.get("/openapi.json")).json()
    assert set(PATHS) < set(document["paths"])
    track = document["paths"]["/v1/track"]["post"]
    assert set(track["responses"]) == {"200", "400", "401", "408", "413", "429", "503"}
    reference = track["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert "event" in document["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]
    ids = [op["operationId"] for calls in document["paths"].values() for op in calls.values()]
    assert len(ids) == len(set(ids))
