"""The faults, one function each, and the deck that a seed deals them from.

Must live here: what is done to which process. Must not: what it should come to. A fault returns how
many processes it killed -9; `mark` is called at the moment it strikes. To add one: a function here
and its share in a deck.
"""

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import orjson
from redis.exceptions import RedisError

from simulator.kills.machine import EngineFailed, LogKind, Machine, Process
from simulator.kills.proxy import Mood

ZOMBIE_SECONDS = 120.0  # a lease lasts 10 s, and whoever takes over has to start
WAKE_SECONDS = 90.0
READY_SECONDS = 60.0
AT_WORK = 0.75  # how often a worker is killed at its work, else wherever it is
SESSION_SECONDS = 10.0  # Kafka's: a member that is silent for longer is out
STRIKE_SECONDS = 120.0  # until the moment comes that a fault waits for


@dataclass
class World:
    """What a fault may take hold of."""

    machine: Machine
    random: random.Random
    mark: Callable[[str], None]
    busy: set[str] = field(default_factory=set)  # parts in another fault's hands
    extras: int = 0

    def worker(self) -> Process | None:
        """One that runs and is in nobody's hands."""
        free = [
            process
            for name, process in self.machine.processes.items()
            if name.startswith("worker") and name not in self.busy and process.running
        ]
        return self.random.choice(free) if free else None

    def seconds(self, least: float, most: float) -> float:
        """A random time."""
        return self.random.uniform(least, most)


Fault = Callable[[World], Awaitable[int]]
T = TypeVar("T")


async def kill_worker(world: World) -> int:
    """Kill -9 at a random moment, now and then while it starts."""
    worker = world.worker()
    if worker is None:
        return 0
    if world.random.random() < AT_WORK:
        worker = await _at_work(world, worker)
    worker.kill()
    world.mark("worker killed")
    return 1


async def _at_work(world: World, worker: Process) -> Process:
    """The worker of this name once it tells that it has shards; no other fault has it meanwhile."""
    machine, name = world.machine, worker.name
    world.busy.add(name)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and name in machine.processes:
        worker = machine.processes[name]
        if worker.process.pid in await _asked(_telling(machine), set()):
            break
        await asyncio.sleep(0.1)
    world.busy.discard(name)
    return worker


async def _telling(machine: Machine) -> set[int]:
    """The processes whose heartbeats are there."""
    names = [name async for name in machine.redis.scan_iter("laike:worker:*")]
    beats = await machine.redis.mget(names) if names else []
    return {int(orjson.loads(beat)["pid"]) for beat in beats if beat}


async def _asked(question: Awaitable[T], otherwise: T) -> T:
    try:
        return await question
    except (RedisError, OSError):
        return otherwise


async def pause_worker(world: World) -> int:
    """SIGSTOP and SIGCONT, within its lease."""
    worker = world.worker()
    if worker is None:
        return 0
    world.busy.add(worker.name)
    worker.signal(signal.SIGSTOP)
    world.mark("worker stopped")
    await asyncio.sleep(world.seconds(0.2, 4))
    worker.signal(signal.SIGCONT)
    world.busy.discard(worker.name)
    return 0


