"""Children of ours: ready, started again, ended in order, and gone when we are."""

import math
import os
import signal
import socket
import subprocess
import sys
from itertools import repeat

import pytest

from api.preflight import listens
from api.processes import Child, Part, PartFailed, command
from api.up_lock import FolderInUse, FolderLock, running, start_of
from api.up_stack import Plan, Stack
from tests.patience import SECONDS, wait_for


def part(code, *, ready=lambda: True, **told):
    return Part("one", command([sys.executable, "-c", code], {}), ready, **told)


def ended(child):
    return wait_for(lambda: not child.running, pause=0.01)


def test_a_part_that_is_not_ready_tells_its_last_lines(tmp_path):
    child = Child(
        part("print('no such table'); raise SystemExit(4)", ready=lambda: False), tmp_path / "l.log"
    )
    with pytest.raises(PartFailed, match=r"(?s)ended with exit code 4.*no such table"):
        child.wait_ready(lambda: False)


def test_a_process_listens_where_it_does_and_none_that_has_ended_does():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        assert listens(os.getpid(), port)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet waited for
        assert not listens(gone.pid, port)
        gone.wait()
        assert not listens(gone.pid, port)


def test_a_part_whose_port_was_taken_tries_another_though_the_taker_is_gone(tmp_path):
    told = []
    (tmp_path / "logs").mkdir()
    stack = Stack(Plan(tmp_path, tmp_path, "test", port=9), told.append)
    stack._lock = FolderLock.take(tmp_path, "test")

    def make(port):
        stack.ports["one"] = port
        fails = f"raise SystemExit('cannot listen on port {port}: Address already in use')"
        if port < 1024:
            return part(fails, ready=lambda: False)
        return part("import time; time.sleep(600)")

    stack._begin(make(7))  # nobody is there
    stack._wait_port("one", make)
    assert told == ["starting one", "port 7 was taken just now: one tries another", "starting one"]
    assert stack.children["one"].running
    stack.quiet("one", 5)

    stack._begin(make(9))  # as the user named it
    with pytest.raises(PartFailed, match="cannot listen on port 9"):
        stack._wait_port("one", make)
    stack.stop(5)


def test_a_part_that_hangs_is_told_of_after_its_time(tmp_path):
    hangs = part("import time; time.sleep(600)", ready=lambda: False, ready_s=0.2)
    child = Child(hangs, tmp_path / "l.log")
    with pytest.raises(PartFailed, match=r"not ready after 0\.2 s"):
        child.wait_ready(lambda: False)
    child.stop(1)


def test_it_is_started_again_with_longer_waits_and_then_given_up(tmp_path):
    child = Child(part("print('boom', flush=True); raise SystemExit(1)"), tmp_path / "l.log")
    now, waits = 0.0, []
    for _ in range(5):
        assert ended(child)
        assert "again in" in child.tend(now)
        assert child.tend(now) == ""
        waits.append(child.start_again_at - now)
        now = child.start_again_at
        assert child.tend(now) == "one is started again"
    assert ended(child)
    with pytest.raises(PartFailed, match=r"(?s)ended 6 times in 60 s.*boom"):
        child.tend(now)
    assert waits == [0.5, 1, 2, 4, 8]


@pytest.mark.parametrize("timeout", [0.2, 600], ids=["in vain", "in a hurry"])
def test_sigterm_first_and_sigkill_when_that_is_ignored(tmp_path, timeout):
    deaf = part(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
    )
    child = Child(deaf, tmp_path / "l.log")
    wait_for(lambda: "on" in child.tail(), pause=0.01)
    looks = repeat(math.inf, 99) if timeout < 1 else iter([math.inf, 0.0])
    assert not child.stop(timeout, lambda: next(looks))
    assert child.process.returncode == -signal.SIGKILL


def test_logs_are_rotated_while_the_process_writes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("api.processes.LOG_BYTES_MAX", 10_000)
    loud = "import time\nwhile True: print('x' * 999, flush=True); time.sleep(0.001)"
    child = Child(part(loud), tmp_path / "l.log")
    wait_for(lambda: (child.tend(0), (tmp_path / "l.log.3").exists())[1])
    child.stop(SECONDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "l.log",
        *(f"l.log.{n}" for n in (1, 2, 3)),
    ]


PARENT = """
import sys, time, pathlib
from api.processes import Child, Part, command
from api.up_lock import FolderLock, start_of
data = pathlib.Path(sys.argv[1])
lock = FolderLock.take(data, "laike up")
lock.wait_for_orphans()
slow = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
child = Child(Part("slow", command([sys.executable, "-c", slow], {}), lambda: True), data / "l.log")
pid = child.process.pid
lock.holder.children["slow"] = (pid, start_of(pid))
lock.write()
print(pid, flush=True)
time.sleep(600)
"""


def test_a_killed_parent_takes_its_children_along_and_lets_the_folder_go(tmp_path):
    told = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert start_of(pid)
        holder = running(tmp_path)
        assert (holder.pid, holder.command) == (parent.pid, "laike up")
        with pytest.raises(FolderInUse, match=rf"`laike up` \(pid {parent.pid}, since .*--data"):
            FolderLock.take(tmp_path, "laike up")
        parent.kill()
    lock = FolderLock.take(tmp_path, "laike up")
    lock.wait_for_orphans()
    assert not start_of(pid)
    assert running(tmp_path).pid == os.getpid()
    lock.release()
    assert running(tmp_path) is None
