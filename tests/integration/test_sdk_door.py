"""Real SDKs, unmodified, against a real server: each call arrives once, in order per customer."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.app import Deps, create_app
from api.server import listen, server_of
from api.sources import Sources, ensure_sources
from engine.log import LogAway, LogFull
from features.events import decode
from tests.fakes import MemoryLog
from tests.patience import wait_for
from tests.sdk_drivers import (
    Sent,
    drive_browser,
    drive_node,
    drive_python,
    missing_browser,
    missing_node,
)

pytestmark = pytest.mark.sdk
QUIET_SECONDS = 0.3


@dataclass
class Door:
    url: str
    keys: dict[str, str]
    log: MemoryLog
    counts: Counter

    def arrived(self) -> dict[str, list[str]]:
        """Event names by the customer's key, in the log's order."""
        found: dict[str, list[str]] = {}
        for record in self.log.everything():
            found.setdefault(record.key.decode(), []).append(decode(record.value).name)
        return found

    def wait_for(self, count: int) -> None:
        """Until so many are there, and nothing comes any more: whatever comes twice has come."""
        wait_for(lambda: len(self.log.everything()) >= count)
        seen = -1
        while seen != (seen := len(self.log.everything())):
            time.sleep(QUIET_SECONDS)


@pytest.fixture
def door(tmp_path: Path):
    log = MemoryLog()
    keys = ensure_sources(tmp_path)
    app = create_app(Deps(log=log, sources=Sources(tmp_path / "sources.json")))
    server = server_of(app)
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield Door(url, keys, log, app.state.door.counts)
    server.should_exit = True
    thread.join()
    listening.close()


def assert_arrived(door: Door, sent: Sent) -> None:
    door.wait_for(sum(len(names) for _, names in sent))
    assert door.arrived() == dict(sent)
    ids = [decode(record.value).message_id for record in door.log.everything()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("gzip", [False, True])
def test_python(door, gzip):
    sent = drive_python(door.url, door.keys["server"], 250, gzip=gzip)
    assert_arrived(door, sent)


@pytest.mark.parametrize("fault", [LogFull("full", 1), LogAway("gone")])
def test_python_comes_back_when_the_log_does(door, fault):
    door.log.fault = fault

    def comes_back():
        wait_for(lambda: door.counts["log_full"] + door.counts["log_away"])
        door.log.fault = None

    coming = threading.Thread(target=comes_back)
    coming.start()
    sent = drive_python(door.url, door.keys["server"], 20)
    coming.join()
    assert_arrived(door, sent)


def test_node(door):
    if missing := missing_node():
        pytest.skip(missing)
    assert_arrived(door, drive_node(door.url, door.keys["server"], 60))


def test_browser(door):
    if missing := missing_browser():
        pytest.skip(missing)
    assert_arrived(door, drive_browser(door.url, door.keys["web"], 50, door.wait_for))
    wait_for(lambda: door.counts["accepted"] == len(door.log.everything()))  # the answer's count
    assert +door.counts == Counter(accepted=len(door.log.everything()))
