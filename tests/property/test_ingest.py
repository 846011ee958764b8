"""Whatever is sent to whatever path of the door: an answer below 500, and nothing half stored."""

import asyncio
import gzip
import json

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import Deps, create_app
from api.ingest import PATHS
from api.sources import Sources, ensure_sources
from features.events import decode
from tests.fakes import MemoryLog

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["2026-01-01T00:00:00Z", "12.50", "u1", "-1", "1e400", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "type",
    "event",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "properties",
    "traits",
    "context",
    "integrations",
    "name",
    "writeKey",
    "batch",
    "channel",
]
NAMES = st.sampled_from(
    ["Product Viewed", "Order Completed", "Consent Updated", "Product Price Changed"]
)
KINDS = st.sampled_from(["track", "identify", "page", "screen", "group", "alias"])
PRODUCT = st.fixed_dictionaries(
    {}, optional={"products": JSON, "price": JSON, "order_id": JSON, "total": JSON}
)
EVENT = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(FIELDS, JSON)
    | {
        "event": NAMES | JSON,
        "type": KINDS | JSON,
        "userId": st.just("u1") | JSON,
        "properties": PRODUCT | JSON,
    },
)
BATCH = st.fixed_dictionaries(
    {"batch": st.lists(EVENT | JSON, max_size=6)},
    optional=dict.fromkeys(("context", "integrations", "sentAt", "writeKey"), JSON),
)


def written(value):
    return json.dumps(value).encode()


BODY = st.binary(max_size=200) | (EVENT | BATCH | JSON).map(written)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    keys = ensure_sources(data)
    log = MemoryLog()
    return create_app(Deps(log=log, sources=Sources(data / "sources.json"))), log, keys


def ask(app, path, content, key, headers):
    async def call():
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://laike.test") as http:
            return await http.post(path, content=content, auth=(key, ""), headers=headers)

    return asyncio.run(call())


@settings(max_examples=250, deadline=None)
@given(
    path=st.sampled_from(sorted(PATHS)),
    body=BODY,
    source=st.sampled_from(["web", "server"]),
    packed=st.booleans(),
)
def test_any_body_gets_an_answer_below_500(door, path, body, source, packed):
    app, log, keys = door
    before = len(log.everything())
    content = gzip.compress(body) if packed else body
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answer = ask(app, path, content, keys[source], headers)
    stored = log.everything()
    if answer.status_code == 200:
        count = len(json.loads(body)["batch"]) if PATHS[path] == "batch" else 1
        assert len(stored) - before == count
    else:
        assert 400 <= answer.status_code < 500
        assert set(answer.json()) == {"code", "message"}
        assert len(stored) == before
    for record in stored:
        if record.key == b"!rejected":
            assert orjson.loads(record.value)["reason"]
        else:
            assert decode(record.value).source in keys
    for shard in log.records:
        shard.clear()


@settings(max_examples=100, deadline=None)
@given(
    body=st.binary(max_size=100),
    headers=st.dictionaries(
        st.sampled_from(["Content-Encoding", "Authorization", "Content-Type", "Origin"]),
        st.binary(max_size=30).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"").strip()),
    ),
)
def test_any_header_gets_an_answer_below_500(door, body, headers):
    async def call():
        transport = httpx.ASGITransport(door[0])
        async with httpx.AsyncClient(transport=transport, base_url="http://laike.test") as http:
            return await http.post("/v1/b?writeKey=%ff&writeKey=", content=body, headers=headers)

    assert 400 <= asyncio.run(call()).status_code < 500
