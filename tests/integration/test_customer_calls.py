"""Pages and checkouts against the running engine: every call's answer is what its commit decided."""

import asyncio
import json
import time

import httpx
import pytest
from redis import Redis

from api.rules_in_force import WANTED, keep
from engine.versions import digest_of
from features.models.purchase import INPUTS, MODEL
from features.models.snapshot import pack
from rules.load import book_from_sources
from tests.patience import SECONDS

BANNER = """
rule: banner
title: t
owner: o
status: live
when:
  request: home
  if: event.page == "start"
if: visits.count >= 1
once_per: day
holdout: 0%
budget: {coupons: 3 per day}
do:
  - show: {template: hello, with: {n: "= visits.count"}}
  - coupon: {offer: SAVE, off: 10%, most: 20, over: 50, valid: 48h}
"""
GENERIC = """
rule: generic
title: t
owner: o
status: live
when: {request: footer}
once_per: day
holdout: 0%
do:
  - show: {template: hello}
"""
BROKEN = GENERIC.replace("rule: generic", "rule: held\npriority: 90").replace(
    "holdout: 0%", "holdout: 100%"
)
OFFER = "offer: SAVE\ntitle: t\nreturns: {cancel: lost, refund: back}\nstacks: [GIFT]\n"


@pytest.fixture
async def shop(stack):
    """The running engine with these rules in force."""
    await stack.put_in_place()
    sources = {
        "campaigns/a.yaml": BANNER, "campaigns/b.yaml": GENERIC, "campaigns/c.yaml": BROKEN,
        "offers/SAVE.yaml": OFFER, "offers/GIFT.yaml": "offer: GIFT\ntitle: t\n",
    }  # fmt: skip
    book = book_from_sources(sources)
    with Redis.from_url(stack.settings.redis) as store:
        keep(book, store)
        store.set(WANTED, book.hash)
    async with stack.worker(), stack.relay():
        lines = (stack.settings.data / "write-keys.txt").read_text().splitlines()
        stack.keys = dict(line.split() for line in lines)
        await eventually(lambda: in_force(stack, book.hash))
        yield stack


async def in_force(stack, digest):
    asked = {"customer_id": "nobody", "placements": ["footer"], "deadline_ms": 2000}
    found = await post(stack, "/v1/decide", asked, key="web")
    return any(one["version"] == digest for one in found["decisions"])


async def eventually(ask, seconds=SECONDS):
    until = time.monotonic() + seconds
    while not (found := await ask()):
        assert time.monotonic() < until, "it did not come"
        await asyncio.sleep(0.05)
    return found


async def send(stack, path, body, key="server", **headers):
    """One call and its answer; what takes longer is asked for until it is there."""
    auth = httpx.BasicAuth(stack.keys[key], "")
    found = await stack.http.post(path, json=body, auth=auth, headers=headers)
    until = time.monotonic() + SECONDS
    while found.status_code == 202:
        assert time.monotonic() < until, f"{path} {body} is not decided"
        found = await stack.http.get(found.json()["poll_url"], auth=auth)
    return found


async def post(stack, path, body, key="server"):
    found = await send(stack, path, body, key)
    assert found.status_code == 200, found.text
    return found.json()


async def track(stack, who, name, **properties):
    call = {"userId": who, "event": name, "properties": properties}
    assert (await stack.http.post("/v1/track", json=call)).status_code == 200


def home(who, page="start"):
    asked = {"customer_id": who, "placements": ["home"], "deadline_ms": 2000}
    return {**asked, "request_id": "r1", "context": {"page": page}}


async def proposed(stack, who):
    async def ask():
        return (await post(stack, "/v1/decide", home(who), "web"))["decisions"]

    (one,) = await eventually(ask)
    return one


async def issued(stack, who, code, **more):
    """A coupon that the shop gave."""
    day = 86_400_000
    await track(
        stack, who, "Coupon Issued", code=code, expires_at=round(time.time() * 1000) + day,
        offer="SAVE", off=10, off_kind="money", **more,
    )  # fmt: skip
    asked = {"code": code, "customer_id": who}

    async def there():
        return (await post(stack, "/v1/coupons/validate", asked, "web"))["expires_at"]

    await eventually(there)


def reserving(who, code, checkout, **more):
    return {"code": code, "customer_id": who, "checkout_id": checkout, **more}


