"""A whole engine of separate processes in a folder: stores, workers, relay, started again at once.

Must live here: starting, killing, starting again. Must not: when, or why. Every process is a child
of this one and ends with it; the two local doors (proxy, receiver) live in this process.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from redis.asyncio import Redis

from engine.log import Log
from engine.logs import broker, open_log, redis_server
from engine.settings import Settings
from simulator.kills.proxy import Proxy
from simulator.kills.receiver import Receiver
from simulator.kills.story import write_rules
from sinks.clickhouse import connect
from sinks.embedded.process import Embedded
from sinks.embedded.process import start as start_clickhouse

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"a secret of the kills alone"
WORKERS = 2
FENCED = 3
LAST_LINES = 4
LogKind = Literal["redis", "kafka"]
Start = Callable[[], "subprocess.Popen[bytes]"]


class EngineFailed(Exception):  # noqa: N818 - what the run is there to find out
    """A part of the engine does not do what it must; the message has its last lines."""


@dataclass
class Process:
    """A process that is started again whenever it ended."""

    name: str
    start: Start
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    killed: bool = False
    again_at: float = 0.0
    _told: int = 0  # bytes of its log that its forerunners wrote

    def __post_init__(self) -> None:
        """Start it."""
        self.begin()

    def begin(self) -> None:
        """Start it, for the first time or again."""
        self.killed, self.again_at = False, 0.0
        self._told = self.log.stat().st_size if self.log.exists() else 0
        self.process = self.start()

    @property
    def running(self) -> bool:
        """Whether it lives (stopped is living)."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Send kill -9, as a crash would."""
        self.killed = True
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is somebody."""
        if self.running:
            self.process.send_signal(number)

    def said(self) -> str:
        """Why it stops, where it has told so; else its last lines."""
        lines = self.log.read_bytes()[self._told :].decode(errors="replace").splitlines()
        why = [line for line in lines if " CRITICAL " in line]
        return " | ".join(why[-1:] or lines[-LAST_LINES:])


class Machine:
    """The engine under test; use it in an `async with`, and call `tend` now and then."""

    def __init__(self, folder: Path, kind: LogKind, shards: int, wait_seconds: int) -> None:
        self.folder = folder
        self.kind = kind
        self.shards = shards
        self.wait_seconds = wait_seconds
        self.processes: dict[str, Process] = {}
        self.strays: list[Process] = []  # replaced while they still lived
        self.exits: list[str] = []  # ends that nobody asked for
        self.fenced = 0  # workers that ended because another one has their shards: as they must
        self.receiver = Receiver()
        self.clickhouse: Embedded
        self.proxy: Proxy
        self.broker: broker.Broker
        self.redis: Any  # its stubs say bytes or str; ours decodes nothing
        self.log: Log
        self._redis_process: subprocess.Popen[bytes]
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Everything up, the tables and the rules in place."""
        try:
            await self._enter()
        except BaseException:
            await self._held.aclose()
            raise
        return self

    async def _enter(self) -> None:
        (self.folder / "secret").write_bytes(SECRET)
        self._start_redis()
        self._held.callback(self._stop_redis)
        self.redis = Redis.from_url(self._url, socket_timeout=5)
        self._held.push_async_callback(self.redis.aclose)
        if self.kind == "kafka":
            self.broker = broker.Broker(self.folder / "kafka")
            self._held.callback(self._stop_broker)
        self.clickhouse = await asyncio.to_thread(start_clickhouse, self.folder / "clickhouse")
        self._held.callback(self._stop_clickhouse)
        self.proxy = await self._held.enter_async_context(Proxy(self.clickhouse.url))
        await self._held.enter_async_context(self.receiver)
        target = {"targets": {"hook": {"url": self.receiver.url, "private": True}},
                  "via": {"*": "hook"}}  # fmt: skip
        (self.folder / "channels.json").write_text(json.dumps(target))
        await self._redis_ready()
        if self.kind == "kafka":
            await asyncio.to_thread(self.broker.wait_ready)
        write_rules(self.folder / "rules", self.wait_seconds)
        self.log = open_log(self.settings().log, redis=self.redis, shards=self.shards)
        self._held.push_async_callback(self.log.close)
        await self._migrate()
        self._held.callback(self._kill_all)
        for index in range(WORKERS):
            self.add(f"worker{index}", "worker", index)
        self.add("relay", "relay")

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing behind."""
        await self._held.aclose()

    # The stores are other processes after a kill: whichever there is now is ended.

    def _stop_redis(self) -> None:
        redis_server.stop(self._redis_process)

    def _stop_broker(self) -> None:
        self.broker.stop()

    def _stop_clickhouse(self) -> None:
        self.clickhouse.stop()

    def _kill_all(self) -> None:
        for process in (*self.strays, *self.processes.values()):
            process.process.kill()
            process.process.wait()

    def settings(self, index: int = 0) -> Settings:
        """The settings of a part; `index` matters to a worker on the Redis log."""
        log = self._url if self.kind == "redis" else f"kafka://{self.broker.bootstrap}/kills"
        return Settings(
            data=self.folder, secret=SECRET, log=log, redis=self._url, shards=self.shards,
            clickhouse=self.proxy.url, rules=self.folder / "rules",
            worker_index=index if self.kind == "redis" else 0,
            worker_count=WORKERS if self.kind == "redis" else 1,
        )  # fmt: skip

    @property
    def _url(self) -> str:
        return redis_server.url(self.folder / "redis")

    def add(self, name: str, command: str, index: int = 0) -> Process:
        """Start one more process under this name; who had the name is no longer looked after."""
        log = self.folder / f"{name}.log"
        environment = {**os.environ, **self.settings(index).environment()}

        def start() -> "subprocess.Popen[bytes]":
            with log.open("ab") as out:
                return subprocess.Popen(
                    [sys.executable, "-m", "api.cli", command],
                    cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    preexec_fn=redis_server.die_with_parent,  # noqa: PLW1509 - one prctl
                )  # fmt: skip

        if name in self.processes:
            self.strays.append(self.processes[name])
        made = self.processes[name] = Process(name, start, log)
        return made

    def remove(self, name: str) -> None:
        """Kill a process for good."""
        process = self.processes.pop(name)
        process.kill()
        process.process.wait()

    def tend(self, pause: float) -> None:
        """Start again what ended, `pause` seconds after its end was seen."""
        now = time.monotonic()
        for process in self.processes.values():
            if process.running:
                continue
            if not process.again_at:
                process.again_at = now + pause
                if not process.killed:
                    self._note(process, process.process.returncode)
            elif now >= process.again_at:
                process.begin()

    def _note(self, process: Process, code: int | None) -> None:
        said = process.said()
        if self.kind == "kafka" and code == FENCED and "has another owner now" in said:
            self.fenced += 1
        else:
            self.exits.append(f"{process.name} ended with {code}: {said}")

    async def end(self, name: str, seconds: float) -> None:
        """SIGTERM, after which a part drains and ends with 0."""
        process = self.processes.pop(name)
        process.signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(process.process.wait, seconds)
        except subprocess.TimeoutExpired:
            process.process.kill()
            code = None
        if code != 0:
            self._note(process, code)

    async def _migrate(self) -> None:
        environment = {**os.environ, **self.settings().environment()}
        command = [
            sys.executable,
            "-m",
            "api.cli",
            "migrate",
            "--rules",
            str(self.folder / "rules"),
        ]
        done = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, said = await done.communicate()
        if done.returncode:
            raise EngineFailed(f"laike migrate ended with {done.returncode}: {said.decode()}")
        self.keep_raw()

    def keep_raw(self) -> None:
        """Have ClickHouse merge nothing: the audit reads what was inserted, repeats and all."""
        client = connect(self.clickhouse.url)
        client.command("SYSTEM STOP MERGES")
        client.close()

    def _start_redis(self) -> None:
        self._redis_process = redis_server.start(self.folder / "redis")

    async def _redis_ready(self) -> None:
        log = self.folder / "redis" / "redis.log"
        await asyncio.to_thread(redis_server.wait_ready, self._redis_process, self._url, log)

    async def kill_redis(self, away_seconds: float) -> None:
        """Kill -9; the same files again after so long."""
        self._redis_process.kill()
        self._redis_process.wait()
        await asyncio.sleep(away_seconds)
        self._start_redis()
        await self._redis_ready()

    async def stop_redis(self, seconds: float) -> None:
        """SIGSTOP: it answers nobody for so long."""
        self._redis_process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._redis_process.send_signal(signal.SIGCONT)

    async def kill_clickhouse(self) -> None:
        """Kill -9 and the same folder again, on another port behind the same proxy."""
        self.clickhouse.process.kill()
        self.clickhouse.process.wait()
        self.clickhouse = await asyncio.to_thread(start_clickhouse, self.folder / "clickhouse")
        self.keep_raw()
        self.proxy.target = self.clickhouse.url

    async def kill_broker(self) -> None:
        """Kill -9 and the same folder and port again."""
        port = int(self.broker.bootstrap.rpartition(":")[2])
        self.broker.process.kill()
        self.broker.process.wait()
        self.broker = broker.Broker(self.folder / "kafka", port)
        await asyncio.to_thread(self.broker.wait_ready)
