"""One run: traffic and faults side by side by one seed, a drain, the audit, the report.

Must live here: their order in time. Must not: a fault, a check.
"""

import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.exceptions import RedisError

from engine import status
from engine.ending import end
from engine.log import LogAway
from simulator.doors import to_record
from simulator.kills.audit import Audit, read_entry
from simulator.kills.faults import Fault, World, deal
from simulator.kills.machine import EngineFailed, LogKind, Machine
from simulator.kills.story import Stories
from simulator.kills.watch import SOURCE, Watch, append
from sinks.channels_sink import IN_FLIGHT
from sinks.clickhouse import connect
from sinks.outbox import drained

SHARDS: dict[LogKind, int] = {"redis": 8, "kafka": 4}
# A broker that falls may come between two events that are sent together: the wait outlasts it.
WAIT_SECONDS: dict[LogKind, int] = {"redis": 4, "kafka": 20}
GAP_SECONDS: dict[LogKind, tuple[float, float]] = {"redis": (0.2, 4.0), "kafka": (0.5, 5.5)}
BEAT_SECONDS = 0.1
MERGE_LOOK_SECONDS = 0.5
RESTART_SECONDS = (0.0, 0.5)
READY_SECONDS = 180.0
STILL_SECONDS = 120.0  # nothing has moved for so long: it never will
END_SECONDS = 90.0
OPEN_MOST, PACE_SECONDS = 4, 15.0  # faults felt at once, unless they last so long
TICK_SECONDS = 1.5  # a tick comes once a second


@dataclass(frozen=True)
class Plan:
    """What is asked for: so many processes killed, on which log, by which seed."""

    kills: int = 100
    log: LogKind = "redis"
    seed: int = 1
    customers_per_second: float = 25.0
    customers_most: int | None = None
    faults: Sequence[Fault] | None = None  # these in this order and no others, whatever `kills` is
    gap_seconds: tuple[float, float] | None = None  # between two faults
    wait_seconds: int | None = None  # of the rule that has a wait


