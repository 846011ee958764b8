"""The parts as compose runs them: each a process, on one Redis and one ClickHouse, ended by SIGTERM."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from api.preflight import any_port
from engine.logs.redis_server import die_with_parent
from engine.settings import Settings
from simulator.habits import iso
from sinks.clickhouse import connect
from tests.patience import SECONDS, wait_for
from tests.unit.test_house import ROOT

PARTS = {"api": ["api", "--no-background"], "worker": ["worker"],
         "relay": ["relay"], "learner": ["learner"]}  # fmt: skip
PEOPLE = 40


@contextmanager
def parts_of(settings: Settings) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Those that were started; what still runs at the end is killed."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def start(name: str, settings: Settings) -> "subprocess.Popen[bytes]":
    """In a session of its own and with a log of its own."""
    with (settings.data / f"{name}.log").open("wb") as log:
        return laike(PARTS[name], settings, stdout=log, stderr=log)


def laike(words: list[str], settings: Settings, **given) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", *words], cwd=ROOT, env=settings.environment(),
        start_new_session=True, preexec_fn=die_with_parent, **given,
    )  # fmt: skip


def standing(http: httpx.Client) -> str:
    try:
        return http.get("/readyz").json()["status"]
    except httpx.TransportError:
        return "away"


def of_session(leader: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_the_parts_of_compose_live_and_end_in_order(stores):
    redis, clickhouse, folder = stores
    (folder / "secret").write_text("0123456789abcdef")
    settings = Settings(
        data=folder, secret=b"0123456789abcdef", log=redis.url, redis=redis.url, shards=4,
        clickhouse=clickhouse.url, port=any_port(), rules=ROOT / "rules",
    )  # fmt: skip
    assert laike(["migrate"], settings).wait(SECONDS) == 0
    now = iso(time.time_ns() // 1_000_000)

    def count(table: str, which: str = "true") -> int:
        with closing(connect(settings.clickhouse)) as client:
            return int(client.command(f"SELECT count() FROM {table} FINAL WHERE {which}"))

    with parts_of(settings) as parts:
        parts["api"] = start("api", settings)
        url = f"http://127.0.0.1:{settings.port}"
        with httpx.Client(base_url=url, timeout=60) as http:
            wait_for(lambda: standing(http) == "degraded")  # no worker, no relay: the door is open
            lines = (folder / "write-keys.txt").read_text().splitlines()
            keys = dict(line.split() for line in lines)
            http.auth = httpx.BasicAuth(keys["server"], "")
            for number in range(PEOPLE):
                order = {"order_id": f"o{number}", "total": 120, "products": [{"product_id": "p"}]}
                for _ in range(2):  # without a messageId; an SDK that got no answer sends it again
                    call = {"userId": f"u{number}", "event": "Order Completed",
                            "properties": order, "timestamp": now}  # fmt: skip
                    assert http.post("/v1/track", json=call).status_code == 200
            for name in ("worker", "relay", "learner"):
                parts[name] = start(name, settings)
            wait_for(lambda: standing(http) == "ready")
        wait_for(lambda: count("events") == PEOPLE)
        wait_for(lambda: count("decisions", "rule = 'first-order-welcome'") == PEOPLE)
        wait_for(lambda: count("outcomes", "fact = 'sent'") > 0)
        for name in reversed(parts):
            parts[name].terminate()
            told = (folder / f"{name}.log").read_text
            assert parts[name].wait(SECONDS) == 0, told()
            assert "Traceback" not in told()
        assert [of_session(process.pid) for process in parts.values()] == [[]] * len(parts)
    assert count("events") == PEOPLE
