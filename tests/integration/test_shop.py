"""A real shop's first hour: real SDKs through the real door into the real tables, every call once."""

import time
from types import SimpleNamespace

import clickhouse_connect
import httpx
import pytest

from api.up_lock import running
from tests.integration.test_up import key_of, started, wait_for
from tests.sdk_drivers import drive_browser, drive_node, drive_python, missing_browser, missing_node

THIRD_LOOK = """
rule: third-look
title: A third look
owner: tests
status: live
when: {event: Product Viewed, count: 3, within: 24h}
once_per: product
holdout: 0%
do:
  - notify: {via: [push], template: again}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An engine in wall time with nobody but these tests to talk to it."""
    data, rules = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("rules")
    (rules / "campaigns").mkdir()
    (rules / "campaigns" / "third-look.yaml").write_text(THIRD_LOOK)
    given = ("--no-simulate", "--clock", "wall", "--data", data, "--rules", rules)
    with started("up", *given) as up:
        holder = wait_for(lambda: (found := running(data)) and found.api and found)
        url = wait_for(lambda: _clickhouse(data))
        client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)
        keys = dict(line.split() for line in (data / "write-keys.txt").read_text().splitlines())
        assert key_of(data) == keys["server"]
        yield SimpleNamespace(url=holder.api, keys=keys, rows=client, data=data)
        client.close()
        up.terminate()
        assert up.wait(30) == 0


def _clickhouse(data):
    holder = running(data)
    return getattr(holder, "clickhouse", "")


def events_of(shop, sent):
    customers = [cid for cid, _ in sent]
    found = shop.rows.query(
        "SELECT cid, groupArray(event) FROM (SELECT cid, event FROM events FINAL WHERE cid IN"
        " {cids:Array(String)} ORDER BY log_offset) GROUP BY cid",
        parameters={"cids": customers},
    )
    return {cid: list(names) for cid, names in found.result_rows}


def raw_count(shop, sent):
    query = "SELECT count() FROM events WHERE cid IN {cids:Array(String)}"
    return shop.rows.query(query, parameters={"cids": [cid for cid, _ in sent]}).result_rows[0][0]


def assert_in_clickhouse(shop, sent):
    wanted = {cid: names for cid, names in sent if names}
    wait_for(lambda: events_of(shop, sent) == wanted)
    time.sleep(0.3)
    assert events_of(shop, sent) == wanted
    assert raw_count(shop, sent) == sum(map(len, wanted.values()))


@pytest.mark.sdk
def test_every_call_of_the_python_sdk_is_one_row(shop):
    assert_in_clickhouse(shop, drive_python(shop.url, shop.keys["server"], 120))


@pytest.mark.sdk
@pytest.mark.skipif(bool(missing_node()), reason=missing_node() or "node is here")
def test_every_call_of_the_node_sdk_is_one_row(shop):
    assert_in_clickhouse(shop, drive_node(shop.url, shop.keys["server"], 120))


@pytest.mark.sdk
@pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "a browser is here")
def test_every_call_of_analytics_js_in_a_browser_is_one_row(shop):
    def arrived(count):
        there = "SELECT count() FROM events FINAL WHERE cid LIKE '%:web-%'"
        wait_for(lambda: one(shop, there)[0][0] >= count)

    assert_in_clickhouse(shop, drive_browser(shop.url, shop.keys["web"], 20, arrived))


def post(shop, path, body, key="server"):
    return httpx.post(f"{shop.url}{path}", json=body, auth=(shop.keys[key], ""), timeout=30)


def one(shop, sql, **parameters):
    return shop.rows.query(sql, parameters=parameters).result_rows


def track(who, name, number, **properties):
    return {"type": "track", "event": name, "messageId": f"{name}-{number}", **who,
            "properties": properties}  # fmt: skip


def test_a_visitor_becomes_a_customer_and_is_one_in_the_views(shop):
    visitor, customer = {"anonymousId": "visitor-1"}, {"userId": "customer-1"}
    post(shop, "/v1/batch", {"batch": [track(visitor, "Product Viewed", n, product_id="p1")
                                       for n in range(2)]})  # fmt: skip
    post(shop, "/v1/identify", {**visitor, **customer, "messageId": "who"})
    wait_for(lambda: one(shop, "SELECT cid FROM identities FINAL WHERE alias = 'a:visitor-1'"))
    # The third view of p1 in a day, by the customer now: the rule counts all three.
    post(shop, "/v1/track", track(customer, "Product Viewed", 3, product_id="p1"))
    post(shop, "/v1/track", track(visitor, "Product Viewed", 4, product_id="p2"))  # a late one
    find = "SELECT DISTINCT cid, instance FROM decisions FINAL WHERE rule = 'third-look'"
    wait_for(lambda: one(shop, f"{find} AND instance = 'p1'"))
    assert one(shop, f"{find} AND instance = 'p1'") == [("u:customer-1", "p1")]
    views = "SELECT count() FROM v_events WHERE cid = 'u:customer-1'"
    wait_for(lambda: one(shop, views) == [(5,)])


def test_one_bad_event_of_a_batch_goes_to_quarantine_and_the_others_are_rows(shop):
    batch = [
        track({"userId": "careful"}, "Product Added", 1, product_id="p", price="12.50", quantity=1),
        track({"userId": "careful"}, "Product Added", 2, product_id="p", price="cheap"),
        track({}, "Product Viewed", 3),
        track({"userId": "careful"}, "Something New", 4, size=3),
    ]
    answer = post(shop, "/v1/batch", {"batch": batch})
    assert answer.status_code == 200
    wait_for(lambda: len(one(shop, "SELECT * FROM quarantine FINAL")) == 2)
    told = one(shop, "SELECT reason, detail FROM quarantine FINAL ORDER BY reason")
    assert [reason for reason, _ in told] == ["bad_number", "missing_id"]
    assert "properties.price" in told[0][1]
    find = "SELECT event, toFloat64(price) FROM events FINAL WHERE cid = 'u:careful' ORDER BY event"
    wait_for(lambda: len(one(shop, find)) == 2)
    assert one(shop, find) == [("Product Added", 12.5), ("Something New", 0.0)]


def test_a_duplicate_id_with_other_content_keeps_the_first(shop):
    for price in (1, 2):
        post(shop, "/v1/track", track({"userId": "twice"}, "Product Added", 1, product_id="p",
                                      price=price, quantity=1))  # fmt: skip
    post(shop, "/v1/track", track({"userId": "twice"}, "Cart Viewed", 2))
    find = "SELECT event, toFloat64(price) FROM events WHERE cid = 'u:twice' ORDER BY event"
    wait_for(lambda: len(one(shop, find)) == 2)
    assert one(shop, find) == [("Cart Viewed", 0.0), ("Product Added", 1.0)]


def test_times_in_the_future_are_now_and_years_late_is_kept(shop):
    now = time.time()
    for number, stamp in enumerate(("2099-01-01T00:00:00Z", "2009-01-01T00:00:00Z")):
        call = track({"userId": "clocks"}, "Cart Viewed", f"c{number}")
        post(shop, "/v1/track", call | {"timestamp": stamp})
    find = "SELECT toUnixTimestamp64Milli(at) / 1000 FROM events WHERE cid = 'u:clocks' ORDER BY at"
    wait_for(lambda: len(one(shop, find)) == 2)
    late, future = (at for (at,) in one(shop, find))
    assert late == 1230768000
    assert abs(future - now) < 1000  # seconds; it said 2099
