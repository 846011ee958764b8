"""One engine a data folder: the lock file names its holder and says where its parts listen.

Must live here: who holds a folder, and what a holder that was killed left running. Must not: how
the parts are started. The lock is the kernel's (flock), so it never outlives its holder.

    FolderInUse   another engine holds the folder; the message names it
"""

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

ORPHANS_S = 25
RETRY_S = 1.0


class FolderInUse(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """Another engine runs on the folder."""


class Running(msgspec.Struct, kw_only=True):
    """What the lock file says of its holder; URLs are empty until that part is ready."""

    pid: int
    command: str
    since: str  # UTC, to the second
    redis: str = ""
    clickhouse: str = ""
    api: str = ""
    children: dict[str, tuple[int, str]] = {}  # name -> pid and the kernel's start time of it


def running(data: Path) -> Running | None:
    """The engine that holds `data` now, if one does."""
    try:
        descriptor = os.open(_file(data), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


class FolderLock:
    """Held from `take` until `release` or the death of this process."""

    def __init__(self, descriptor: int, holder: Running, left: Running | None) -> None:
        self._descriptor = descriptor
        self.holder = holder
        self._left = left

    @classmethod
    def take(cls, data: Path, command: str) -> Self:
        """Become the holder of `data`, or say who is."""
        descriptor = os.open(_file(data), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + RETRY_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # perhaps only somebody who looked
                if time.monotonic() > deadline:
                    told = _who(data, _read(descriptor))
                    os.close(descriptor)
                    raise FolderInUse(told) from None
                time.sleep(0.05)
        left = _read(descriptor)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return cls(descriptor, Running(pid=os.getpid(), command=command, since=since), left)

    def wait_for_orphans(self) -> None:
        """Return when nothing runs any more of what a killed holder had started."""
        left = self._left.children if self._left else {}
        deadline = time.monotonic() + ORPHANS_S
        while still := {n: c for n, c in left.items() if start_of(c[0]) == c[1] != ""}:
            if time.monotonic() > deadline:
                for pid, _ in still.values():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.write()

    def write(self) -> None:
        """Put what `holder` says now into the file."""
        text = msgspec.json.encode(self.holder)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def release(self) -> None:
        """Let the folder go; the file stays, empty of names."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def start_of(pid: int) -> str:
    """When the kernel started this process, in its own ticks; empty if it is gone or unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    state, start = fields[0], fields[19]
    return "" if state == "Z" else start


def _file(data: Path) -> Path:
    return data / "laike.lock"


def _read(descriptor: int) -> Running | None:
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(os.pread(descriptor, 65_536, 0), type=Running)
    return None


def _who(data: Path, holder: Running | None) -> str:
    who = f"`{holder.command}` (pid {holder.pid}, since {holder.since})" if holder else "somebody"
    return f"{data} is in use by {who}: end that one, or choose another folder with --data"
