"""A customer's rights on a whole engine: sealed at rest, exported in plain, erased to the last byte."""

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from engine.log import LogAway
from engine.logs.redis import RedisLog
from engine.logs.redis_server import die_with_parent
from sinks.clickhouse import connect
from sinks.erase import STEPS
from sinks.erase_tables import restore_tombstones
from tests.fixtures_stack import Stack
from tests.fixtures_workers import ROOT
from tests.integration.erasing_relay import PLACES
from tests.patience import SECONDS

USER, VISITOR = "zebra-user-7391", "zebra-visitor-5528"
EMAIL, PHONE = "zebra.mail.4410@example.com", "+8613800447126"
CONTACTS = (EMAIL, PHONE, "Zebra Fullname", "1988-03-09")
NAMES = (USER, VISITOR)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def calls():
    """One person, first unknown, and another one beside him."""
    view = {"type": "track", "event": "Product Viewed", "properties": {"product_id": "p1"}}
    traits = {"email": EMAIL, "phone": PHONE, "name": "Zebra Fullname", "birthday": "1988-03-09"}
    paid = {"order_id": "zo-1", "total": 20, "products": [{"product_id": "p1", "price": 20}]}
    return [
        {**view, "anonymousId": VISITOR, "messageId": "z1"},
        {**view, "userId": "bystander", "messageId": "b1"},
        {"type": "identify", "userId": USER, "anonymousId": VISITOR, "messageId": "z2",
         "traits": traits, "context": {"ip": "10.9.8.7", "device": {"token": "zebra-push"}}},
        {"type": "track", "event": "Product Added", "userId": USER, "messageId": "z3",
         "properties": {"product_id": "p1", "cart_id": "zc", "price": 20}},
        {"type": "track", "event": "Order Paid", "userId": USER, "messageId": "z4",
         "properties": paid},
        {"type": "track", "event": "Order Paid", "userId": USER, "messageId": "z5",
         "properties": {"total": "not a number", "email": EMAIL}},
    ]  # fmt: skip


def holding(folder: Path, *needles: str) -> dict[str, list[str]]:
    """Files with any of these bytes -> which; what another process deletes meanwhile has none."""
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        try:
            body = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if hits := [needle for needle in needles if needle.encode() in body]:
            found[str(path.relative_to(folder))] = hits
    return found


async def settle(stack: Stack, question: str, wanted: int) -> None:
    deadline = time.monotonic() + SECONDS
    client = connect(stack.settings.clickhouse)
    while client.query(question).result_rows[0][0] != wanted:
        assert time.monotonic() < deadline, question
        await asyncio.sleep(0.2)
    client.close()


async def laike(stack: Stack, *words: str) -> int:
    variables = {**os.environ, **stack.settings.environment(), "PYTHONPATH": str(ROOT)}
    told = [sys.executable, "-m", "api.cli", *words, "--data", str(stack.settings.data)]
    process = await asyncio.create_subprocess_exec(*told, env=variables, cwd=ROOT)
    return await process.wait()


async def refused(stack: Stack) -> None:
    """Neither a browser's key nor nobody at all may ask."""
    lines = (stack.settings.data / "write-keys.txt").read_text().splitlines()
    keys = dict(line.split() for line in lines)
    asked = {"customer_id": USER, "proof": "none"}
    for auth, status in (((keys["web"], ""), 403), (("nonsense", ""), 401)):
        assert (await stack.http.post("/v1/erasures", json=asked, auth=auth)).status_code == status
        export = await stack.http.get(f"/v1/customers/{USER}/export", auth=auth)
        assert export.status_code == status
    for bad in ({"customer_id": "u:", "proof": "x"}, {"customer_id": "al"}):
        assert (await stack.http.post("/v1/erasures", json=bad)).status_code in {400, 422}
    server = {"authorization": f"Bearer {keys['server']}"}
    missing = await stack.http.get("/v1/erasures/none", auth=None, headers=server)
    assert missing.status_code == 404


async def done(stack: Stack, name: str, seconds: float = SECONDS) -> dict:
    deadline = time.monotonic() + seconds
    while True:
        told = (await stack.http.get(f"/v1/erasures/{name}")).json()
        if told["status"] == "done":
            return told
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.3)


async def _away(*_: object) -> None:
    raise LogAway("it was killed")


