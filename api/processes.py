"""The processes of one machine: started in order, watched, started again, ended in reverse.

Must live here: what holds for any process of ours. Must not: which processes there are (up_stack).
A child is in a session of its own, so that Ctrl-C reaches the parent alone, and the kernel ends it
when the parent dies: what a killed engine has acknowledged is on disk, whatever it was doing.

    PartFailed   a process ended too often, or was not ready in time; its last lines are in it
"""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import BinaryIO

from engine.logs.redis_server import die_with_parent

BACKOFF_S = (0.5, 1, 2, 4, 8)  # the waits before a start again; after the last, the end
HOLD_S = 1
CALM_S = 60  # ends longer ago than this are forgotten
POLL_S = 0.05
HURRY_S = 0.2  # how soon a wait for its end sees that it is to end at once
ROOT = Path(__file__).resolve().parent.parent  # where our packages are
LOG_BYTES_MAX = 16 << 20
LOGS_KEPT = 3
TAIL_LINES = 12

Spawn = Callable[[BinaryIO], "subprocess.Popen[bytes]"]


class PartFailed(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """One of the processes cannot run; the message holds its last lines."""


@dataclass(frozen=True)
class Part:
    """A process that may be started: how, and how one sees that it is ready."""

    name: str
    spawn: Spawn  # gets the file that its output goes to
    ready: Callable[[], bool]
    ready_s: float = 60
    stop_s: float = 10
    once: bool = False  # its end with code 0 is no failure
    holds: Callable[[], str] = str  # why a start would be in vain now; "" when it would not


class Child:
    """A part that runs."""

    def __init__(self, part: Part, log: Path) -> None:
        self.part = part
        self.log = log
        self.ends: deque[float] = deque(maxlen=len(BACKOFF_S) + 1)
        self.start_again_at: float | None = None
        self.held = ""  # why it is not started again yet
        self._rotate()
        self.process = self._spawn()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return self.part.spawn(output)

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process.poll() is None

    def wait_ready(self, interrupted: Callable[[], bool]) -> None:
        """Return when the part's probe says so, or somebody wants to leave."""
        deadline = time.monotonic() + self.part.ready_s
        while not interrupted() and not self.part.ready():
            if not self.running and not (self.part.once and self.process.returncode == 0):
                raise PartFailed(f"{self.part.name} ended with {self._code()}{self.tail()}")
            if time.monotonic() > deadline:
                waited = f"was not ready after {self.part.ready_s:g} s"
                raise PartFailed(f"{self.part.name} {waited}{self.tail()}")
            time.sleep(POLL_S)

    def tend(self, now: float) -> str:
        """Start it again if it ended, after its wait; what happened in a line, or nothing."""
        if self.start_again_at is not None and now >= self.start_again_at:
            before, self.held = self.held, self.part.holds()
            if self.held:
                self.start_again_at = now + HOLD_S
                return "" if before else f"{self.part.name} is not started: {self.held}"
            self.start_again_at = None
            self.process = self._spawn()
            return f"{self.part.name} is started again"
        if self.running or self.start_again_at is not None:
            self._rotate(LOG_BYTES_MAX)
            return ""
        if self.part.once and self.process.returncode == 0:
            return ""
        while self.ends and now - self.ends[0] > CALM_S:
            self.ends.popleft()
        if len(self.ends) >= len(BACKOFF_S):
            times = f"{len(self.ends) + 1} times in {CALM_S} s"
            raise PartFailed(f"{self.part.name} ended {times}, last {self._code()}{self.tail()}")
        wait = BACKOFF_S[len(self.ends)]
        self.ends.append(now)
        self.start_again_at = now + wait
        return f"{self.part.name} ended ({self._code()}), again in {wait:g} s; see {self.log}"

    def stop(self, timeout: float, latest: Callable[[], float] = lambda: inf) -> bool:
        """SIGTERM, and SIGKILL when that was not enough; whether it ended by itself.

        `latest` is a monotonic time by which it must be over; it may come nearer meanwhile.
        """
        self.start_again_at = None
        if not self.running:
            return True
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while (left := min(deadline, latest()) - time.monotonic()) > 0:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(min(left, HURRY_S))
                return True
        self.process.kill()
        self.process.wait()
        return False

    def tail(self) -> str:
        """The last lines it wrote, as the end of a message."""
        with suppress(OSError):
            text = self.log.read_bytes()[-16_384:].decode(errors="replace")
            if lines := text.splitlines()[-TAIL_LINES:]:
                return f"; the end of {self.log}:\n  " + "\n  ".join(lines)
        return f"; it wrote nothing to {self.log}"

    def _code(self) -> str:
        code = self.process.returncode
        if code is not None and code < 0:
            return signal.Signals(-code).name
        return f"exit code {code}"

    def _rotate(self, over: int = 0) -> None:
        """Keep a few older logs; copied and cut, as the process keeps its file open."""
        try:
            if self.log.stat().st_size <= over:
                return
        except FileNotFoundError:
            return
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = self.log.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.log.with_suffix(f".log.{number + 1}"))
        self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
        os.truncate(self.log, 0)


def command(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Spawn:
    """How to start a program as a child: its own session, ended by the kernel with us."""

    def spawn(output: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, no Python locks in the child
        )

    return spawn
