"""Half a year of real orders decides alike: in one go, and in halves with the worker killed."""

import csv
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis, RedisError

from api.up_lock import running
from engine.logs.redis_server import die_with_parent
from simulator.benches.parts import four_rules
from tests.integration.test_up import LAIKE, ROOT, laike

DATA = Path(os.environ.get("LAIKE_DATA_DIR", ROOT.parent / "shared" / "data"))
ORDERS = DATA / "online_retail_orders.csv.gz"
HALF, END = "2011-03-01", "2011-06-01"
KILLS = (2, 3)  # in each half; together as many as the claim says
STEPS = 3  # that every shard has come forward, at least, between two kills

pytestmark = [
    pytest.mark.timeout(900),  # a replay says itself when nothing moves
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not ORDERS.exists(), reason=f"{ORDERS.name} is not in LAIKE_DATA_DIR"),
]
DECISIONS = """SELECT rule, toString(at), decision_id, cid, instance, step, held, arm, actions
  FROM decisions FINAL ORDER BY rule, at, decision_id, held"""


@pytest.fixture
def orders(tmp_path) -> Path:
    """Every seventieth customer of the file, over its first half year: a win-back needs 60 days."""
    path = tmp_path / "orders.csv"
    with gzip.open(ORDERS, "rt") as source, path.open("w") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, reader.fieldnames)
        writer.writeheader()
        rows = (row for row in reader if row["customer_id"].endswith("07"))
        writer.writerows(row for row in rows if row["ts"] < END)
    return path


def decisions(data):
    done = laike("query", DECISIONS, "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert rows
    return rows


def folder(data):
    """A folder with the secret that all of these share: a coupon's code is signed with it.

    Its rules are four: half a year of days at which segments and schedules look at everybody is long.
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


def replay(data, orders, *more, kills=0):
    """Replay the file; meanwhile its worker is killed -9 so many times."""
    told = [*LAIKE, "replay", orders, "--data", data, "--rules", rules_of(data), "--json", *more]
    with subprocess.Popen(
        [str(one) for one in told],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=die_with_parent,
    ) as process:
        killed: list[int] = []
        killer = threading.Thread(target=_kill, args=(process, data, kills, killed))
        killer.start()
        try:
            out, _ = process.communicate()
        finally:
            process.kill()
            killer.join()
    assert process.returncode == 0
    assert len(killed) == kills
    summary = json.loads(out.splitlines()[-1])
    assert summary["drained"]
    assert summary["lost"] == summary["duplicates"] == summary["quarantined"] == 0
    return summary


def test_in_two_halves_with_the_worker_killed_five_times_as_in_one_go(orders, tmp_path):
    straight, broken = folder(tmp_path / "straight"), folder(tmp_path / "broken")
    told = replay(straight, orders)
    rows = decisions(straight)
    assert sum(row[0] == "win-back" and not row[6] for row in rows) > 20
    replay(broken, orders, "--until", HALF, kills=KILLS[0])
    again = replay(broken, orders, kills=KILLS[1])
    same = ("events_in_clickhouse", "orders", "refunds")
    assert [again[name] for name in same] == [told[name] for name in same]
    assert decisions(broken) == rows


def _kill(process, data, kills, killed):
    """kill -9 the worker each time it has come back and every shard has got on a little."""
    seen: dict[int, list[int]] = {}  # the worker's pid -> where the shards stood when it was seen
    while process.poll() is None and len(killed) < kills:
        time.sleep(0.02)
        holder = running(data)
        pid = holder and holder.api and holder.children.get("worker", (0,))[0]
        if not pid or pid in killed:
            continue
        with suppress(RedisError, ProcessLookupError), Redis.from_url(holder.redis) as client:
            now = [int((client.get(f"{{s{n}}}:next") or b"0").split(b":")[0]) for n in range(8)]
            before = seen.setdefault(pid, now)
            if all(a + STEPS <= b for a, b in zip(before, now, strict=True)):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
