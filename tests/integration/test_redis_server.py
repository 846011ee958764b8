"""Redis as we start it: what it acknowledged survives kill -9, and a failed start says why."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.up_lock import start_of
from engine.logs import redis_server
from tests.fixtures_logs import start_redis
from tests.patience import wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="laike-redis-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_what_was_acknowledged_survives_kill_9(folder: Path) -> None:
    server = start_redis(folder)
    with server.client() as client:
        for i in range(100):
            client.set(f"k{i}", i)
    server.kill()
    server.restart()
    with server.client() as client:
        assert client.dbsize() == 100
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert redis_server.stop(server.process) == 0


PARENT = """
import sys, time, pathlib
from engine.logs import redis_server
print(redis_server.start(pathlib.Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_a_parent_that_is_killed_even_while_it_is_stopped(folder: Path) -> None:
    told = [sys.executable, "-c", PARENT, str(folder)]
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    wait_for(lambda: not start_of(pid))


def test_a_failed_start_names_the_reason(folder: Path) -> None:
    (folder / "appendonly.aof").write_bytes(b"this is no append-only file")
    with pytest.raises(redis_server.RedisFailed, match="Bad file format"):
        start_redis(folder)


def test_a_socket_path_too_long_is_refused_before_the_start(folder: Path) -> None:
    with pytest.raises(redis_server.RedisFailed, match="shorter folder"):
        redis_server.start(folder / ("x" * 120))
