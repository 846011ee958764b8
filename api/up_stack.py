"""The parts of an engine on one machine, and the order that they start and end in.

Must live here: which processes there are, how each is probed, what is put in place between them
(tables, the birth record, the rules). Must not: how a process is watched (processes), the screen.

    redis -> clickhouse -> migrate -> rules -> worker -> api -> traffic; the end is the reverse
"""

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import BinaryIO, Self

import httpx
import redis
from redis.asyncio import Redis

from api import up_folder, up_lock
from api.preflight import any_port, listens, no_room, port_free, preflight
from api.processes import Child, Part, PartFailed, Spawn, command
from api.sources import ensure_sources
from api.up_rules import Rules, begin_logs
from engine import status
from engine.logs import redis_server
from engine.settings import Clock, Settings, make_secret
from sinks.clickhouse import connect, migrate
from sinks.erase_tables import restore_tombstones

CLICKHOUSE_PORT = 8123
API_PORT = 8000
DRAIN_S = 20
QUICK_S = 2
TAKEN = os.strerror(errno.EADDRINUSE)  # in the last words of a part that lost its port
WORKER = "laike:worker:0"  # the heartbeat of the only worker


class CannotStart(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The machine or the folder does not allow it; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """What is asked for; `port` and `clock` are None where the user named none."""

    data: Path
    rules: Path
    command: str  # as the lock file shall name it
    port: int | None = None
    clock: Clock | None = None
    default_clock: Clock = "record"
    private: bool = False  # the API on any port: nobody is told of it
    simulate: bool = False
    rate: int | None = None


class Stack:
    """The processes of one engine, held together by this one.

    Between `start` and `stop`, call `tend` a few times a second: it starts again what ended.
    """

    def __init__(self, plan: Plan, told: Callable[[str], None]) -> None:
        self.plan = plan
        self.told = told
        self.children: dict[str, Child] = {}
        self.hurry = False  # a second Ctrl-C: end at once
        self._latest = inf  # by then, when in a hurry
        self.leaving = False  # a first one, or SIGTERM
        self.ports: dict[str, int] = {}
        self.keys: dict[str, str] = {}  # write keys by source name, where they are known
        self.settings: Settings
        self.redis: redis.Redis
        self.rules: Rules
        self.birth: up_folder.Birth
        self._lock: up_lock.FolderLock

    def __enter__(self) -> Self:
        """Catch SIGTERM and Ctrl-C, so that they end the run in order."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind, whatever went wrong."""
        self.stop(QUICK_S)

    def _on_signal(self, *_: object) -> None:
        if self.leaving and not self.hurry:
            self.hurry, self._latest = True, time.monotonic() + QUICK_S
        self.leaving = True

    def start(self) -> None:
        """Everything, in order, each part ready before the next; or an error that says what."""
        plan = self.plan
        failed = [check for check in preflight(plan.data) if check.verdict == "fail"]
        if failed:
            lines = [f"  {check.name}: {check.found}; {check.advice}" for check in failed]
            raise CannotStart("this machine cannot run an engine now:\n" + "\n".join(lines))
        up_folder.born(plan.data)  # refuses a newer folder before anything is written
        up_folder.make(plan.data)
        self._lock = up_lock.FolderLock.take(plan.data, plan.command)
        self._lock.wait_for_orphans()
        self.birth = up_folder.bear(plan.data, plan.clock, plan.default_clock)
        self.settings = self._settings()
        self.keys = ensure_sources(plan.data)
        self.rules = Rules(plan.rules, self.settings.secret, self.told)
        steps = [self._stores, self._publish, self._engine]
        for step in [*steps, self._simulate] if plan.simulate else steps:
            if not self.leaving:
                step()
                self._lock.write()

    def _settings(self) -> Settings:
        data, plan = self.plan.data, self.plan
        socket = f"unix://{up_folder.redis_socket(data)}"
        usual = any_port() if plan.private else API_PORT
        self.ports = {
            "clickhouse": _pick_port(CLICKHOUSE_PORT, None, "ClickHouse", self.told),
            "api": _pick_port(usual, plan.port, "the API", self.told),
        }
        return Settings(
            data=data.absolute(),
            secret=make_secret(data / "secret"),
            log=socket,
            redis=socket,
            rules=plan.rules.absolute(),
            shards=self.birth.shards,
            clock=self.birth.clock,
        )

    def _stores(self) -> None:
        """Both at once: neither needs the other."""
        self._begin(self._redis())
        self._begin(self._clickhouse())
        self._wait("redis")
        self._lock.holder.redis = self.settings.redis
        if self.birth.clock == "record":  # the world's time begins with its first record, not today
            clocks = {f"{{s{shard}}}:clock": 0 for shard in range(self.birth.shards)}
            self.redis.msetnx(clocks)
        self._wait_port("clickhouse", self._clickhouse)
        self._lock.holder.clickhouse = self.settings.clickhouse

    def _publish(self) -> None:
        client = connect(self.settings.clickhouse)
        migrate(client)
        restore_tombstones(self.redis, client)
        self.rules.publish(self.redis, client)
        asyncio.run(begin_logs(self.settings, self.rules.hash))

    def _engine(self) -> None:
        """Both at once: each takes a while to load, and what comes in early waits in the log."""
        self._begin(self._worker())
        self._begin(self._api())
        self._wait("worker")
        self._wait_port("api", self._api)
        self._lock.holder.api = f"http://{self.settings.host}:{self.settings.port}"

    def _simulate(self) -> None:
        rate = ["--rate", str(self.plan.rate)] if self.plan.rate else []
        spawn = self._laike("simulate", "--data", str(self.settings.data), *rate)
        self._begin(Part("traffic", spawn, lambda: True, once=True))

    def _begin(self, part: Part) -> None:
        self.told(f"starting {part.name}")
        child = Child(part, self.plan.data / "logs" / f"{part.name}.log")
        self.children[part.name] = child
        self._note(child)

    def _note(self, child: Child) -> None:
        pid = child.process.pid
        self._lock.holder.children[child.part.name] = (pid, up_lock.start_of(pid))
        self._lock.write()

    def _wait(self, name: str) -> None:
        self.children[name].wait_ready(lambda: self.leaving)

    def _wait_port(self, name: str, make: Callable[[int], Part]) -> None:
        """Somebody may have taken its port after we looked, and be gone by now: then another."""
        try:
            self._wait(name)
        except PartFailed as failed:
            port = self.ports[name]
            if port == self.plan.port or TAKEN not in str(failed):
                raise
            self.told(f"port {port} was taken just now: {name} tries another")
            self._begin(make(any_port()))
            self._wait(name)

    def _redis(self) -> Part:
        folder, socket = self.plan.data / "redis", up_folder.redis_socket(self.plan.data)
        limit, log = f"{self.settings.memory_mb}mb", self.plan.data / "logs" / "redis.log"

        def spawn(_: BinaryIO) -> "subprocess.Popen[bytes]":
            return redis_server.start(folder, socket=socket, maxmemory=limit, log=log)

        self.redis = redis.Redis.from_url(self.settings.redis, socket_timeout=10)
        return Part(
            "redis", spawn, self._redis_ready, ready_s=300, stop_s=DRAIN_S,
            holds=lambda: no_room(folder),
        )  # fmt: skip

    def _redis_ready(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def _clickhouse(self, port: int = 0) -> Part:
        port = self.ports["clickhouse"] = port or self.ports["clickhouse"]
        url = f"http://127.0.0.1:{port}"
        self.settings = replace(self.settings, clickhouse=url)
        folder = self.settings.data / "clickhouse"
        arguments: list[str | Path] = [sys.executable, "-m", "sinks.embedded"]
        arguments += ["--data", folder, "--port", str(port)]
        spawn = command([*arguments, "--die-with-parent"], {})
        return Part(
            "clickhouse", spawn, lambda: self._has("clickhouse", f"{url}/ping"), stop_s=DRAIN_S
        )

    def _has(self, name: str, url: str) -> bool:
        return listens(self.children[name].process.pid, self.ports[name]) and _answers(url)

    def _worker(self) -> Part:
        return Part("worker", self._laike("worker"), self._worker_ready, 120, DRAIN_S)

    def _worker_ready(self) -> bool:
        """It owns every shard, and every shard decides by the rules published just now."""
        try:
            beat = json.loads(self.redis.get(WORKER) or "{}")
            rules = asyncio.run(_rules_in_force(self.settings))
        except redis.RedisError:
            return False
        mine = beat.get("pid") == self.children["worker"].process.pid
        return mine and len(beat["shards"]) == self.birth.shards and rules == {self.rules.hash}

    def _api(self, port: int = 0) -> Part:
        port = self.ports["api"] = port or self.ports["api"]
        self.settings = replace(self.settings, port=port)
        url = f"http://{self.settings.host}:{port}/readyz"
        return Part("api", self._laike("api"), lambda: self._has("api", url), stop_s=DRAIN_S)

    def _laike(self, *arguments: str) -> Spawn:
        return command([sys.executable, "-m", "api.cli", *arguments], self.settings.environment())

    def tend(self) -> None:
        """Start again what ended; PartFailed when that has been tried too often."""
        now = time.monotonic()
        for child in self.children.values():
            if said := child.tend(now):
                self.told(said)
                self._note(child)
        self.rules.publish_changed(self.redis, self.settings.clickhouse)

    def quiet(self, name: str, seconds: float) -> None:
        """End one part for good within `seconds`, as the traffic is before a drain."""
        if child := self.children.pop(name, None):
            child.stop(seconds, lambda: self._latest)

    def stop(self, seconds: float = DRAIN_S) -> list[str]:
        """End the parts in reverse, all within `seconds`; the names of those it had to kill."""
        deadline = time.monotonic() + seconds
        killed = []
        while self.children:
            name, child = self.children.popitem()
            kept = len(self.children)  # a second for each that has its turn later
            left = max(0.5, deadline - time.monotonic() - kept)
            if not child.stop(min(left, child.part.stop_s), lambda: self._latest):
                killed.append(name)
        if hasattr(self, "_lock"):
            self._lock.release()
            del self._lock
        return killed


async def _rules_in_force(settings: Settings) -> frozenset[str]:
    async with Redis.from_url(settings.redis) as client:
        return (await status.read(client, settings.shards)).rules


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _pick_port(usual: int, asked: int | None, whose: str, told: Callable[[str], None]) -> int:
    if asked is None:
        if port_free(usual):
            return usual
        chosen = any_port()
        told(f"port {usual} is taken: {whose} listens on {chosen} instead")
        return chosen
    if not port_free(asked):
        other = f"laike up --port {any_port()}"
        raise CannotStart(f"port {asked} is taken: end what listens there, or try `{other}`")
    return asked
