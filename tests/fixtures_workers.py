"""Workers as processes of their own, whose shards only count, and what they counted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from engine.logs.redis_server import die_with_parent
from engine.records import Append
from engine.settings import Settings
from tests.fixtures_logs import RedisProcess
from tests.patience import SECONDS

SHARDS = 4
ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "integration" / "counting_worker.py"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_worker(redis_empty: RedisProcess, tmp_path: Path) -> Iterator[Start]:
    """A function that starts a worker; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(**variables: str) -> "subprocess.Popen[str]":
        environ = os.environ | {
            "PYTHONPATH": str(ROOT),
            "LAIKE_LOG": redis_empty.url,
            "LAIKE_REDIS": redis_empty.url,
            "LAIKE_SHARDS": str(SHARDS),
            "LAIKE_DATA": str(tmp_path),
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        if process.stderr and not process.stderr.closed:
            sys.stderr.write(process.communicate()[1])  # pytest shows it when the test fails


def start_real_worker(settings: Settings, **variables: str) -> "subprocess.Popen[str]":
    """`laike worker`; what it says can be read from its stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", "worker"],
        cwd=ROOT,
        env=os.environ | settings.environment() | variables,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )


def items(first: int, last: int) -> list[Append]:
    return [Append(i % SHARDS, b"u:%d" % i, b"%d" % i) for i in range(first, last)]


def seen(client: redis.Redis) -> dict[str, int]:
    """Value -> how often it was counted, over all shards."""
    counts: dict[str, int] = {}
    for shard in range(SHARDS):
        for name, times in client.hgetall(f"{{s{shard}}}:seen").items():
            value = name.decode().split("/")[1]
            counts[value] = counts.get(value, 0) + int(times)
    return counts


def once_each(number: int) -> dict[str, int]:
    return {str(i): 1 for i in range(number)}


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, told = process.communicate(timeout=SECONDS)
    return process.returncode, told
