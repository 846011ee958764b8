"""The embedded ClickHouse as a process: how it starts, who holds a folder, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.preflight import any_port
from sinks.embedded.folder import served_at
from sinks.embedded.process import NotStartedError, start
from tests.patience import SECONDS, wait_for

ROOT = Path(__file__).parents[2]


RUNNING = """SELECT count() FROM system.processes
  WHERE query LIKE 'SELECT sleep%' SETTINGS max_execution_time = 60"""


def run(*arguments):
    command = [sys.executable, "-m", "sinks.embedded", *map(str, arguments)]
    return subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )


def test_a_second_start_names_the_holder_and_a_third_may_follow(tmp_path):
    folder = tmp_path / "data"
    with start(folder) as first:
        assert served_at(folder) == first.url
        second = run("--data", folder, "--port", 0)
        assert second.returncode == 1
        assert str(first.process.pid) in second.stderr
        assert first.url in second.stderr
        first.process.kill()  # a holder that dies hard leaves no lock behind
        first.process.wait()
        assert served_at(folder) == ""
    with start(folder) as third:
        assert httpx.get(f"{third.url}/ping").text == "Ok.\n"


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(NotStartedError, match=f"port {port} of 127.0.0.1 cannot be had"):
            start(tmp_path / "data", port)


def test_of_two_at_once_on_a_port_one_is_told_that_it_is_taken(tmp_path):
    port = any_port()

    def one(name):
        try:
            return start(tmp_path / name, port)
        except NotStartedError as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        served, refused = sorted(pool.map(one, "ab"), key=lambda had: isinstance(had, str))
    with served:
        assert httpx.get(f"{served.url}/ping").text == "Ok.\n"
    assert f"port {port} of 127.0.0.1 cannot be had (Address already in use)" in refused


@pytest.mark.parametrize("arguments", [("--port", "99999"), ("--queries", "0"), ("--port", "x")])
def test_wrong_arguments_are_exit_code_2(tmp_path, arguments):
    ended = run("--data", tmp_path, *arguments)
    assert ended.returncode == 2
    assert arguments[1] in ended.stderr


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    ended = run("--data", tmp_path / "file", "--port", 0)
    assert ended.returncode == 1
    assert str(tmp_path / "file") in ended.stderr


def test_sigterm_lets_what_runs_finish(tmp_path):
    server = start(tmp_path / "data")
    answers = []

    def slow():
        answers.append(
            httpx.post(server.url, content="SELECT sleep(2), 7 FORMAT TSV", timeout=SECONDS).text
        )

    thread = threading.Thread(target=slow)
    thread.start()
    wait_for(lambda: httpx.post(server.url, content=RUNNING).text == "1\n", pause=0.02)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    thread.join()
    assert answers == ["0\t7\n"]
    assert not (tmp_path / "data" / "spool").exists()


def test_ctrl_c_ends_with_zero(tmp_path):
    with start(tmp_path / "data") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SECONDS) == 0


def test_it_goes_with_its_parent(tmp_path):
    ready = tmp_path / "ready"
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-m', 'sinks.embedded', '--data',"
        f" {str(tmp_path / 'data')!r}, '--port', '0', '--ready-file', {str(ready)!r}, '--die-with-parent']); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child = json.loads(ready.read_text())["pid"]
    parent.kill()
    parent.wait()
    while served_at(tmp_path / "data") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert served_at(tmp_path / "data") == ""
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{child}/cmdline").read_bytes():
            break  # ended, and not yet collected by its new parent
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_limits_of_bodies_and_password(tmp_path):
    os.environ["CLICKHOUSE_PASSWORD"] = "secret"
    try:
        server = start(tmp_path / "data", 0, "--body-mb", "1")
    finally:
        del os.environ["CLICKHOUSE_PASSWORD"]
    with server:
        assert httpx.post(server.url, content="SELECT 1").status_code == 403
        auth = ("default", "secret")
        assert httpx.post(server.url, content="SELECT 1", auth=auth).text == "1\n"
        big = httpx.post(server.url, content=b" " * (2 << 20) + b"SELECT 1", auth=auth)
        assert big.status_code == 413
        assert "1 MiB" in big.text


def test_a_servers_day_is_utc_wherever_it_stands(tmp_path):
    os.environ["TZ"], before = "Asia/Shanghai", os.environ.get("TZ")
    try:
        server = start(tmp_path / "data")
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
    with server:
        assert (
            httpx.post(server.url, content="SELECT timezone(), toDateTime(0)").text
            == "UTC\t1970-01-01 00:00:00\n"
        )
