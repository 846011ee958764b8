"""Two real workers: rules edited while customers are inside, and codes imported from a file."""

import asyncio
import json
import time

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli import app
from engine.records import Append
from engine.settings import Settings
from engine.shards import partition
from features.events import encode, key, parse
from rules.load import book_from_sources
from sinks.outbox import Entry, EntryId
from sinks.relay_letters import letters_of
from tests.fixtures_workers import end, start_real_worker
from tests.patience import SECONDS, until

SHARDS = 2
SECRET = b"0123456789abcdef"
WAY = """
rule: way
title: t
owner: o
status: live
purpose: service
when: {event: Signed Up}
once_per: customer
do:
  - notify: {via: [push], template: hello}
  - wait: 4s
  - notify: {via: [push], template: %s}
"""
GIVE = """
rule: give
title: t
owner: o
status: live
purpose: service
when: {event: Product Viewed}
once_per: event
do:
  - coupon: {offer: VIP, off: 5, valid: 1d}
"""
VIP = "offer: VIP\ncodes: {pool: vip}\n"
PEOPLE = [f"p{n}" for n in range(6)]


def book(template: str) -> dict[str, str]:
    files = {"campaigns/way.yaml": WAY % template, "campaigns/give.yaml": GIVE}
    return {**files, "offers/vip.yaml": VIP}


@pytest.fixture
def engine(redis_empty, tmp_path, monkeypatch):
    """Two workers on one Redis, in wall time; letters are carried by hand."""
    (tmp_path / "secret").write_bytes(SECRET)
    url = redis_empty.url
    for name, value in {"REDIS": url, "LOG": url, "DATA": tmp_path, "SHARDS": SHARDS}.items():
        monkeypatch.setenv(f"LAIKE_{name}", str(value))
    settings = Settings(data=tmp_path, secret=SECRET, log=url, redis=url, shards=SHARDS)
    with redis_empty.client() as store:
        one = _Engine(store, settings)
        one.publish(book("old"))
        workers = [
            start_real_worker(settings, LAIKE_WORKER_COUNT="2", LAIKE_WORKER_INDEX=str(n))
            for n in range(2)
        ]
        try:
            yield one
        finally:
            told = [end(worker) for worker in workers]
        assert [code for code, _ in told] == [0, 0], told


class _Engine:
    def __init__(self, store, settings):
        self.store, self.settings = store, settings
        self.carried = [0] * SHARDS
        self.count = 0

    def publish(self, sources) -> str:
        made = book_from_sources(sources)
        self.store.set(f"laike:rules:{made.hash}", json.dumps(sources))
        self.store.set("laike:rules:wanted", made.hash)
        return made.hash

    def in_force(self, version: str) -> bool:
        states = self.store.mget([f"{{s{n}}}:shard" for n in range(SHARDS)])
        return all(state and version.encode() in state for state in states)

    async def send(self, log, who, name, **properties):
        self.count += 1
        now = round(time.time() * 1000)
        call = {"type": "track", "event": name, "userId": who, "messageId": f"m{self.count}",
                "timestamp": now, "properties": properties}  # fmt: skip
        event = parse(call, source="shop", received_at=now)
        where = key(event)
        await log.append([Append(partition(where, SHARDS), where, encode(event), now)])

    async def carry(self, log):
        """What the relay does with letters."""
        for shard in range(SHARDS):
            found = self.store.xrange(f"{{s{shard}}}:outbox")
            entries = [Entry(shard, EntryId.parse(name), fields[b"b"]) for name, fields in found]
            for entry in entries[self.carried[shard] :]:
                await log.append(letters_of(entry))
            self.carried[shard] = len(entries)

    def rows(self, rule):
        return [
            row
            for shard in range(SHARDS)
            for _, fields in self.store.xrange(f"{{s{shard}}}:outbox")
            for row in orjson.loads(fields[b"b"]).get("decisions", ())
            if row["rule"] == rule and row["result"] == "act"
        ]


async def laike(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_who_is_inside_finishes_on_every_worker_and_each_code_goes_to_one(
    engine, log, tmp_path
):
    codes = tmp_path / "codes.txt"
    codes.write_text("# theirs\n" + "".join(f"VIP-{n:04}\n" for n in range(4)))
    told = await laike("coupons", "import", "VIP", str(codes), "--json")
    assert json.loads(told.stdout) == {"offer": "VIP", "pool": "vip", "codes": 4}
    assert (await laike("coupons", "import", "VIB", str(codes))).exit_code == 2
    first = book_from_sources(book("old")).hash
    await until(lambda: engine.in_force(first))
    for who in PEOPLE:
        await engine.send(log, who, "Signed Up")
    await until(lambda: len(engine.rows("way")) == len(PEOPLE))
    second = engine.publish(book("new"))
    await until(lambda: engine.in_force(second))
    for who in PEOPLE:
        await engine.send(log, f"{who}-later", "Signed Up")
        await engine.send(log, who, "Product Viewed", product_id="p")
    deadline = time.monotonic() + SECONDS
    while len(engine.rows("way")) < 4 * len(PEOPLE) or len(engine.rows("give")) < 4:
        assert time.monotonic() < deadline, engine.rows("way")
        await engine.carry(log)
        await until(lambda: True)
    last = {
        row["cid"]: (row["actions"][0]["template"], row["version"])
        for row in engine.rows("way")
        if row["actions"][0]["template"] != "hello"
    }
    assert last == {
        **{f"u:{who}": ("old", first) for who in PEOPLE},
        **{f"u:{who}-later": ("new", second) for who in PEOPLE},
    }
    given = [row["actions"][0]["code"] for row in engine.rows("give")]
    assert sorted(given) == [f"VIP-{n:04}" for n in range(4)]
    left = await laike("coupons", "left", "VIP", "--json")
    assert json.loads(left.stdout) == {"offer": "VIP", "pool": "vip", "taken_in": 4, "left": 0}
