"""Real processes killed for a short while; and the audit finds what it is there to find."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from engine.logs import broker
from simulator.kills import faults
from simulator.kills.audit import Audit
from simulator.kills.machine import Process
from simulator.kills.proxy import Proxy
from simulator.kills.receiver import Receiver
from simulator.kills.run import Plan, run
from simulator.kills.story import PAYING, RESCUE, THIRD_LOOK, WELCOME, Expected, Stories
from sinks.clickhouse import connect, insert, migrate

NOW = 1_780_000_000_000


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="laike-kills-"))  # short: a socket's path is bounded
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(900)  # a run says itself when nothing moves
async def test_killed_stopped_and_cut_off_nothing_is_lost_and_nothing_comes_twice(folder):
    plan = Plan(
        seed=5,
        customers_per_second=15,
        wait_seconds=2,
        gap_seconds=(0.2, 1.5),
        faults=[
            *(faults.zombie, faults.kill_worker, faults.kill_relay_after_insert),
            *(faults.kill_redis, faults.cut, faults.kill_worker, faults.kill_relay_after_send),
        ],
    )
    told = await run(plan, folder)
    assert told["clean"], json.dumps(told, indent=1)  # all of it: it may not happen again
    assert told["kills"] >= 4
    assert told["redelivered"] >= 1  # the receiver had it when the relay died
    repeats = [told[name] for name in told if name.endswith("_repeats")]
    assert sum(repeats) >= 1  # ClickHouse had the rows when the relay died
    assert told["coupons"] > 10
    assert told["quarantine_rows"] >= 1


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_on_kafka_through_a_rebalance_and_a_fall_of_the_broker(folder):
    if why := broker.missing():
        pytest.skip(why)
    plan = Plan(
        log="kafka",
        seed=6,
        customers_per_second=15,
        gap_seconds=(0.2, 2),
        faults=[faults.kill_in_rebalance, faults.kill_relay, faults.kill_broker],
    )
    told = await run(plan, folder)
    assert told["clean"], json.dumps(told, indent=1)  # all of it: it may not happen again
    assert told["kills"] >= 4
    assert told["coupons"] > 10


def test_a_story_is_open_until_its_last_step_is_acknowledged_also_while_one_is_sent():
    stories, now, steps = Stories(seed=1), 0.0, 0
    for _ in range(9):
        stories.begin(now)
    while stories.open:
        now += 1
        sending = stories.due(now)
        assert stories.open >= len(sending)
        for _, due in sending:
            stories.told(due, now)
        stories.merged(set(stories.merging))
        steps += len(sending)
    assert not stories.due(now + 100)
    assert steps > 9


def test_a_process_is_asked_why_it_ended_since_its_last_start_and_whatever_came_after(tmp_path):
    def start():
        with log.open("ab") as out:
            return subprocess.Popen(
                ["echo", f"12:00 CRITICAL {next(words)}\nnoise\n" * 3], stdout=out
            )

    log, words = tmp_path / "log", iter(["one", "two"])
    process = Process("worker0", start, log)
    for word in ("one", "two"):
        process.process.wait()
        assert process.said() == f"12:00 CRITICAL {word}"
        if word == "one":
            process.begin()
    log.write_text(log.read_text() + "quiet\n")
    process._told = log.stat().st_size - len("quiet\n")
    assert process.said() == "quiet"


def decision(number, rule=THIRD_LOOK, cid="u:1", **more):
    return {"rule": rule, "at": NOW, "decision_id": f"{number:026d}", "cid": cid, "run": "1",
            "instance": "p1", "step": "1", "result": "act", "arm": "treated", "shard": 0,
            "log_offset": number, "values": {}, "actions": "[]", **more}  # fmt: skip


def event(message, cid="u:1", **more):
    return {"event": "Product Viewed", "cid": cid, "at": NOW, "message_id": message,
            "source": "kills", "received_at": NOW, "log_time": NOW, "shard": 0, **more}  # fmt: skip


def points(entry, many=30, cid="u:1", **more):
    return {"cid": cid, "entry_id": entry, "at": NOW, "fact": "earned", "points": many, "lot": entry,
            **more}  # fmt: skip


def move(number, cid="u:1", by=1):
    return {"segment": PAYING, "at": NOW, "cid": cid, "seq": number, "move": by}


def coupon(code, cid="u:2", **more):
    return {"coupon_id": code, "seq": 0, "fact": "issued", "at": NOW, "cid": cid,
            "decision_id": f"{2:026d}", "rule": RESCUE, "expires_at": NOW, **more}  # fmt: skip


@pytest.fixture
def sound(clickhouse):
    """Tables that hold exactly what was expected: the audit finds nothing in them."""
    migrate(clickhouse)
    clickhouse.command("SYSTEM STOP MERGES")
    insert(clickhouse, "events", [event("m1"), event("m2")])
    insert(clickhouse, "decisions", [decision(1), decision(2, RESCUE, "u:2", instance="")])
    insert(clickhouse, "coupon_ledger", [coupon("A")])
    insert(clickhouse, "points_ledger", [points("e1"), points("e1")])
    insert(clickhouse, "segment_moves", [move(1)])
    expected = Expected(
        events={"m1": "u:1", "m2": "u:1"},
        acts={(THIRD_LOOK, "u:1", "p1"), (RESCUE, "u:2", "")},
        coupons={(RESCUE, "u:2")},
        points={"u:1": 30},
        moves={(PAYING, "u:1")},
    )
    yield clickhouse, expected
    clickhouse.command("SYSTEM START MERGES")


def audited(sound):
    clickhouse, expected = sound
    audit = Audit(expected)
    audit.rows(clickhouse)
    return audit


def test_the_audit_finds_nothing_where_nothing_is_wrong_a_repeat_included(sound):
    insert(sound[0], "decisions", [decision(1)])
    audit = audited(sound)
    assert audit.told() == []
    assert audit.figures["decisions_repeats"] == 1


@pytest.mark.parametrize(
    ("table", "row", "sort", "words"),
    [
        ("events", event("m1", price=7), "duplicated", "2 contents"),
        ("events", event("m3"), "wrong", "never sent"),
        ("decisions", decision(3), "duplicated", "decision ('third-look'"),
        ("decisions", decision(1, propensity=0.5), "duplicated", "2 contents"),
        ("decisions", decision(4, WELCOME, "u:9"), "wrong", "no cause"),
        ("coupon_ledger", coupon("B"), "duplicated", "coupon ('rescue'"),
        ("points_ledger", points("e2"), "duplicated", "points of u:1: 60, not 30"),
        ("points_ledger", points("e1", lot="other"), "duplicated", "2 contents"),
        ("segment_moves", move(2), "duplicated", "in segment ('paying', 'u:1'): 2, not 1"),
        ("segment_moves", move(2, "u:9"), "duplicated", "in segment ('paying', 'u:9')"),
        (
            "quarantine",
            {"quarantine_id": "q", "at": NOW, "reason": "bad"},
            "duplicated",
            "quarantine",
        ),
    ],
)
def test_the_audit_finds_what_is_too_much(sound, table, row, sort, words):
    insert(sound[0], table, [row])
    assert any(words in line for line in getattr(audited(sound), sort))


def test_the_audit_finds_what_is_missing_and_what_was_not_sent_on(sound):
    clickhouse, expected = sound
    expected.events["m9"] = "u:1"
    expected.acts.add((WELCOME, "u:3", ""))
    expected.coupons.add((WELCOME, "u:3"))
    expected.junk = 1
    expected.points["u:7"] = 30
    expected.moves.add((PAYING, "u:7"))
    audit = audited(sound)
    audit.messages(Receiver(), clickhouse, 0)
    told = "\n".join(audit.lost)
    for words in ("event m9", "decision ('welcome'", "coupon ('welcome'", "rows of quarantine", "points of u:7", "moves of ('paying', 'u:7')",
                  "message of decision", "row of what was sent"):  # fmt: skip
        assert words in told


def test_the_audit_finds_a_commit_out_of_its_order_and_a_decision_without_one(sound):
    clickhouse, expected = sound
    first, second = (
        {"from": at, "to": at + 1, "decisions": [decision(at)]} for at in (1, 2)
    )  # fmt: skip
    audit = Audit(expected)
    audit.outboxes([[first, second]], clickhouse)
    assert not audit.told()
    audit.outboxes([[first, {**second, "from": 3}]], clickhouse)
    assert audit.wrong == ["shard 0: a commit from 3 after to 2"]
    audit.outboxes([[first]], clickhouse)
    assert f"decision {2:026d} was never committed" in audit.wrong[-1]
    audit.outboxes([[first, second, {"from": 3, "to": 4, "decisions": [decision(8)]}]], clickhouse)
    assert audit.lost == [f"row of decision {8:026d}"]
    facts = {"points_ledger": [points("e1"), points("e9")], "segment_moves": [move(7)]}
    audit.outboxes([[first, second, {"from": 3, "to": 4, "facts": facts}]], clickhouse)
    assert audit.lost[1:] == [
        "row of points_ledger ('u:1', 'e9')", f"row of segment_moves ('{PAYING}', 'u:1', 7)",
    ]  # fmt: skip
    audit.counted(3)
    assert audit.duplicated == ["events processed: 3, not 2"]


async def test_the_door_before_clickhouse_refuses_hangs_and_cuts_after_it_applied(
    clickhouse_database,
):
    url, _, database = clickhouse_database.rpartition("/")
    behind = connect(clickhouse_database)
    migrate(behind)

    def put(door, message):
        client = connect(f"{door}/{database}", timeout_seconds=2)
        insert(client, "events", [event(message)])

    def there():
        found = behind.query("SELECT message_id FROM events ORDER BY message_id").result_rows
        return [message for (message,) in found]

    async with Proxy(url) as proxy:
        await asyncio.to_thread(put, proxy.url, "open")
        proxy.become("refuse")
        with pytest.raises(ClickHouseError):
            await asyncio.to_thread(put, proxy.url, "refused")
        proxy.become("hang")
        with pytest.raises(OperationalError):
            await asyncio.to_thread(put, proxy.url, "hung")
        proxy.become("cut")
        with pytest.raises(ClickHouseError):
            await asyncio.to_thread(put, proxy.url, "applied")
        assert proxy.cuts == 1
    assert there() == ["applied", "open"]
    behind.close()