@asynccontextmanager
async def dying_relay(stack: Stack):
    """A relay that dies at every step of an erasure; where it died, line by line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.erasing_relay", cwd=ROOT,
        env=os.environ | stack.settings.environment(), stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        yield process.stdout
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), SECONDS) == 0


async def test_sealed_exported_erased_through_every_kill_and_never_back(stack: Stack, monkeypatch):
    await stack.put_in_place()
    folder = stack.settings.data
    async with stack.worker() as worker, stack.relay():
        assert (await stack.http.post("/v1/batch", json={"batch": calls()})).status_code == 200
        await stack.drained()
        await settle(stack, f"SELECT count() FROM events WHERE user_id = '{USER}'", 3)
        await settle(stack, "SELECT count() FROM quarantine", 1)
        assert holding(folder, *CONTACTS, "zebra-push", "10.9.8.7") == {}
        assert holding(folder, USER)

        told = (await stack.http.get(f"/v1/customers/{VISITOR}/export")).json()
        assert told["tables"] == {}  # a name without its kind is a user's
        told = (await stack.http.get(f"/v1/customers/a:{VISITOR}/export")).json()
        assert told["customer_id"] == f"u:{USER}"
        assert told["contacts"]["email"]["address"] == EMAIL
        assert told["contacts"]["push"]["address"] == "zebra-push"
        assert told["features"]["contact.birthday_md"] == 309
        assert {row["message_id"] for row in told["tables"]["events"]} == {"z1", "z2", "z3", "z4"}
        identified = next(r for r in told["tables"]["events"] if r["type"] == "identify")
        assert identified["traits"]["name"] == "Zebra Fullname"
        assert identified["context"]["ip"] == "10.9.8.7"
        assert told["tables"]["order_facts"]
        assert told["tables"]["quarantine"][0]["body"]["properties"]["email"] == EMAIL

        assert await laike(stack, "keys", "rotate", "--json") == 0
        assert await laike(stack, "export", USER, "--out", str(folder / "zebra.json")) == 0
        assert (folder / "zebra.json").stat().st_mode & 0o777 == 0o600
        assert json.loads((folder / "zebra.json").read_bytes())["contacts"] == told["contacts"]
        (folder / "zebra.json").unlink()
        await refused(stack)

        asked = {"customer_id": USER, "proof": "ticket 12, identity card seen"}
        repeated = {"idempotency-key": "k1"}
        with (
            monkeypatch.context() as patched
        ):  # the API noted it, and died before the record was in
            patched.setattr(RedisLog, "append", _away)
            answer = await stack.http.post("/v1/erasures", json=asked, headers=repeated)
            assert answer.status_code == 503
        accepted = await stack.http.post("/v1/erasures", json=asked, headers=repeated)
        assert accepted.status_code == 202
        worker.kill()

    async with stack.worker(), dying_relay(stack) as relay:
        began = time.monotonic()
        name = accepted.json()["erasure_id"]
        report = await done(stack, name)
        print(f"erased in {time.monotonic() - began:.1f} s: {report}")  # noqa: T201 - a figure
        for step, when in PLACES:
            assert (await relay.readline()).decode() == f"{step} {when}\n"
        assert report["done"] == list(STEPS)
        assert report["erased"]["tombstones"] == 2
        assert "proof" in report
        assert "ticket" not in str(report)
        assert holding(folder, *NAMES, *CONTACTS) == {}

        repeated = {"idempotency-key": "k2"}
        names = [
            (await stack.http.post("/v1/erasures", json=asked, headers=repeated)).json()
            for _ in range(2)
        ]
        assert names[0] == names[1]
        await done(stack, names[0]["erasure_id"])
        with redis.Redis.from_url(stack.settings.redis) as store:  # as if Redis were another one
            stones = store.keys("{s*}:c:x:*")
            assert len(stones) >= 3
            store.delete(*stones)
            assert restore_tombstones(store, connect(stack.settings.clickhouse)) == 2
            assert set(store.keys("{s*}:c:x:*")) == set(stones)

        again = await stack.http.post("/v1/batch", json={"batch": _stamped(calls())})
        assert again.status_code == 200
        status = await stack.drained()
        assert status.erased == 3 + 4
        assert (await stack.numbers())["events_erased_total"] == {"": 7}
        await asyncio.sleep(1)
        told = (await stack.http.get(f"/v1/customers/{USER}/export")).json()
        assert told["contacts"] == {}
        assert told["tables"].keys() <= {"quarantine"}


def _stamped(items: list[dict]) -> list[dict]:
    """The same calls as a history tells them: when they happened, under new message ids."""
    before = "2026-01-01T00:00:00Z"
    return [
        {**item, "messageId": f"again-{item['messageId']}", "timestamp": before} for item in items
    ]
