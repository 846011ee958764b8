"""The whole relay on a real Redis and a real ClickHouse: repeats add nothing, outages lose nothing."""

import asyncio
import time
from types import SimpleNamespace

import orjson
import pytest

from engine.ending import end
from engine.records import Append
from engine.settings import Settings
from features.events import encode, parse
from sinks.clickhouse import connect, migrate
from sinks.embedded import process
from sinks.latency import Latency
from sinks.outbox import EntryId, Reader, drained
from sinks.relay import run_relay
from sinks.relay_loop import Away
from sinks.relay_tables import Decisions, Outcomes, Tables, publish_rules
from tests.integration.relay_parts import NOW, commit, decision, letter, running
from tests.patience import until

SHARDS = 2
TODAY = round(time.time()) * 1000  # the table of what was quarantined forgets after 90 days


@pytest.fixture
def tables(clickhouse):
    """A client where the migrations are applied."""
    migrate(clickhouse)
    return clickhouse


def settings(tmp_path, **given) -> Settings:
    return Settings(data=tmp_path, secret=b"0123456789abcdef", shards=SHARDS, **given)


def count(client, table: str, what: str = "count()") -> int:
    return client.query(f"SELECT {what} FROM {table} FINAL").result_rows[0][0]


def event(number: int) -> bytes:
    said = {"type": "track", "event": "Product Viewed", "userId": "1", "messageId": f"m{number}",
            "properties": {"product_id": f"p{number}", "price": 9.99}}  # fmt: skip
    return encode(parse(said, source="web", received_at=NOW + number))


async def put(log, redis, shard: int, numbers: range, **given) -> None:
    """Events in the log, and the commit that applied them."""
    await log.append([Append(shard, b"u:1", event(n)) for n in numbers])
    to = (await log.ends())[shard]
    await commit(redis, shard, to - len(numbers), to, **given)


FACT = {"order_id": "o1", "fact": "paid", "line": 0, "at": NOW, "message_id": "o1", "cid": "u:1",
        "quantity": 1, "amount": 99.5, "promised_at": None, "version": 3}  # fmt: skip


def relay(settings, log, redis, connecting):
    return lambda stop: run_relay(settings, log, redis, connecting, stop)


async def test_everything_arrives_once_and_a_repeat_adds_nothing(
    redis, log, tables, clickhouse_database, tmp_path
):
    connecting = lambda: connect(clickhouse_database)  # noqa: E731
    told = settings(tmp_path)
    async with running(relay(told, log, redis, connecting)):
        for number in range(0, 40, 2):
            shard = number // 2 % SHARDS
            await put(
                log, redis, shard, range(number, number + 2),
                decisions=[decision(number)], facts={"order_facts": [FACT]},
                quarantine=[{"id": f"q{number}", "at": TODAY, "reason": "bad_time", "body": "{}"}],
            )  # fmt: skip
        await until(lambda: drained(redis, SHARDS))
        health = await until(lambda: _told(redis, "clickhouse"))
    expected = {"events": 40, "decisions": 20, "coupon_ledger": 20, "outcomes": 20,
                "order_facts": 1, "quarantine": 20}  # fmt: skip
    assert {table: count(tables, table) for table in expected} == expected
    assert float(health[b"p50_ms"]) >= 3
    assert count(tables, "events", "uniqExact(product_id)") == 40
    assert count(tables, "coupon_ledger", "toFloat64(sum(face))") == 100
    assert len((tmp_path / "sent.jsonl").read_bytes().splitlines()) == 20

    for shard in range(SHARDS):
        for sink in ("clickhouse", "archive", "channel-log", "outcomes"):
            await redis.delete(f"{{s{shard}}}:cursor:{sink}")
    async with running(relay(told, log, redis, connecting)):
        await until(lambda: drained(redis, SHARDS))
    assert {table: count(tables, table) for table in expected} == expected
    assert len((tmp_path / "sent.jsonl").read_bytes().splitlines()) == 20


async def _told(redis, sink: str):
    said = await redis.hgetall(f"laike:sink:{sink}")
    return said if int(said.get(b"written", 0)) and int(said[b"lag"]) == 0 else None


async def test_clickhouse_away_and_back(redis, log, tmp_path):
    folder = tmp_path / "clickhouse"
    embedded = process.start(folder)
    url, port = embedded.url, int(embedded.url.rsplit(":", 1)[1])
    client = connect(url)
    migrate(client)
    client.close()
    connecting = lambda: connect(url, timeout_seconds=5)  # noqa: E731
    async with running(relay(settings(tmp_path), log, redis, connecting)):
        await put(log, redis, 0, range(5), decisions=[decision(1)])
        await until(lambda: drained(redis, SHARDS))
        embedded.process.kill()
        embedded.process.wait()
        await put(log, redis, 0, range(5, 10), decisions=[decision(2)], letters=[letter(0, 1, 0)])
        await until(lambda: _letter_in(log, 1))
        await until(lambda: _sent(tmp_path, 2))
        await until(lambda: _failing(redis, "clickhouse"))
        assert not await drained(redis, SHARDS)
        embedded = process.start(folder, port)
        await until(lambda: drained(redis, SHARDS))
    client = connect(url)
    assert count(client, "events") == 10
    assert count(client, "decisions") == 2
    assert count(client, "outcomes") == 2
    client.close()
    embedded.stop()


