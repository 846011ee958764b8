"""The HTTP door before a worker, in wall time: how much it takes, and how soon a decision stands.

Must live here: the search for the highest rate and the probes at half of it. Must not: the load
(http_load.py, a process of its own). First the highest rate of events at which the lag, the age of
the oldest record not yet decided, stays under a second; then, at half that rate, single calls of
new customers whose first order a rule answers at once: from before the call is sent until the
commit with the decision can be read in the outbox, so that its fsync is in it. Log and outbox are
trimmed between runs; relay and ClickHouse do not run. LAIKE_BENCH_QUICK=1 makes every run short.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from redis.asyncio import Redis
from rich.console import Console

from engine import status
from engine.logs import redis_server
from engine.logs.redis import stream
from engine.settings import Settings
from engine.stores.redis import keys
from simulator.benches.http_load import WRITE_KEY, Line
from simulator.benches.parts import SHARDS, Place, percentile, place, program, publish_rules
from simulator.habits import iso

LAG_MS_MAX = 1_000
LEAST_RATE = 100.0
FIRST_RATE = 2_000.0
GROWTH = 1.4
PROBES_A_SECOND = 20
PROBE_LINES = 4
LOOK_SECONDS = 0.2
START_SECONDS = 60.0
RULE = "first-order-welcome"


@dataclass(frozen=True)
class Times:
    """How long runs take, in seconds, and where the search ends."""

    look: float = 8.0
    confirm: float = 60.0
    measure: float = 60.0
    rate_max: float = 100_000

    @classmethod
    def asked(cls) -> "Times":
        """The usual ones, or short ones for a test."""
        return (
            cls(0.5, 1.0, 1.0, FIRST_RATE + 1)
            if os.environ.get("LAIKE_BENCH_QUICK") == "1"
            else cls()
        )


def measure(console: Console) -> dict[str, Any]:
    """The highest rate, and the milliseconds from a call to its decision at half of it."""
    with place() as here:
        return asyncio.run(_measure(here, console, Times.asked()))


async def _measure(here: Place, console: Console, times: Times) -> dict[str, Any]:
    async with _engine(here) as engine:
        rate = await _highest(engine, console, times)
        console.print(f"  half of it, {rate / 2:,.0f} a second, for {times.measure:g} s")
        probes = Probes(engine)
        loaded, _ = await asyncio.gather(
            engine.run(rate / 2, times.measure), probes.run(times.measure)
        )
        waited = probes.waited()
        return {
            "max_events_per_second": round(rate),
            "half_events_per_second": round(loaded["events_per_second"]),
            "p50_ms": percentile(waited, 50),
            "p99_ms": percentile(waited, 99),
            "decisions": len(waited),
            "undecided": len(probes.sent) - len(waited),
            "answer_p50_ms": loaded["answer_p50_ms"],
            "answer_p99_ms": loaded["answer_p99_ms"],
            "lag_ms_max": round(loaded["lag_ms"]),
        }


async def _highest(engine: "Engine", console: Console, times: Times) -> float:
    """The highest rate that holds for `confirm` seconds, to about a tenth."""

    async def holds(rate: float, seconds: float) -> bool:
        found = await engine.run(rate, seconds)
        good = found["lag_ms"] < LAG_MS_MAX and found["answer_p99_ms"] < LAG_MS_MAX
        good = good and not found["refused"] and found["events_per_second"] > 0.97 * rate
        console.print(
            f"  {rate:,.0f} a second for {seconds:g} s: {found['events_per_second']:,.0f} taken, "
            f"{found['refused']} refused, lag {found['lag_ms']:,.0f} ms, "
            f"answers p99 {found['answer_p99_ms']:,.0f} ms: "
            f"{'holds' if good else 'too much'}"
        )
        return good

    low, high = LEAST_RATE, FIRST_RATE
    while high < times.rate_max and await holds(high, times.look):
        low, high = high, high * GROWTH
    while high - low > 0.1 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if await holds(middle, times.look) else (low, middle)
    while low > LEAST_RATE and not await holds(low, times.confirm):
        low *= 0.92
    return low


@dataclass
class Engine:
    """An API and a worker that run, and the load before them."""

    settings: Settings
    redis: Any
    load: "asyncio.subprocess.Process"

    async def run(self, rate: float, seconds: float) -> dict[str, Any]:
        """Load it, and watch the oldest record; then wait until all is decided, and tidy up."""
        assert self.load.stdin  # noqa: S101 - it was started with a pipe
        assert self.load.stdout  # noqa: S101
        self.load.stdin.write(orjson.dumps({"rate": rate, "seconds": seconds}) + b"\n")
        answer = asyncio.ensure_future(self.load.stdout.readline())
        lag = 0.0
        while not answer.done():
            lag = max(lag, await self._lag_ms())
            await asyncio.wait([answer], timeout=LOOK_SECONDS)
        while (await status.read(self.redis, SHARDS)).lag:  # noqa: ASYNC110 - another process'
            await asyncio.sleep(LOOK_SECONDS)
        await self._trim()
        found: dict[str, Any] = json.loads(answer.result())
        return found | {"lag_ms": lag}

    async def _lag_ms(self) -> float:
        """The age of the oldest record that is in the log and not decided."""
        found = await self.redis.mget([keys(shard)["next"] for shard in range(SHARDS)])
        pipe = self.redis.pipeline(transaction=False)
        for shard, position in enumerate(found):
            offset = int((position or b"0").partition(b":")[0])
            pipe.xrange(stream(shard), min=f"{offset + 1}-0", count=1)
        times = [int(entries[0][1][b"t"]) for entries in await pipe.execute() if entries]
        return max(0.0, time.time() * 1000 - min(times)) if times else 0.0

    async def _trim(self) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for shard in range(SHARDS):
            pipe.xtrim(stream(shard), maxlen=1, approximate=False)
            pipe.xtrim(keys(shard)["outbox"], maxlen=1, approximate=False)
        await pipe.execute()


@dataclass
class Probes:
    """New customers' first orders, and when the decision on each could be read; times in ms."""

    engine: Engine
    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def waited(self) -> list[float]:
        """From the call to the decision, sorted."""
        return sorted(self.seen[name] - at for name, at in self.sent.items() if name in self.seen)

    async def run(self, seconds: float) -> None:
        """Send for so long, and read until all are decided, or a few seconds have passed."""
        reading = asyncio.create_task(self._read(seconds + 5))
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._send(number, until) for number in range(PROBE_LINES)))
        await reading

    async def _send(self, number: int, until: float) -> None:
        settings = self.engine.settings
        line = Line(settings.host, settings.port)
        await line.open()
        pause = PROBE_LINES / PROBES_A_SECOND
        due = time.monotonic() + pause * number / PROBE_LINES
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            name = f"probe-{number}-{len(self.sent)}"
            now = self.sent[f"u:{name}"] = time.time() * 1000
            order = {"order_id": name, "total": 120, "products": [{"product_id": "p1"}]}
            call = {"userId": name, "event": "Order Completed", "messageId": name,
                    "timestamp": iso(int(now)), "properties": order}  # fmt: skip
            await line.post("/v1/track", orjson.dumps(call))
            due = max(due + pause, time.monotonic())
        line.close()

    async def _read(self, seconds: float) -> None:
        places: dict[Any, Any] = {keys(shard)["outbox"]: "0" for shard in range(SHARDS)}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = await self.engine.redis.xread(places, block=100)
            now = time.time() * 1000
            for name, entries in found:
                places[name.decode()] = entries[-1][0]
                for _, fields in entries:
                    self._note(fields[b"b"], now)
            if self.sent and len(self.seen) == len(self.sent) and until - time.monotonic() < 5:
                return

    def _note(self, body: bytes, now: float) -> None:
        if b'"u:probe-' in body:
            for decision in orjson.loads(body).get("decisions", ()):
                if decision["rule"] == RULE and decision["cid"] in self.sent:
                    self.seen.setdefault(decision["cid"], now)