async def page_asks_shows_and_the_customer_claims(shop):
    await track(shop, "u1", "Product Viewed", product_id="p")
    banner = await proposed(shop, "u1")
    assert banner["show"] == {"template": "hello", "values": {"n": 1}}
    assert banner["offer_token"]
    assert "code" not in str(banner["show"])
    assert (await post(shop, "/v1/decide", home("u1", "checkout"), "web"))["decisions"] == []

    unknown = {"anonymous_id": "new", "placements": ["home", "footer"], "deadline_ms": 2000}
    found = await post(shop, "/v1/decide", unknown, "web")
    assert (found["degraded"], found["reason"]) == (True, "no_state")
    held, shown = found["decisions"]
    assert (held["rule"], held["arm"], held["show"]) == ("held", "holdout", None)
    assert (shown["rule"], shown["arm"]) == ("generic", "treated")

    told = [{"decision_id": banner["decision_id"], "placement": "home"}, {"decision_id": "x.y"}]
    assert await post(shop, "/v1/exposures", told, "web") == {"accepted": 1, "rejected": 1}
    beacon = {"params": {"writeKey": shop.keys["web"]}, "headers": {"content-type": "text/plain"}}
    for body, status in ((json.dumps(told), 200), ("[{", 422), ("{}", 422)):
        found = await shop.http.post("/v1/exposures", content=body, auth=None, **beacon)
        assert found.status_code == status, found.text
    cut = await shop.http.post("/v1/decide", content='{"customer_id"')
    assert cut.status_code == 422
    assert "application/json" in cut.json()["message"]
    cut = await shop.http.post(
        "/v1/decide", content='{"customer_id"', headers={"content-type": "application/json"}
    )
    assert (cut.status_code, cut.json()["code"]) == (400, "invalid_json")

    async def gone():
        return not (await post(shop, "/v1/decide", home("u1"), "web"))["decisions"]

    await eventually(gone)
    asked = {"offer_token": banner["offer_token"], "customer_id": "u1"}
    first, *others = await asyncio.gather(
        *(post(shop, "/v1/offers/claim", asked, "web") for _ in range(50))
    )
    assert first["code"]
    assert all(one == first for one in others)
    listed = await shop.http.get("/v1/customers/u1/coupons")
    assert [one["code"] for one in listed.json()["coupons"]] == [first["code"]]
    etag = {"If-None-Match": listed.headers["etag"]}
    assert (await shop.http.get("/v1/customers/u1/coupons", headers=etag)).status_code == 304
    cart = {"subtotal": 100}
    valid = {"code": first["code"], "customer_id": "u1", "cart": cart}
    found = await post(shop, "/v1/coupons/validate", valid, "web")
    assert (found["valid"], found["discount"]) == (True, 10)
    assert found["expires_at"] == first["expires_at"]
    assert found["stacks_with"] == ["GIFT"]
    await issued(shop, "u1", "C-0")  # of the same offer: of two only one
    both = {**valid, "cart": {"subtotal": 100, "coupons": ["C-0"]}}
    assert (await post(shop, "/v1/coupons/validate", both, "web"))["reason"] == "does not stack"
    kept = reserving("u1", first["code"], "k0", cart=both["cart"])
    refused = await send(shop, "/v1/coupons/reserve", kept)
    assert (refused.status_code, refused.json()["code"]) == (409, "does_not_stack")
    forged = {**valid, "code": first["code"][:-2] + ("00" if first["code"][-2:] != "00" else "11")}
    assert (await post(shop, "/v1/coupons/validate", forged, "web"))["reason"] == "unknown"
    bad = {**asked, "offer_token": banner["decision_id"].partition(".")[2]}
    assert (await send(shop, "/v1/offers/claim", bad, "web")).status_code == 400
    stolen = {**asked, "customer_id": "u2"}
    assert (await send(shop, "/v1/offers/claim", stolen, "web")).status_code == 403

    tokens = []
    for who in (f"b{i}" for i in range(6)):
        await track(shop, who, "Product Viewed", product_id="p")
        tokens.append({"offer_token": (await proposed(shop, who))["offer_token"]})
    claims = await asyncio.gather(
        *(post(shop, "/v1/offers/claim", one, "web") for one in tokens * 5)
    )
    codes = {one["code"] for one in claims if one["code"]}
    assert len(codes) == 2  # of three a day one is his
    assert {one["held"] for one in claims if not one["code"]} == {"budget"}


