"""The workers: who owns which shard, how they die, freeze, wake as zombies and start again.

Must live here: processes and their lanes around the real `engine.pipeline.Shard`. Must not: which
fault strikes when. The real lanes (engine/lanes.py) are tasks of asyncio and run in the tests of
real processes; a lane here is the same loop with every step a boundary.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from engine import birth
from engine.effects import Settings
from engine.log import LogAway
from engine.pipeline import Shard
from engine.records import TICK, Append
from engine.store import Fenced, Stopped
from simulator.faults import history as told
from simulator.faults.log import SimulatedLog
from simulator.faults.store import FaultyStore, Memory
from simulator.faults.world import Actor, World, boundary, idle

TICK_MS = 100.0
RESTART_MS = 120.0
SECRET = b"secret of the simulated shop"


async def sleep(seconds: float) -> None:
    """Let simulated seconds pass."""
    await boundary("pause", seconds * 1_000)


class Cluster:
    """Workers by name and the shards assigned to each."""

    def __init__(
        self,
        world: World,
        log: SimulatedLog,
        memory: Memory,
        *,
        workers: int,
        record: bool,
        make_store: Callable[[Memory], FaultyStore] = FaultyStore,
    ) -> None:
        self.world = world
        self.log = log
        self.memory = memory
        self.make_store = make_store
        self.record = record
        self.names = [f"worker {number}" for number in range(workers)]
        self.assigned = {shard: self.names[shard % workers] for shard in range(log.shards)}
        self.positions: dict[str, str] = {}  # what birth.check keeps in Redis
        world.raised = self.raised

    def settings(self, shard: int) -> Settings:
        """A shard's settings, which never change."""
        return Settings(shard, self.log.shards, SECRET, record_clock=self.record)

    def start(self, name: str) -> None:
        """Start a worker with the shards assigned to it now."""
        if not self.alive(name):
            self.world.start(f"start of {name}", name, self._start(name))

    def alive(self, name: str) -> bool:
        """Whether anything of this worker runs."""
        return any(actor.process == name for actor in self.world.actors)

    async def _start(self, name: str) -> None:
        await birth.check(
            _Keys(self), self.log, identity=self.log.identity, shards=self.log.shards, clock="wall"
        )
        if self.log.identity != "log 1":
            raise RuntimeError("a worker started on a log that its store does not belong to")
        for shard, owner in self.assigned.items():
            if owner == name:
                self._open(shard, name)
        self.world.start(f"duties of {name}", name, self._tick(name))

    def _open(self, shard: int, name: str) -> None:
        self.world.start(f"lane {shard}", name, self._lane(shard, name))

    async def _lane(self, number: int, name: str) -> None:
        """One shard at work: fetch, process, note how far it came."""
        world = self.world
        shard = Shard(self.settings(number), self.make_store(self.memory))
        shard.tenure.sleep = sleep
        shard.warm_max = world.order.choice((0, 3, 1_000))
        await shard.open()
        while True:
            count = world.order.choice((1, 3, 10, 40, 200))
            records = await self.log.read(number, shard.next_offset, count)
            if not records:
                await idle()
                continue
            await shard.process(records)
            await boundary(f"ack by {name}", 0.1)

    async def _tick(self, name: str) -> None:
        """The owner's tick to each of its shards, busy or not."""
        while True:
            mine = [shard for shard, owner in self.assigned.items() if owner == name]
            value = orjson.dumps({"at": self.world.log_now})
            ticks = [Append(shard, TICK, value) for shard in mine]
            await _patiently(partial(self.log.append, ticks))
            await boundary("until the next tick", TICK_MS)

    def raised(self, actor: Actor, error: Exception) -> None:
        """Fenced or stopped: the process ends and is started again. Else we are wrong."""
        if isinstance(error, Stopped):
            shard = int(actor.name.removeprefix("lane ")) if actor.name.startswith("lane") else -1
            declared = shard in self.log.holes if shard >= 0 else self.log.recreated
            self.log.holes.discard(shard)
            self.memory.history.facts.append(told.Stopped(shard, str(error), declared))
        elif not isinstance(error, Fenced):
            raise error
        self.world.say(f"{actor.process} ends: {error}")
        self.kill(actor.process)

    def kill(self, name: str, *, after_ms: float = RESTART_MS) -> None:
        """Kill -9, and a start by whoever looks after it."""
        for actor in [actor for actor in self.world.actors if actor.process == name]:
            self.world.end(actor)
        self.world.later(after_ms, lambda: self.start(name))

    def freeze(self, name: str, ms: float, *, reassign: bool) -> None:
        """Stop a worker where it stands; perhaps its shards go elsewhere before it wakes."""
        stopped = [actor for actor in self.world.actors if actor.process == name]
        for actor in stopped:
            actor.frozen = True
        if reassign:
            others = [other for other in self.names if other != name and self.alive(other)]
            for shard, owner in list(self.assigned.items()):
                if others and owner == name:
                    self.move(shard, self.world.chance.choice(others), leave=True)

        def wake() -> None:
            for actor in stopped:
                actor.frozen = False

        self.world.later(ms, wake)

    def move(self, shard: int, to: str, *, leave: bool) -> None:
        """Give a shard to another worker; `leave` its old lane running, as a zombie."""
        closed = {to} if leave else {to, self.assigned[shard]}
        for actor in list(self.world.actors):
            if actor.process in closed and actor.name == f"lane {shard}":
                self.world.end(actor)
        self.assigned[shard] = to
        if any(actor.name == f"duties of {to}" for actor in self.world.actors):
            self._open(shard, to)


class _Keys:
    """What birth.check asks of Redis."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def set(self, key: str, value: bytes, *, nx: bool) -> None:
        """SET, here always NX."""
        if not nx:
            raise RuntimeError("the birth record is written once")
        self.cluster.positions.setdefault(key, value.decode())

    async def get(self, key: str) -> str:
        """GET."""
        return self.cluster.positions[key]

    async def mget(self, keys: list[str]) -> list[bytes]:
        """MGET of the shards' positions, in order."""
        held = self.cluster.memory.store
        return [held.shard(number).position.text() for number in range(len(keys))]


async def _patiently(do: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await do()
        except LogAway:
            await boundary("pause", 20.0)
