"""What was quarantined goes back by the door's own parse, once, and says it when it cannot."""

import asyncio
import json
import re

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from api.cli_quarantine import retry_rejected, show_rejected
from api.retry import Rejected, Still, record_of
from engine.records import Append
from engine.shards import partition
from features.events import decode, encode, parse
from sinks.clickhouse import connect
from tests.fixtures_stack import SHARDS, Stack
from tests.patience import until

AT = 1_780_000_000_000
EVENT = {"type": "track", "userId": "u1", "event": "Product Viewed"}


def row(body: str, source: str = "server", reason: str = "missing_id", **given) -> Rejected:
    return Rejected("q1", given.pop("at", AT), source, reason, "", body, 0)


def as_event(append: Append) -> dict:
    assert append.shard == partition(append.key, SHARDS)
    return json.loads(append.value)


def back(rejected: Rejected, **trusted: bool) -> dict:
    return as_event(record_of(rejected, SHARDS, trusted or {"server": True}))


def test_a_call_goes_back_as_the_door_would_have_taken_it_then():
    kept = json.dumps({**EVENT, "properties": {"price": "12.50"}})
    event = back(row(kept))
    assert event["timestamp"] == event["receivedAt"] == AT
    assert event == json.loads(encode(parse(json.loads(kept), source="server", received_at=AT)))
    assert back(row(kept, at=AT + 5))["messageId"] == event["messageId"]  # so a repeat is known


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (row('{"type": "track", "userId": "u1"}'), "missing_event"),
        (row(json.dumps({**EVENT, "event": "Order Paid"}), source="web"), "forbidden"),
        (
            row(json.dumps({**EVENT, "event": "Order Paid"}), source="a source now gone"),
            "forbidden",
        ),
        (row('{"type": "track", "text": "' + "x" * 40_000), "unreadable"),
        (row('["no object"]'), "bad_type"),
        (row("(nested too deep to be shown)"), "unreadable"),
        (row("{", "shard 1, offset 7", "unreadable"), "unreadable"),
        (row('{"at":1}', "shard 1, offset 7", "poison_timer"), "poison_timer"),
        (row('{"table":"decisions"}', "sinks", "row_refused"), "row_refused"),
    ],
)
def test_what_is_still_bad_stays_and_says_why(kept: Rejected, reason: str):
    with pytest.raises(Still) as still:
        record_of(kept, SHARDS, {"server": True, "web": False})
    assert still.value.reason == reason
    assert len(still.value.detail) > 10


def test_a_poison_record_goes_back_by_its_own_key_and_as_no_row_of_a_file():
    event = parse({**EVENT, "messageId": "m1"}, source="server", received_at=AT)
    value = encode(event)
    event.row = ["file", 3]
    append = record_of(row(encode(event).decode(), "shard 9, offset 1", "poison"), SHARDS, {})
    assert append == Append(partition(b"u:u1", SHARDS), b"u:u1", value, event.at)
    assert decode(append.value).row == []


class Shop:
    def __init__(self, stack: Stack, capsys: pytest.CaptureFixture, client: Client) -> None:
        self.stack, self.capsys, self.client = stack, capsys, client

    def rows(self, columns: str, order: str = "reason") -> list:
        told = f"SELECT {columns} FROM quarantine FINAL ORDER BY {order}"
        return list(self.client.query(told).result_rows)

    async def retry(self, *ids: str, reason: str | None = None, dry_run: bool = False):
        told = {"dry_run": dry_run, "as_json": True}
        data = self.stack.settings.data
        code = await asyncio.to_thread(retry_rejected, data, ids, reason, **told)
        return code, json.loads(self.capsys.readouterr().out.splitlines()[-1])


async def test_a_mended_source_and_a_retry_on_a_whole_engine(
    stack: Stack, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)
    await stack.put_in_place()
    shop = Shop(stack, capsys, connect(stack.settings.clickhouse))
    lines = (stack.settings.data / "write-keys.txt").read_text().splitlines()
    web = httpx.BasicAuth(dict(line.split() for line in lines)["web"], "")
    paid = {"type": "track", "userId": "u1", "event": "Order Paid", "properties": {"order_id": "1"}}
    batch = {
        "batch": [EVENT, paid, {"type": "track", "userId": "u1"}, {"type": "track", "event": "X"}]
    }
    async with stack.relay(), stack.worker():
        assert (await stack.http.post("/v1/batch", json=batch, auth=web)).status_code == 200
        await until(lambda: len(shop.rows("reason")) == 3)
        reasons = [reason for (reason,) in shop.rows("reason")]
        assert reasons == ["forbidden", "missing_event", "missing_id"]

        code, told = await shop.retry(dry_run=True)
        assert (code, told["retried"], told["refused"], told["dry_run"]) == (1, 0, 3, True)
        assert {one["reason"] for one in told["still"]} == set(reasons)

        sources = stack.settings.data / "sources.json"
        file = json.loads(sources.read_text())
        for source in file:
            source["trusted"] = True
        sources.write_text(json.dumps(file))
        before = (await stack.status()).events_in
        code, told = await shop.retry(reason="forbidden", dry_run=True)
        assert (code, told["retried"], told["refused"]) == (0, 1, 0)
        assert (await stack.status()).events_in == before

        code, told = await shop.retry()
        assert (code, told["retried"], told["refused"]) == (1, 1, 2)
        now = await stack.drained()
        assert (now.events_processed, now.quarantined) == (2, 3)
        assert [bool(at) for (at,) in shop.rows("retried_at")] == [True, False, False]

        code, told = await shop.retry()  # what went back is not asked for again
        assert (told["retried"], told["refused"]) == (0, 2)
        ((mark,),) = shop.client.query(
            "SELECT quarantine_id FROM quarantine FINAL WHERE reason = 'forbidden'"
        ).result_rows
        code, told = await shop.retry(mark)  # unless by its id: then it is a repeat
        assert (code, told["retried"]) == (0, 1)
        now = await stack.drained()
        assert (now.events_processed, now.duplicates_dropped) == (2, 1)
        assert show_rejected(stack.settings.data, mark, as_json=False) == 0
        assert show_rejected(stack.settings.data, "none", as_json=True) == 1
        assert re.search(r"retried_at\s*│ 20\d\d-", capsys.readouterr().out)
    shop.client.close()