async def one_checkout_of_fifty_gets_the_coupon(shop):
    await issued(shop, "u1", "C-1")
    for foreign in ({"code": "C-1", "customer_id": "u2"}, {"code": "C-9", "customer_id": "u1"}):
        found = await post(shop, "/v1/coupons/validate", foreign, "web")
        assert found == {
            "valid": False, "reason": "unknown", "discount": 0, "stacks_with": [],
            "expires_at": None,
        }  # fmt: skip
    tries = [reserving("u1", "C-1", f"k{i}", cart={"subtotal": 80}) for i in range(50)]
    found = await asyncio.gather(*(send(shop, "/v1/coupons/reserve", one) for one in tries))
    (won,) = [one for one in found if one.status_code == 200]
    assert {one.status_code for one in found} == {200, 409}
    assert {one.json()["code"] for one in found if one is not won} == {"another_checkout"}
    winner = found.index(won)
    again = await send(shop, "/v1/coupons/reserve", tries[winner])
    assert again.json() == won.json()
    assert won.json()["discount"] == 10

    reservation = {"reservation_id": won.json()["reservation_id"]}
    valid = {"code": "C-1", "customer_id": "u1"}
    assert (await post(shop, "/v1/coupons/validate", valid, "web"))["reason"] == "reserved"
    assert await post(shop, "/v1/coupons/release", reservation) == {
        "state": "issued",
        "returned": True,
    }
    other = await post(shop, "/v1/coupons/reserve", reserving("u1", "C-1", "other"))
    late = await send(shop, "/v1/coupons/redeem", {**reservation, "order_id": "o9"})
    assert (late.status_code, late.json()["code"]) == (409, "another_checkout")
    order = {"reservation_id": other["reservation_id"], "order_id": "o1", "total": 70}
    redeemed = [await post(shop, "/v1/coupons/redeem", order) for _ in range(2)]
    assert redeemed[0] == redeemed[1]
    twice = await send(shop, "/v1/coupons/redeem", {**order, "order_id": "o2"})
    assert (twice.status_code, twice.json()["code"]) == (409, "redeemed")
    assert (await post(shop, "/v1/coupons/validate", valid, "web"))["reason"] == "redeemed"

    back = {"order_id": "o1", "customer_id": "u1", "reason": "refunded"}
    kept = await post(shop, "/v1/coupons/reverse", back)
    assert kept == {"state": "redeemed", "returned": False}  # the shop's own: with orders cancelled
    part = {**back, "reason": "cancelled", "lines": [{"sku": "s"}]}
    assert not (await post(shop, "/v1/coupons/reverse", part))["returned"]
    given = await post(shop, "/v1/coupons/reverse", {**back, "reason": "cancelled"})
    assert given == {"state": "issued", "returned": True}
    assert await post(shop, "/v1/coupons/reverse", {**back, "reason": "cancelled"}) == given
    missing = await send(shop, "/v1/coupons/reverse", {**back, "order_id": "none"})
    assert missing.status_code == 404
    assert (await send(shop, "/v1/coupons/reserve", tries[0], "web")).status_code == 403


def learned(store, secret):
    """A version of the models, as the learner publishes it."""
    weights = {
        "model": MODEL, "intercept": -1.0, "weights": dict.fromkeys(INPUTS, 0.1),
        "means": dict.fromkeys(INPUTS, 0.0), "variances": dict.fromkeys(INPUTS, 1.0),
    }  # fmt: skip
    part = pack({"model": MODEL, "weights": weights}, secret)
    named = {"scorers": {MODEL: digest_of(part)}, "learners": {}, "cursors": {}}
    manifest = pack(named, secret)
    for body in (part, manifest):
        store.set(f"laike:model:{digest_of(body)}", body)
    store.set("laike:model:wanted", digest_of(manifest))
    return digest_of(manifest)


async def points_profile_and_consent(shop):
    await track(shop, "u1", "Points Earned", points=100)

    async def earned():
        return (await shop.http.get("/v1/customers/u1/points")).json()["balance"]

    assert await eventually(earned) == 100
    pay = {"customer_id": "u1", "points": 60, "for": "order", "order_id": "o1"}
    found = await asyncio.gather(*(send(shop, "/v1/points/redeem", pay) for _ in range(10)))
    assert {one.status_code for one in found} == {200}
    assert {one.json()["balance"] for one in found} == {40}
    more = await send(shop, "/v1/points/redeem", {**pay, "order_id": "o2"})
    assert (more.status_code, more.json()["code"]) == (409, "not_enough")

    word = {"customer_id": "u1", "channels": ["sms"], "text_version": "3"}
    taken = await post(shop, "/v1/consents", word)
    from api.access.accounts import Accounts  # noqa: PLC0415 - one test of three
    from api.access.roles import Role  # noqa: PLC0415

    with Redis.from_url(shop.settings.redis) as store:
        accounts = Accounts(store, shop.settings.secret)
        accounts.add("cli:test", "eve", Role.viewer, "correct horse battery")
        token = accounts.create_token("cli:test", "eve", "t", Role.viewer, 1)
    bearer = {"Authorization": f"Bearer {token}"}
    await track(shop, "u1", "Product Viewed", product_id="p")
    url = f"/v1/customers/u1/profile?min_offset={taken['log_offset']}"
    async with httpx.AsyncClient(base_url=shop.http.base_url) as http:

        async def shown():
            found = await http.get(url, headers=bearer)
            return found.status_code == 200 and found.json()

        profile = await eventually(shown)
        assert profile["log_offset"] >= taken["log_offset"]
        assert profile["features"]["consent.marketing"] == ["sms"]
        assert profile["features"]["points.balance"] == 40
        assert (profile["scores"], profile["model_version"]) == ({}, "")
        with Redis.from_url(shop.settings.redis) as store:
            version = learned(store, shop.settings.secret)

        async def scored():
            found = await shown()
            return found and found["model_version"] == version and found["scores"]

        scores = await eventually(scored)
        assert 0 < scores["purchase.chance_24h"] < 1
        denied = await http.get("/v1/customers/u1/points", headers=bearer)
        assert denied.status_code == 403
        assert (await http.get("/v1/customers/u1/points")).status_code == 401


async def test_the_calls_about_customers(shop):
    """One engine for all of them: to start it takes longer than they do."""
    await page_asks_shows_and_the_customer_claims(shop)
    await one_checkout_of_fifty_gets_the_coupon(shop)
    await points_profile_and_consent(shop)
