"""A whole engine as a user starts it: it lives, survives kill -9, drains, goes on where it was."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError

from api.up_lock import running, start_of
from engine.logs.redis_server import die_with_parent
from sinks.clickhouse import connect
from tests.patience import SECONDS, wait_for
from tests.unit.test_house import ROOT

LAIKE = [sys.executable, "-m", "api.cli"]


def laike(*arguments):
    told = [*LAIKE, *map(str, arguments)]
    return subprocess.run(
        told,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=2 * SECONDS,
        check=False,
        preexec_fn=die_with_parent,
    )


def last_json(done):
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def started(*arguments):
    told = [*LAIKE, *map(str, arguments)]
    with subprocess.Popen(
        told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        preexec_fn=die_with_parent,
    ) as up:
        try:
            yield up
        finally:
            up.kill()


def api_of(data, seconds=0):
    """Where the door is; while parts start again it may be nowhere for a moment."""
    deadline = time.monotonic() + seconds
    while not ((holder := running(data)) and holder.api) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holder.api if holder else ""


def key_of(data):
    lines = (data / "write-keys.txt").read_text().splitlines()
    return dict(line.split() for line in lines)["server"]


def send(data, number):
    item = {"userId": f"u{number % 7}", "event": "Product Viewed", "messageId": f"m{number}"}
    answer = httpx.post(
        f"{api_of(data, SECONDS)}/v1/track", json=item, auth=(key_of(data), ""), timeout=30
    )
    assert answer.status_code == 200, answer.text


def rows(data, table="events"):
    """How many rows; None while the ClickHouse of a running engine starts again.

    The command is asked only where no engine runs, as it is asked often.
    """
    if (holder := running(data)) and holder.clickhouse:
        with suppress(ClickHouseError, OSError):
            client = connect(holder.clickhouse)
            (found,) = client.query(f"SELECT count() FROM {table} FINAL").result_rows[0]
            client.close()
            return found
        return None
    done = laike("query", f"SELECT count() FROM {table} FINAL", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    return last_json(done)["rows"][0][0]


def test_a_shop_for_a_while_then_again(tmp_path):
    data = tmp_path / "shop"
    first = laike("up", "--for", "6s", "--json", "--data", data)
    assert first.returncode == 0, first.stderr + first.stdout
    told = last_json(first)
    assert told["events_in"] > 100
    assert told["lost"] == told["duplicates"] == told["lag"] == 0
    known = told["events_processed"] + told["duplicates_dropped"] + told["quarantined"]
    assert told["events_in"] == known
    assert set(told["latency_ms"]) == {"p50", "p99"}
    assert told["events_per_second"] > 0
    assert told["wrong"] == []
    assert told["started_seconds"] > 0
    first = told["first_outcome_seconds"]  # None only where a slow machine had none in time
    assert told["started_seconds"] < first if told["outcomes_written"] else first is None
    assert rows(data, "model_metrics") > 0
    assert running(data) is None
    again = last_json(laike("up", "--for", "2s", "--json", "--data", data))
    assert again["events_in"] >= told["events_in"]
    assert sum(again["decisions_by_rule"].values()) >= sum(told["decisions_by_rule"].values())
    other = laike("up", "--clock", "wall", "--data", data)
    assert other.returncode == 1
    assert "was born with --clock record and keeps it" in other.stderr


def test_a_life_with_kills_refusals_and_a_drain(tmp_path):
    data = tmp_path / "life"
    with started("up", "--no-simulate", "--data", data) as up:
        wait_for(lambda: api_of(data))
        for number in range(20):
            send(data, number)

        refused = laike("up", "--data", data)
        assert refused.returncode == 1
        assert re.search(rf"in use by `laike up` \(pid {up.pid}, since", refused.stderr)
        assert "Traceback" not in refused.stderr

        worker = running(data).children["worker"][0]
        os.kill(worker, signal.SIGKILL)
        for number in range(20, 40):
            send(data, number)
        wait_for(lambda: running(data).children["worker"][0] != worker)

        children = dict(running(data).children)
        up.kill()
    wait_for(lambda: not any(start_of(pid) for pid, _ in children.values()))

    with started("up", "--no-simulate", "--data", data) as up:
        wait_for(lambda: api_of(data))
        send(data, 39)  # a repeat: it was acknowledged before the kill
        send(data, 40)
        wait_for(lambda: rows(data) == 41)
        up.send_signal(signal.SIGTERM)
        assert up.wait(SECONDS) == 0
        assert "drained and ended" in up.stdout.read()
    assert running(data) is None
    assert rows(data) == 41  # of the folder, now that nothing runs
    left = [name for name in data.iterdir() if name.name.endswith(".sock")]
    assert not left


def test_a_taken_port_is_named_and_what_to_do(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = laike("up", "--port", port, "--data", tmp_path / "d")
    assert done.returncode == 1
    assert re.search(rf"port {port} is taken: .*`laike up --port \d+`", done.stderr)


def test_a_newer_folder_is_refused_untouched(tmp_path):
    birth = '{"format":99,"clock":"wall","shards":8,"step":60000}'
    (tmp_path / "laike.json").write_text(birth)
    done = laike("up", "--data", tmp_path)
    assert done.returncode == 1
    assert "format 99, written by a newer Laike" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["laike.json"]


def test_rules_with_errors_end_the_start_with_all_of_them(tmp_path):
    campaigns = tmp_path / "rules" / "campaigns"
    campaigns.mkdir(parents=True)
    (campaigns / "a.yaml").write_text("rule: a\nwhen: {evnet: Order Paid}\n")
    (campaigns / "b.yaml").write_text("rule: b\nwehn: {event: Order Paid}\n")
    done = laike("up", "--for", "1s", "--data", tmp_path / "d", "--rules", tmp_path / "rules")
    assert done.returncode == 1
    assert "campaigns/a.yaml:" in done.stderr
    assert "campaigns/b.yaml:" in done.stderr
    assert running(tmp_path / "d") is None


def test_a_file_replayed_twice_changes_nothing(tmp_path):
    header = "ts,event,user_id,item_id,category_id\n"
    times = "\n".join(
        f"2017-11-26T01:{n // 30:02}:{n % 30:02},product_viewed,{n % 9},{n % 5},{n % 3}"
        for n in range(300)
    )
    file = tmp_path / "views.csv"
    file.write_text(header + times + "\n")
    told = [
        last_json(laike("replay", file, "--data", tmp_path / "d", "--json", "--mapping", "taobao"))
        for _ in range(2)
    ]
    assert [one["events_in"] for one in told] == [300, 300]
    assert [one["events_in_clickhouse"] for one in told] == [300, 300]
    assert [one["events_processed"] for one in told] == [300, 300]
    assert [one["lost"] for one in told] == [0, 0]
    assert told[1]["duplicates_dropped"] == 300
    assert told[0]["decisions_by_rule"] == told[1]["decisions_by_rule"]