async def _letter_in(log, shard: int):
    return [record for record in await log.read(shard, 0, 10) if record.key == b"!letter"]


async def _sent(tmp_path, lines: int) -> bool:
    file = tmp_path / "sent.jsonl"
    return file.exists() and len(file.read_bytes().splitlines()) == lines


async def _failing(redis, sink: str) -> bool:
    return int(await redis.hget(f"laike:sink:{sink}", "failing") or 0) > 0


async def test_the_relay_starts_before_clickhouse_and_ends_while_it_is_away(redis, log, tmp_path):
    connecting = lambda: connect("http://127.0.0.1:9", timeout_seconds=1)  # noqa: E731
    async with running(relay(settings(tmp_path), log, redis, connecting)):
        await put(log, redis, 0, range(2), decisions=[decision(1)])
        await until(lambda: _sent(tmp_path, 1))
    assert not await drained(redis, SHARDS)
    assert (await redis.hget("laike:sink:clickhouse", "last_error")).startswith(b"Away: ClickHouse")


async def test_a_row_that_no_table_can_hold_is_set_aside(tables, clickhouse_database, redis):
    rotten = {**FACT, "at": TODAY, "order_id": "rotten", "amount": 1e300}
    stranger = {**FACT, "at": TODAY, "order_id": "stranger", "colour": "red"}
    good = [{**FACT, "order_id": f"o{n}"} for n in range(20)]
    await commit(redis, 0, 0, 1, facts={"order_facts": [*good[:10], rotten, stranger, *good[10:]]})
    entries = await Reader(redis, SHARDS).read({0: EntryId(0, 0)}, 10)
    sink = Decisions(Tables(lambda: connect(clickhouse_database)), Latency())
    assert await sink.take(entries) == 22
    assert await sink.take(entries) == 22
    assert count(tables, "order_facts") == 20
    aside = tables.query(
        "SELECT reason, detail, body FROM quarantine FINAL ORDER BY detail"
    ).result_rows
    assert len(aside) == 2
    assert {reason for reason, _, _ in aside} == {"row_refused"}
    assert {orjson.loads(body)["row"]["order_id"] for _, _, body in aside} == {"rotten", "stranger"}


async def test_rows_of_many_months_fit_into_one_insert(tables, clickhouse_database, redis):
    """An event may be years late; ClickHouse refuses inserts into over 100 partitions unasked."""
    month = 31 * 86_400_000
    rows = [{**FACT, "order_id": f"o{n}", "at": NOW - n * month} for n in range(150)]
    await commit(redis, 0, 0, 1, facts={"order_facts": rows})
    entries = await Reader(redis, SHARDS).read({0: EntryId(0, 0)}, 10)
    await Decisions(Tables(lambda: connect(clickhouse_database)), Latency()).take(entries)
    assert count(tables, "order_facts") == 150


async def test_a_missing_table_is_away_not_lost(clickhouse, clickhouse_database):
    place = Tables(lambda: connect(clickhouse_database))
    with pytest.raises(Away, match="migrations"):
        await place.put({"order_facts": [FACT]})
    migrate(clickhouse)
    assert await place.put({"order_facts": [FACT]}) == 1
    assert count(clickhouse, "order_facts") == 1


async def test_outcomes_of_a_killed_relay_are_told_once(
    redis, log, tables, clickhouse_database, tmp_path
):
    connecting = lambda: connect(clickhouse_database)  # noqa: E731
    told = settings(tmp_path)
    for number in range(60):
        await put(log, redis, number % 2, range(number, number + 1), decisions=[decision(number)])
    for pause in (0.05, 0.15, 0.25):
        task = asyncio.create_task(run_relay(told, log, redis, connecting, asyncio.Event()))
        await asyncio.sleep(pause)
        await end([task])
    async with running(relay(told, log, redis, connecting)):
        await until(lambda: drained(redis, SHARDS))
    assert count(tables, "outcomes") == 60
    assert count(tables, "decisions") == 60
    assert count(tables, "events") == 60
    assert tables.query("SELECT DISTINCT fact FROM outcomes").result_rows == [("sent",)]
    assert len((tmp_path / "sent.jsonl").read_bytes().splitlines()) == 60


async def test_other_rows_may_ride_on_the_relays_own_stream(tables, clickhouse_database, redis):
    metric = {"model": "purchase", "at": NOW, "version": "v", "metric": "auc", "value": 0.7,
              "examples": 10}  # fmt: skip
    await redis.xadd("{s0}:outcomes", {b"b": orjson.dumps({"model_metrics": [metric]})})
    entries = await Reader(redis, SHARDS, "outcomes").read({0: EntryId(0, 0)}, 10)
    assert await Outcomes(Tables(lambda: connect(clickhouse_database))).take(entries) == 1
    assert count(tables, "model_metrics") == 1


def test_published_rules_are_rows(tables):
    rule = SimpleNamespace(
        name="cart-rescue", title="t", owner="o", purpose="marketing", status="live"
    )
    files = {"campaigns/cart-rescue.yaml": "rule: cart-rescue\n"}
    book = SimpleNamespace(sources=files, hash="abc", rules={rule.name: rule})
    for _ in range(2):
        assert publish_rules(tables, book, NOW, "me") == 1
    assert tables.query("SELECT rule, version, body FROM rules FINAL").result_rows == [
        ("cart-rescue", "abc", "rule: cart-rescue\n")
    ]
