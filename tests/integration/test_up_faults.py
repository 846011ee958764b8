"""Redis, ClickHouse or the disk away, at the start and in the middle: a clear word, nothing lost."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from api.up_lock import running
from engine.logs import redis_server
from sinks.clickhouse import connect
from sinks.embedded.process import start as start_clickhouse
from tests.fixtures_logs import start_redis
from tests.integration.test_up import LAIKE, api_of, key_of, laike, rows, started, wait_for
from tests.patience import SECONDS
from tests.unit.test_house import ROOT

pytestmark = pytest.mark.slow
ROOM = 640 << 20  # what a start asks for, and some more


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="laike-up-"))  # short: a socket's path is bounded
    yield path
    shutil.rmtree(path, ignore_errors=True)


def send(data, number, seconds=SECONDS):
    """As an SDK does: again until it is taken. How often it was told to come back."""
    item = {"userId": f"u{number % 7}", "event": "Product Viewed", "messageId": f"m{number}"}
    refused = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = httpx.post(
            f"{api_of(data)}/v1/track", json=item, auth=(key_of(data), ""), timeout=30
        )
        if answer.status_code == 200:
            return refused
        assert answer.status_code == 503, answer.text
        refused += 1
        time.sleep(0.1)
    raise AssertionError(f"event {number} was not taken within {seconds} s")


def heard(process):
    """The lines of a process as they come."""
    lines = []

    def read():
        lines.extend(iter(process.stdout.readline, ""))

    threading.Thread(target=read, daemon=True).start()
    return lines


def kill(data, part):
    pid = running(data).children[part][0]
    os.kill(pid, signal.SIGKILL)
    return pid


def end(up, data, events):
    wait_for(lambda: rows(data) == events)
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0


def test_redis_and_clickhouse_killed_in_the_middle_and_all_is_there(folder):
    data = folder / "d"
    with started("up", "--no-simulate", "--data", data) as up:
        lines = heard(up)
        wait_for(lambda: api_of(data))
        for number in range(20):
            send(data, number)
        redis = kill(data, "redis")
        for number in range(20, 40):
            send(data, number)
        wait_for(lambda: running(data).children["redis"][0] != redis)
        clickhouse = kill(data, "clickhouse")
        for number in range(40, 60):
            send(data, number)
        wait_for(lambda: running(data).children["clickhouse"][0] != clickhouse)
        end(up, data, 60)
    told = "".join(lines)
    for part in ("redis", "clickhouse"):
        assert f"{part} ended (SIGKILL), again in 0.5 s" in told
        assert f"{part} is started again" in told
    assert "Traceback" not in told


def test_a_redis_that_cannot_start_is_told_with_its_own_words_and_the_next_start_works(folder):
    data, bin_ = folder / "d", folder / "bin"
    bin_.mkdir()
    fake = bin_ / "redis-server"
    fake.write_text('#!/bin/sh\nfor last; do :; done\nwhile [ "$1" != --logfile ]; do shift; done\n'
                    'echo "no good today" >> "$2"; exit 7\n')  # fmt: skip
    fake.chmod(0o755)
    done = subprocess.run(
        [*LAIKE, "up", "--for", "1s", "--data", str(data)],
        env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"},
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "redis ended with exit code 7" in done.stderr
    assert "no good today" in done.stderr
    assert "Traceback" not in done.stderr
    assert running(data) is None
    assert laike("up", "--for", "1s", "--no-simulate", "--data", data).returncode == 0


def test_a_clickhouse_folder_in_other_hands_is_told_and_the_next_start_works(folder):
    data = folder / "d"
    data.mkdir()
    with start_clickhouse(data / "clickhouse"):
        done = laike("up", "--for", "1s", "--no-simulate", "--data", data)
    assert done.returncode == 1
    assert "clickhouse ended with exit code 1" in done.stderr
    assert "is served already, by process" in done.stderr
    assert "Traceback" not in done.stderr
    assert laike("up", "--for", "1s", "--no-simulate", "--data", data).returncode == 0


def test_a_worker_and_a_relay_started_before_redis_wait_and_then_work(folder):
    """As on many machines, where nobody orders the starts."""
    socket = folder / "redis"
    (folder / "secret").write_text("0123456789abcdef")
    url = redis_server.url(socket)
    environment = {**os.environ, "LAIKE_LOG": url, "LAIKE_REDIS": url, "LAIKE_SHARDS": "2",
                   "LAIKE_DATA": str(folder), "LAIKE_CLICKHOUSE": "http://127.0.0.1:9"}  # fmt: skip
    parts = {
        name: subprocess.Popen(
            [sys.executable, "-m", "api.cli", name],
            env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=redis_server.die_with_parent,
        )
        for name in ("worker", "relay")
    }  # fmt: skip
    said = {name: heard(process) for name, process in parts.items()}
    try:
        wait_for(lambda: any("waiting for the log and the store" in x for x in said["worker"]))
        wait_for(lambda: any("waits for Redis" in line for line in said["relay"]))
        server = start_redis(socket)
        with server.client() as client:
            wait_for(lambda: client.get("laike:worker:0"))
            wait_for(lambda: client.hlen("laike:sinks"))
        for process in parts.values():
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        server.stop()
    finally:
        for process in parts.values():
            process.kill()
            process.wait()
            process.stdout.close()


def fill(path):
    """Leave no room at all, whoever else writes meanwhile."""
    left = os.statvfs(path.parent)
    with path.open("wb", buffering=0) as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - (1 << 20))
        file.seek(0, os.SEEK_END)
        while file.write(bytes(4096)):
            pass


@pytest.fixture
def small_disk(folder):
    """A disk of its own that can be filled: only root can have one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)],
        capture_output=True, check=False,
    ) if os.geteuid() == 0 and shutil.which("mount") else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("no tmpfs can be mounted here: it takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_events_wait_outside_and_it_goes_on_by_itself(small_disk):
    data, filler = small_disk / "d", small_disk / "filler"
    with started("up", "--no-simulate", "--data", data) as up:
        lines = heard(up)
        wait_for(lambda: api_of(data))
        send(data, 0)
        fill(filler)
        wait_for(lambda: any("redis is not started: the disk of" in line for line in lines))
        with pytest.raises(AssertionError, match="not taken"):
            send(data, 1, seconds=2)
        time.sleep(12)  # longer than it takes to be given up for ending too often
        assert up.poll() is None
        filler.unlink()
        for number in range(1, 20):
            send(data, number)
        end(up, data, 20)
    assert "make room, and it goes on" in "".join(lines)


def test_clickhouse_says_so_when_the_disk_has_no_room_for_the_rows(small_disk):
    with start_clickhouse(small_disk / "clickhouse") as server:
        client = connect(server.url)
        client.command("CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a")
        client.insert("t", [["before"]])
        fill(small_disk / "filler")
        with pytest.raises(DatabaseError, match="NOT_ENOUGH_SPACE"):
            client.insert("t", [["full"]])
        (small_disk / "filler").unlink()
        client.insert("t", [["after"]])
        assert client.query("SELECT a FROM t ORDER BY a").result_rows == [("after",), ("before",)]
        client.close()


def test_a_disk_that_is_full_at_the_start_is_refused_before_anything_is_written(small_disk):
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, ROOM - (4 << 20))
    done = laike("up", "--for", "1s", "--data", small_disk / "d")
    assert done.returncode == 1
    assert "disk: 0.0 GiB free where the data folder is" in done.stderr
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
