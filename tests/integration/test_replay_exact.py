"""Years of real orders decide alike: in one go, in two halves, with the worker killed five times."""

import csv
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from api.up_lock import running
from simulator.benches.parts import four_rules
from tests.integration.test_up import LAIKE, ROOT, laike, last_json

DATA = Path(os.environ.get("LAIKE_DATA_DIR", ROOT.parent / "shared" / "data"))
ORDERS = DATA / "online_retail_orders.csv.gz"
KILLS = 5

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not ORDERS.exists(), reason=f"{ORDERS.name} is not in LAIKE_DATA_DIR"),
]
DECISIONS = """SELECT rule, toString(at), decision_id, cid, instance, step, held, arm, actions
  FROM decisions FINAL ORDER BY rule, at, decision_id, held"""


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Path:
    """Every seventieth customer of the file, over its whole year."""
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    with gzip.open(ORDERS, "rt") as source, path.open("w") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, reader.fieldnames)
        writer.writeheader()
        writer.writerows(row for row in reader if row["customer_id"].endswith("07"))
    return path


def decisions(data):
    done = laike("query", DECISIONS, "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert rows
    return rows


def folder(data):
    """A folder with the secret that all of these share: a coupon's code is signed with it.

    Its rules are four: a year of days at which segments and schedules look at everybody is long.
    """
    data.mkdir()
    for name, text in four_rules().items():
        file = rules_of(data) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (data / "secret").write_text("one secret for every folder of these tests")
    return data


def rules_of(data):
    return data.with_name(f"{data.name}-rules")


def replay(data, orders, *more):
    done = laike("replay", orders, "--data", data, "--rules", rules_of(data), "--json", *more)
    assert done.returncode == 0, done.stderr
    told = last_json(done)
    assert told["drained"]
    assert told["lost"] == told["duplicates"] == told["quarantined"] == 0
    return told


@pytest.fixture(scope="module")
def straight(orders, tmp_path_factory):
    data = folder(tmp_path_factory.mktemp("straight") / "d")
    told = replay(data, orders)
    rows = decisions(data)
    assert any(row[0] == "win-back" and not row[6] for row in rows)
    return told, rows


def test_in_two_halves_with_a_restart_between(orders, straight, tmp_path):
    data = folder(tmp_path / "d")
    replay(data, orders, "--until", "2011-06-01")
    told = replay(data, orders)
    assert told["events_in_clickhouse"] == straight[0]["events_in_clickhouse"]
    assert decisions(data) == straight[1]


def test_with_the_worker_killed_five_times(orders, straight, tmp_path):
    data, killed = folder(tmp_path / "d"), []
    told = [*LAIKE, "replay", str(orders), "--data", str(data), "--json"]
    told += ["--rules", str(rules_of(data))]
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        killer = threading.Thread(target=_kill, args=(process, data, killed))
        killer.start()
        out, _ = process.communicate(timeout=170)
        killer.join()
    assert process.returncode == 0
    assert len(killed) == KILLS
    summary = json.loads(out.splitlines()[-1])
    assert summary["lost"] == summary["duplicates"] == 0
    assert summary["events_in_clickhouse"] == straight[0]["events_in_clickhouse"]
    assert decisions(data) == straight[1]


def _kill(process, data, killed):
    """kill -9 the worker each time it has come back and got on a little."""
    while process.poll() is None and len(killed) < KILLS:
        holder = running(data)
        pid = holder and holder.api and holder.children.get("worker", (0,))[0]
        if pid and pid not in killed:
            time.sleep(0.7)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(pid)
        time.sleep(0.05)