async def zombie(world: World) -> int:
    """A worker is stopped, another takes its shards over, the first one wakes: it must end."""
    old = world.worker()
    if old is None:
        return 0
    old = await _at_work(world, old)
    name, machine = old.name, world.machine
    world.busy.add(name)
    old.signal(signal.SIGSTOP)
    world.mark("zombie")
    before = await _owners(machine, name)
    machine.add(name, "worker", int(name.removeprefix("worker")))
    deadline = time.monotonic() + ZOMBIE_SECONDS
    while any(a == b for a, b in zip(await _owners(machine, name), before, strict=True)):
        if time.monotonic() > deadline:
            old.kill()
            raise EngineFailed(f"nobody took over from {name}: {machine.processes[name].said()}")
        await asyncio.sleep(0.1)
    world.busy.discard(name)
    await asyncio.sleep(world.seconds(0, 1))
    old.signal(signal.SIGCONT)
    try:
        code = await asyncio.to_thread(old.process.wait, WAKE_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    if code != 3:
        old.kill()
        raise EngineFailed(f"{name} woke as a zombie and ended with {code}, not 3: {old.said()}")
    return 0


async def _owners(machine: Machine, name: str) -> list[bytes | None]:
    mine = range(int(name.removeprefix("worker")), machine.shards, 2)
    names = [f"{{s{shard}}}:owner" for shard in mine]
    while True:
        if found := await _asked(machine.redis.mget(names), []):
            return list(found)
        await asyncio.sleep(0.1)


async def kafka_zombie(world: World) -> int:
    """A worker is stopped until the group has given its shards away, and wakes."""
    worker = world.worker()
    if worker is None:
        return 0
    worker = await _at_work(world, worker)
    world.busy.add(worker.name)
    worker.signal(signal.SIGSTOP)
    world.mark("zombie")
    await asyncio.sleep(SESSION_SECONDS + world.seconds(1, 4))
    worker.signal(signal.SIGCONT)
    world.busy.discard(worker.name)
    return 0


async def kill_in_rebalance(world: World) -> int:
    """A worker joins, and while shards move another one is killed; then the new one too."""
    world.extras += 1
    extra = world.machine.add(f"extra{world.extras}", "worker")
    await asyncio.sleep(world.seconds(1.5, 4.5))
    killed = await kill_worker(world)
    await asyncio.sleep(world.seconds(0, 6))
    world.machine.remove(extra.name)
    world.mark("worker killed in a rebalance")
    return killed + 1


async def crowd(world: World) -> int:
    """More workers than partitions for a while; the surplus is killed."""
    names = []
    for _ in range(world.machine.shards):
        world.extras += 1
        names.append(world.machine.add(f"extra{world.extras}", "worker").name)
    world.mark("more workers than partitions")
    await asyncio.sleep(world.seconds(8, 12))
    for name in names:
        world.machine.remove(name)
    world.mark("the surplus killed")
    return len(names)


async def kill_redis(world: World) -> int:
    """Kill -9 of the store (and of the Redis log), and its restart from the AOF."""
    return await _alone(world, "redis", "redis killed", _kill_redis)


async def _kill_redis(world: World) -> int:
    await world.machine.kill_redis(world.seconds(0, 1.5))
    return 1


async def pause_redis(world: World) -> int:
    """Redis answers nobody for a while."""
    return await _alone(world, "redis", "redis stopped", _pause_redis)


async def _pause_redis(world: World) -> int:
    await world.machine.stop_redis(world.seconds(0.2, 3))
    return 0


async def kill_broker(world: World) -> int:
    """Kill -9 of Kafka's only broker, and its restart."""
    return await _alone(world, "broker", "broker killed", _kill_broker)


async def _kill_broker(world: World) -> int:
    await world.machine.kill_broker()
    return 1


async def kill_clickhouse(world: World) -> int:
    """Kill -9 of ClickHouse, and its restart."""
    return await _alone(world, "clickhouse", "clickhouse killed", _kill_clickhouse)


async def _kill_clickhouse(world: World) -> int:
    await world.machine.kill_clickhouse()
    return 1


async def _alone(
    world: World, part: str, kind: str, strike: Callable[[World], Awaitable[int]]
) -> int:
    """Strike a part that no other fault has in its hands."""
    if part in world.busy:
        return 0
    world.busy.add(part)
    world.mark(kind)
    try:
        return await strike(world)
    finally:
        world.busy.discard(part)


async def kill_relay(world: World) -> int:
    """Kill -9 of the relay at a random moment."""
    world.machine.processes["relay"].kill()
    world.mark("relay killed")
    return 1


async def kill_relay_after_insert(world: World) -> int:
    """Kill -9 of the relay when ClickHouse has the rows and the cursor has not moved."""
    proxy, struck = world.machine.proxy, asyncio.Event()

    def strike() -> None:
        proxy.on_cut = None
        world.machine.processes["relay"].kill()
        world.mark("relay killed after an insert")
        struck.set()

    proxy.on_cut = strike
    try:
        return await _cut_until(world, struck)
    finally:
        proxy.on_cut = None


async def _cut_until(world: World, struck: asyncio.Event) -> int:
    if "clickhouse" in world.busy:
        return 0
    world.busy.add("clickhouse")
    world.machine.proxy.become("cut")
    try:
        await asyncio.wait_for(struck.wait(), STRIKE_SECONDS)
    except TimeoutError:
        return 0
    finally:
        world.machine.proxy.become("open")
        world.busy.discard("clickhouse")
    return 1


async def kill_relay_after_send(world: World) -> int:
    """Kill -9 of the relay when the receiver has the message and has not answered."""
    receiver, struck = world.machine.receiver, asyncio.Event()

    def strike() -> None:
        receiver.on_applied = None
        world.machine.processes["relay"].kill()
        world.mark("relay killed after a send")
        struck.set()

    receiver.on_applied = strike
    try:
        await asyncio.wait_for(struck.wait(), STRIKE_SECONDS)
    except TimeoutError:
        return 0
    finally:
        receiver.on_applied = None
    return 1


def _mood(mood: Mood, kind: str) -> Fault:
    async def moody(world: World) -> int:
        world.machine.proxy.become(mood)
        await asyncio.sleep(world.seconds(0.5, 3))
        world.machine.proxy.become("open")
        return 0

    async def fault(world: World) -> int:
        return await _alone(world, "clickhouse", kind, moody)

    fault.__name__ = kind
    return fault


refuse = _mood("refuse", "clickhouse refuses")
hang = _mood("hang", "clickhouse hangs")
cut = _mood("cut", "clickhouse fails after it applied")

# What a run of about 100 kills is dealt from, shuffled, again when it is used up.
_BOTH: dict[Fault, int] = {
    kill_worker: 12, kill_relay: 4, kill_relay_after_insert: 2, kill_relay_after_send: 2,
    kill_redis: 3, kill_clickhouse: 1, pause_worker: 2, pause_redis: 1, refuse: 1, hang: 1, cut: 1,
}  # fmt: skip
DECKS: dict[LogKind, dict[Fault, int]] = {
    "redis": {**_BOTH, zombie: 1},
    "kafka": {**_BOTH, kill_in_rebalance: 2, kill_broker: 1, crowd: 1, kafka_zombie: 1},
}


def deal(kind: LogKind, dealer: random.Random) -> list[Fault]:
    """One deck of faults, shuffled."""
    deck = [fault for fault, number in DECKS[kind].items() for _ in range(number)]
    dealer.shuffle(deck)
    return deck
