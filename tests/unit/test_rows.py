"""Entries become the same rows for ever, and no entry makes a row that a table cannot hold."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.records import Record
from features.events import parse
from sinks.archive import INT32_MAX, event_row
from sinks.outbox import Entry, EntryId
from sinks.rows import (
    MONEY_MAX,
    TIME_MAX,
    TIME_MIN,
    committed,
    instant,
    money,
    refused_row,
    rows_of,
)

NOW = 1_780_000_000_000
COUPON = {"kind": "coupon", "name": "coupon:SAVE", "offer": "SAVE", "code": "AB12CD-EF34GH",
          "off": 10.0, "off_kind": "percent", "over": None, "most": 25.5, "expires_at": NOW + 1000}  # fmt: skip
NOTIFY = {"kind": "notify", "name": "notify:hello", "via": ["push"], "channel": "push",
          "template": "hello", "with": {"n": 1}, "to": "customer"}  # fmt: skip


def decision(**given):
    return {
        "rule": "cart-rescue", "at": NOW, "decision_id": "D" * 26, "cid": "u:1", "run": "1",
        "instance": "c1", "step": "1", "version": "hash", "purpose": "marketing", "result": "act",
        "held": "", "arm": "treated", "split": "", "propensity": 1.0, "model_version": "",
        "values": {"cart.value": "12.5"}, "actions": [COUPON, NOTIFY], "latency_ms": 7,
        "log_offset": 41, "not_after": NOW + 86_400_000, **given,
    }  # fmt: skip


def entry(**given) -> Entry:
    body = {"from": 40, "to": 42, "log_time": NOW + 5, "committed_at": NOW + 6, **given}
    return Entry(3, EntryId(42, 0), orjson.dumps(body))


def rows(**given):
    return rows_of(3, committed(entry(**given)))


def test_an_entry_without_rows_makes_none():
    assert rows() == {}
    assert rows(decisions=[], quarantine=[], facts={"order_facts": []}) == {}


def test_an_acting_decision_is_a_row_and_its_coupon_is_issued():
    found = rows(decisions=[decision()])
    [row] = found["decisions"]
    assert row["shard"] == 3
    assert row["log_offset"] == 41
    assert row["latency_ms"] == 7
    assert orjson.loads(row["actions"]) == [COUPON, NOTIFY]
    [issued] = found["coupon_ledger"]
    assert issued["coupon_id"] == COUPON["code"]
    assert (issued["fact"], issued["seq"], issued["face"]) == ("issued", 0, 25.5)
    assert issued["expires_at"] == NOW + 1000


def test_the_face_of_a_money_coupon_is_what_it_takes_off():
    off = {**COUPON, "off": 30, "off_kind": "money", "most": None}
    assert rows(decisions=[decision(actions=[off])])["coupon_ledger"][0]["face"] == 30.0


def test_a_held_or_shadowed_decision_issues_nothing():
    held = decision(result="hold", held="holdout", arm="holdout")
    assert set(rows(decisions=[held])) == {"decisions"}
    assert set(rows(decisions=[decision(arm="shadow")])) == {"decisions"}


def test_facts_keep_their_version_and_get_one_if_they_have_none():
    found = rows(facts={"order_facts": [{"order_id": "o", "version": 9}, {"order_id": "p"}]})
    assert [row["version"] for row in found["order_facts"]] == [9, 40]


def test_what_was_rejected_is_quarantined_with_its_reason():
    told = {"id": "q1", "source": "web", "reason": "bad_time", "detail": "x", "body": {"a": 1}}
    [row] = rows(quarantine=[told])["quarantine"]
    assert row["at"] == NOW + 5
    assert row["body"] == '{"a":1}'
    assert row["reason"] == "bad_time"


def test_the_same_entry_makes_the_same_rows():
    one = entry(decisions=[decision()], quarantine=[{"id": "q", "reason": "r", "body": "b"}])
    assert rows_of(3, committed(one)) == rows_of(3, committed(one))
    bad = {"at": NOW, "price": "x"}
    assert refused_row("events", bad, "no", NOW) == refused_row("events", dict(bad), "no", NOW)


@given(st.floats() | st.text() | st.none() | st.integers() | st.lists(st.integers()))
def test_any_amount_fits(value):
    assert abs(money(value)) <= MONEY_MAX


@given(st.integers(-(2**63), 2**63))
def test_any_time_fits(ms):
    assert TIME_MIN <= instant(ms) <= TIME_MAX


def test_an_event_is_a_row_with_what_is_asked_most_in_columns():
    said = {
        "type": "track", "event": "Product Added", "userId": "1", "messageId": "m1",
        "timestamp": NOW - 10, "context": {"channel": "web"},
        "properties": {"product_id": 77, "category": "鞋", "price": 12.5, "quantity": 1,
                       "order_id": "o1", "live_id": None},
    }  # fmt: skip
    event = parse(said, source="web", received_at=NOW)
    event.properties |= {
        "price": 1e300,
        "quantity": 10**12,
        "order_id": ["no"],
    }  # a log written by another door
    row = event_row(2, Record(8, NOW + 1, b"u:1", b""), event)
    assert (row["event"], row["cid"], row["shard"], row["log_offset"]) == (
        "Product Added",
        "u:1",
        2,
        8,
    )
    assert (row["product_id"], row["category"], row["order_id"], row["live_id"]) == (
        "77",
        "鞋",
        "",
        "",
    )
    assert row["price"] == MONEY_MAX
    assert row["quantity"] == INT32_MAX
    assert row["at"] == NOW - 10
    assert row["log_time"] == NOW + 1
    assert orjson.loads(row["properties"])["category"] == "鞋"
    assert orjson.loads(row["context"]) == {"channel": "web"}
    assert row["traits"] == ""