async def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Do it in `folder`; the report, whose `clean` says whether all was as it must be."""
    began = time.monotonic()
    kind = plan.log
    wait = plan.wait_seconds or WAIT_SECONDS[kind]
    async with Machine(folder, kind, SHARDS[kind], wait) as machine:
        one = Run(plan, machine)
        async with one.traffic():
            await one.ready()
            failures = await one.strike()
            stuck = await one.drain()
        audit = await one.audit()
        audit.wrong += [*failures, *stuck]
    return one.report(audit, time.monotonic() - began)


class Run:
    """A started machine until its audit."""

    def __init__(self, plan: Plan, machine: Machine) -> None:
        self.plan = plan
        self.machine = machine
        self.random = random.Random(plan.seed)
        self.stories = Stories(plan.seed)
        self.watch = Watch(machine, self.stories)
        self.world = World(machine, random.Random(plan.seed + 1), self.watch.mark)
        self.kills = 0
        self.struck: Counter[str] = Counter()
        self._open_since = 0.0  # when stories began to be begun; 0 while none is

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Stories, restarts and looks go on inside the block."""
        loops = [self._tell(), self._merges(), self._tend(), self.watch.run()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            await end(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _tell(self) -> None:
        """Begin stories at their rate and send what is due; nothing is given up."""
        shards = self.machine.shards
        while True:
            now = time.time()
            open_seconds = now - self._open_since if self._open_since else 0.0
            wanted = open_seconds * self.plan.customers_per_second
            while self.stories.begun < min(wanted, self.plan.customers_most or wanted):
                self.stories.begin(now)
            due = self.stories.due(now)
            at = round(now * 1000)
            records = [
                to_record(item, shards, SOURCE, at) for step, _ in due for item in step.items
            ]
            if records:
                await append(self.machine, records)
            for _, story in due:
                self.stories.told(story, time.time())
            await asyncio.sleep(BEAT_SECONDS)

    async def _merges(self) -> None:
        """Ask ClickHouse, by its own door, who has become whom."""
        while True:
            await asyncio.sleep(MERGE_LOOK_SECONDS)
            if waiting := self.stories.merging:
                try:
                    self.stories.merged(await asyncio.to_thread(_merged, self.machine, waiting))
                except (ClickHouseError, OSError):
                    continue  # it was killed just now

    async def _tend(self) -> None:
        while True:
            self.machine.tend(self.random.uniform(*RESTART_SECONDS))
            await asyncio.sleep(BEAT_SECONDS)

    async def ready(self) -> None:
        """Wait until every shard decides by the rules; only then may anything happen."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            found = await status.read(self.machine.redis, self.machine.shards, self.machine.log)
            if len(found.rules) == 1 and "" not in found.rules:
                self.watch.mark("none (a start)")
                self._open_since = time.time()
                return
            await asyncio.sleep(BEAT_SECONDS)
        said = self.machine.processes["worker0"].said()
        raise EngineFailed(f"the engine is not ready after {READY_SECONDS:.0f} s: {said}")

    async def strike(self) -> list[str]:
        """Deal faults until so many processes were killed; what failed in it."""
        tasks: list[asyncio.Task[int]] = []
        gap = self.plan.gap_seconds or GAP_SECONDS[self.plan.log]
        for fault in self._deck():
            await asyncio.sleep(self.random.uniform(*gap))
            await _until(self._bearable, time.monotonic() + PACE_SECONDS)
            tasks.append(asyncio.create_task(self._one(fault)))
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        return [f"{error!r}" for error in ended if isinstance(error, BaseException)]

    def _deck(self) -> Iterator[Fault]:
        if self.plan.faults is not None:
            yield from self.plan.faults
            return
        deck: list[Fault] = []
        while self.kills < self.plan.kills:
            deck = deck or deal(self.plan.log, self.random)
            yield deck.pop()

    async def _one(self, fault: Fault) -> int:
        self.struck[fault.__name__.replace("_", " ")] += 1
        killed = await fault(self.world)
        self.kills += killed
        return killed

    async def drain(self) -> list[str]:
        """No new stories; wait until all is told, decided and carried; what did not come."""
        await self._comes(self._all_begun)
        self._open_since = 0.0
        for step in (self._all_told, self._calm, self._letters, self._calm, self._carried):
            if not await self._comes(step):
                return [f"nothing moved for {STILL_SECONDS:.0f} s: {self._where(step.__name__)}"]
            if step in {self._all_told, self._letters}:
                self.watch.mark("none (the end)")
                await asyncio.sleep(TICK_SECONDS)
        for name in [name for name in self.machine.processes if name != "relay"]:
            await self.machine.end(name, END_SECONDS)
        await self._comes(self._carried)
        await self.machine.end("relay", END_SECONDS)
        return []

    async def _comes(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it came true before all had stood still for too long; a slow machine goes on."""
        before, since = (-1, -1, -1), time.monotonic()
        while not await step():
            now = (self.stories.begun, self.stories.open, len(self.watch.open))
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > STILL_SECONDS:
                return False
            await asyncio.sleep(BEAT_SECONDS)
        return True

    async def _bearable(self) -> bool:
        return len(self.watch.open) < OPEN_MOST

    async def _all_begun(self) -> bool:
        return self.stories.begun >= (self.plan.customers_most or 0)

    async def _all_told(self) -> bool:
        waited = time.time() - self.stories.last_left
        return not self.stories.open and waited > self.machine.wait_seconds + 2

    async def _calm(self) -> bool:
        return self.watch.calm

    async def _letters(self) -> bool:
        return not await _asked(status.letters_in_flight(self.machine.redis, self.machine.shards))

    async def _carried(self) -> bool:
        return bool(await _asked(drained(self.machine.redis, self.machine.shards), otherwise=False))

    def _where(self, step: str) -> str:
        open_ = [(felt.kind, felt.targets) for felt in self.watch.open]
        said = {name: process.said() for name, process in self.machine.processes.items()}
        return f"{step}, {self.stories.open} stories, faults {open_}, {said}"

    async def audit(self) -> Audit:
        """The machine has drained: hold what is there against what was sent."""
        machine = self.machine
        audit = Audit(self.stories.expected)
        client = connect(machine.clickhouse.url)
        outboxes = [
            [
                read_entry(fields[b"b"])
                for _, fields in await machine.redis.xrange(f"{{s{n}}}:outbox")
            ]
            for n in range(machine.shards)
        ]
        found = await status.read(machine.redis, machine.shards, machine.log)
        audit.rows(client)
        audit.outboxes(outboxes, client)
        audit.messages(machine.receiver, client, IN_FLIGHT * max(1, self._relay_kills()))
        audit.counted(found.events_processed)
        audit.wrong += self.watch.back
        audit.wrong += machine.exits
        audit.figures["fenced"] = machine.fenced
        audit.figures["duplicates_dropped"] = found.duplicates_dropped
        client.close()
        return audit

    def _relay_kills(self) -> int:
        return sum(number for name, number in self.struck.items() if "relay" in name)

    def report(self, audit: Audit, seconds: float) -> dict[str, Any]:
        """Figures for people and for scripts."""
        times: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for felt in self.watch.felt:
            if felt.carried:
                times[felt.kind].append((felt.decided, felt.carried))
        faults = [pair for kind, pairs in times.items() if "none" not in kind for pair in pairs]
        return {
            "log": self.plan.log,
            "seed": self.plan.seed,
            "kills": self.kills,
            "faults": dict(sorted(self.struck.items())),
            "lost": len(audit.lost),
            "duplicated": len(audit.duplicated),
            "wrong": len(audit.wrong),
            "findings": audit.told(),
            "redelivered": audit.figures["redelivered"],
            "recovery_seconds": _percentiles(faults),
            "recovery_by_kind": {
                kind: _percentiles(pairs) for kind, pairs in sorted(times.items())
            },
            "customers": self.stories.begun,
            "fingerprint": audit.fingerprint,
            **audit.figures,
            "seconds": round(seconds, 1),
            "clean": not (audit.lost or audit.duplicated or audit.wrong),
        }


async def _until(step: Callable[[], Awaitable[bool]], deadline: float) -> bool:
    """Whether it came true before the deadline."""
    while time.monotonic() < deadline:
        if await step():
            return True
        await asyncio.sleep(BEAT_SECONDS)
    return False


async def _asked(question: Any, *, otherwise: bool = True) -> Any:
    try:
        return await question
    except (RedisError, LogAway, OSError):
        return otherwise


def _merged(machine: Machine, waiting: list[str]) -> set[str]:
    client = connect(machine.clickhouse.url, timeout_seconds=5)
    try:
        sql = "SELECT DISTINCT alias FROM identities WHERE alias IN {aliases:Array(String)}"
        return {row[0] for row in client.query(sql, parameters={"aliases": waiting}).result_rows}
    finally:
        client.close()


def _percentiles(pairs: list[tuple[float, float]]) -> dict[str, float | int]:
    """p50, p99 and the longest, in seconds: until decided, and until a row."""
    if not pairs:
        return {"number": 0}
    told: dict[str, float | int] = {"number": len(pairs)}
    for name, values in zip(("decided", "carried"), zip(*pairs, strict=True), strict=True):
        cut = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else None
        told[f"{name}_p50"] = round(statistics.median(values), 2)
        told[f"{name}_p99"] = round(cut[98] if cut else values[0], 2)
        told[f"{name}_most"] = round(max(values), 2)
    return told


def run_in_a_folder(plan: Plan) -> dict[str, Any]:
    """A run in a folder of its own, which is kept (`folder`) when something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="laike-kills-"))
    report = asyncio.run(run(plan, folder))
    if not report["clean"]:
        return {**report, "folder": str(folder)}
    shutil.rmtree(folder, ignore_errors=True)
    return report
