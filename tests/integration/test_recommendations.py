"""Recommendations by HTTP: from a storefront's events over the real learner to the calls' answers."""

import asyncio
import time

import httpx
import pytest
from redis.asyncio import Redis

from engine.learner import LearnerTask
from tests.fixtures_stack import SHARDS
from tests.patience import SECONDS

LINES = ({"product_id": "tea", "price": 5}, {"product_id": "pot", "price": 20})


@pytest.fixture
async def shop(stack):
    """The running engine, and a learner that is asked to publish when the test wants it."""
    await stack.put_in_place()
    async with stack.worker():
        lines = (stack.settings.data / "write-keys.txt").read_text().splitlines()
        stack.keys = dict(line.split() for line in lines)
        yield stack


async def track(shop, who, name, **properties):
    call = {"userId": who, "event": name, "properties": properties}
    found = await shop.http.post("/v1/track", json=call)
    assert found.status_code == 200, found.text


async def learned(shop):
    """All that was decided so far is learned, and in force."""
    await shop.drained()
    redis = Redis.from_url(shop.settings.redis)
    published = []

    async def told(rows):
        published.extend(rows)

    learner = LearnerTask(redis, SHARDS, shop.settings.secret, told)
    await learner.restore()
    while await learner.step():
        pass
    await learner.publish()
    await redis.aclose()


async def ask(shop, path, key="server", tag=""):
    auth = httpx.BasicAuth(shop.keys[key], "")
    return await shop.http.get(path, auth=auth, headers={"if-none-match": tag} if tag else {})


async def rank(shop, who, *products, key="server"):
    auth = httpx.BasicAuth(shop.keys[key], "")
    body = {"products": list(products)}
    return await shop.http.post(f"/v1/customers/{who}/rankings", json=body, auth=auth)


def names(found):
    assert found.status_code == 200, found.text
    return [item["product_id"] for item in found.json()["items"]]


async def in_force(shop):
    until = time.monotonic() + SECONDS
    while not (await ask(shop, "/v1/customers/u0/recommendations")).json()["model_version"]:
        assert time.monotonic() < until, "the model did not come into force"
        await asyncio.sleep(0.1)


async def test_products_for_a_customer_and_his_order_of_what_was_found(shop):
    await track(shop, "u0", "Product Viewed", product_id="tea")
    await shop.drained()
    path = "/v1/customers/u0/recommendations"
    assert names(await ask(shop, path)) == ["tea"]  # no model yet: what he looked at
    assert (await rank(shop, "u0", "b", "a")).json() == {
        "products": [{"product_id": "b", "score": 0.0}, {"product_id": "a", "score": 0.0}],
        "personal": False, "model_version": "",
    }  # fmt: skip
    for n in range(6):
        await track(shop, f"b{n}", "Order Paid", order_id=f"o{n}", total=25, products=LINES)
    await track(shop, "b0", "Order Paid", order_id="o", total=9, products=[{"product_id": "cup"}])
    await learned(shop)
    await in_force(shop)
    assert names(await ask(shop, path))[0] == "pot"
    assert names(await ask(shop, f"{path}?kind=together&product_id=pot")) == ["tea"]
    nobody = await ask(shop, "/v1/customers/nobody/recommendations?n=2")
    assert set(names(nobody)) == {"tea", "pot"}
    assert names(await ask(shop, "/v1/customers/b1/recommendations")) == ["cup"]
    assert "tea" in names(await ask(shop, "/v1/customers/b1/recommendations?bought=always"))
    none = await ask(shop, "/v1/customers/nobody/recommendations?kind=favourites")
    assert none.json()["kind"] == "trending"
    found = (await rank(shop, "u0", "cup", "unknown", "pot")).json()
    assert found["personal"]
    assert found["products"][0]["product_id"] == "pot"
    await conditions(shop, path)


async def conditions(shop, path):
    """An answer may be kept; who may ask, and what; and nothing is refused without its reason."""
    first = await ask(shop, path)
    assert (await ask(shop, path, tag=first.headers["etag"])).status_code == 304
    for wrong in ("kind=best", "n=0", "n=51", "bought=maybe"):
        assert (await ask(shop, f"{path}?{wrong}")).status_code == 422, wrong
    assert (await ask(shop, path, key="web")).status_code == 403
    assert (await rank(shop, "u0", "a", key="web")).status_code == 403
    assert (await rank(shop, "u0")).status_code == 422
    assert (await rank(shop, "u0", *map(str, range(501)))).status_code == 422