@asynccontextmanager
async def _engine(here: Place) -> AsyncIterator[Engine]:
    """The real processes, ready; ended afterwards."""
    settings = replace(here.settings(), clock="wall", port=_free_port())
    sender = [{"name": "bench", "write_key": WRITE_KEY, "kind": "server"}]
    settings.sources_file.write_bytes(orjson.dumps(sender))
    digest = publish_rules(here)
    here.redis.set("laike:rules:wanted", digest)
    redis = Redis.from_url(here.url)
    commands = {"worker": ["worker"], "api": ["api", "--no-background"]}
    parts = [
        program(
            "api.cli",
            *words,
            environment=settings.environment(),
            output=here.folder / f"{name}.log",
        )
        for name, words in commands.items()
    ]
    load = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator.benches.http_load", settings.host, str(settings.port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        preexec_fn=redis_server.die_with_parent,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not await _ready(settings, redis, digest):
            if time.monotonic() > deadline or any(part.poll() is not None for part in parts):
                raise RuntimeError(f"the engine did not start: {_said(here, commands)}")
            await asyncio.sleep(0.1)
        yield Engine(settings, redis, load)
    finally:
        with suppress(ProcessLookupError):
            load.kill()
        await load.wait()
        for part in parts:
            part.terminate()
        for part in parts:
            part.wait(20)
        await redis.aclose()


async def _ready(settings: Settings, redis: "Redis", digest: str) -> bool:
    """Whether every shard decides by the rules and the door is open."""
    if (await status.read(redis, SHARDS)).rules != {digest}:
        return False
    try:
        _, writer = await asyncio.open_connection(settings.host, settings.port)
    except OSError:
        return False
    writer.close()
    return True


def _said(here: Place, names: Iterable[str]) -> str:
    return " ".join((here.folder / f"{name}.log").read_text()[-1_000:] for name in names)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
