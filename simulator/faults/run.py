"""One seed: a world is built, lives through episodes of faults, settles, and is judged.

Must live here: putting the parts together and the order of a run. Must not: a fault, a check. An
episode is work under faults, then quiet: no new work and no new faults until every record is
decided and every outbox carried away. The time from its last fault to then is the recovery.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec
import orjson

from engine import batches, pipeline, pools
from engine.journal import REGISTRY
from engine.pools import POOL as POOLS
from engine.pools import imports
from engine.records import RULES, Append
from engine.store import ShardState
from engine.versions import MADE
from features.customer import Customer
from simulator.faults.auditor import audit
from simulator.faults.auditor.chain import Chains
from simulator.faults.book import POOL, bodies
from simulator.faults.cluster import SECRET, Cluster
from simulator.faults.history import History, Logged
from simulator.faults.kinds import RATES, STRIKES, WEIGHTS, Site
from simulator.faults.learned import published
from simulator.faults.log import SimulatedLog
from simulator.faults.mutations import MUTATIONS, Mutation
from simulator.faults.relay import SINKS, Relay
from simulator.faults.serial import differences, replay
from simulator.faults.shop import Shop
from simulator.faults.store import Memory
from simulator.faults.workload import calls, plain
from simulator.faults.world import START, Allowed, World

EPISODES = 3
QUIET_STEPS_MAX, QUIET_MS_MAX = 30_000, 60_000.0
BURST_STEPS_MAX = 60_000
CALM_MS = 2.0
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LATE_MS = HOUR
CODES = tuple(f"CODE-{number:02}" for number in range(11))
AFTERWARDS = (31 * MINUTE, 2 * HOUR, 26 * HOUR, 4 * DAY, 58 * DAY, 5 * DAY)


@dataclass
class Outcome:
    """What came of one seed. `recovery_ms` are simulated, an episode each."""

    seed: int
    faults: dict[str, int] = field(default_factory=dict)
    workload: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    recovery_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    steps: int = 0


def simulate(seed: int, allowed: Allowed | None = None, mutation: str = "") -> Outcome:
    """Run one seed to its end and judge it; `mutation` breaks the engine on purpose."""
    broken = MUTATIONS[mutation] if mutation else Mutation()
    MADE.forget()  # a world begins like a process: what an earlier seed fetched is fetched again
    with _quiet(), broken.applied():
        one = _Run(seed, allowed or Allowed(), broken)
        try:
            with _small(seed):
                one.live()
            one.judge()
        except Exception as error:  # noqa: BLE001 - whatever it is, this seed has found it
            one.outcome.failures.append(f"{type(error).__name__}: {error}")
        finally:
            one.close()
    return one.outcome


class _Run:
    def __init__(self, seed: int, allowed: Allowed, broken: Mutation) -> None:
        self.outcome = Outcome(seed)
        random = Random(f"{seed}:shape")
        shards, workers = random.choice((1, 2, 3, 4)), random.choice((1, 2, 3))
        self.record = random.random() < 0.3
        self.events = min(allowed.events, random.choice((60, 150, 300)))
        self.world = world = World(seed, allowed)
        self.history = history = History(plain=plain(), late_ms=0 if self.record else LATE_MS)
        history.codes = frozenset(CODES)
        self.log = SimulatedLog(world, shards)
        self.memory = Memory(world, history, shards, SINKS)
        self.memory.store.bodies.update({("rules", k): body for k, body in bodies().items()})
        self.memory.store.bodies.update({("model", k): body for k, body in published()[1].items()})
        self.cluster = Cluster(
            world, self.log, self.memory, workers=workers, record=self.record,
            make_store=broken.store,
        )  # fmt: skip
        self.relay = Relay(
            world, self.log, self.memory, history, record=self.record, hasty=broken.hasty
        )
        self.shop = Shop(world, self.log, history, calls(seed, self.events, self.outcome.workload))
        self.site = Site(world, self.log, self.memory, self.cluster, self.relay)
        kinds = [*RATES, *STRIKES]
        chosen = set(random.sample(kinds, random.randint(len(kinds) // 3, len(kinds))))
        world.rates = {kind: rate * random.choice((0.3, 1, 2)) for kind, rate in RATES.items()
                       if kind in chosen}  # fmt: skip
        self.strikes = [kind for kind in STRIKES if kind in chosen]
        self.strike_rate = random.choice((0.002, 0.006, 0.015))

    def live(self) -> None:
        """All episodes, then the days after them, in which everything that waits comes due."""
        first = {"hash": next(iter(bodies()))}
        for shard in range(self.log.shards):
            self.log.put([Append(shard, RULES, orjson.dumps(first))])
        for name in self.cluster.names:
            self.cluster.start(name)
        self.relay.start()
        for episode in range(EPISODES):
            imported = CODES[3 * episode : 3 * episode + 5]  # some come twice
            self.log.put(imports(SECRET, POOL, imported, START, self.log.shards))
            self._burst((episode + 1) * self.events // EPISODES)
            self._settle(measured=True)
        for ms in AFTERWARDS:
            self.world.skipped += ms
            self._settle(measured=False, ticks=True)

    def _burst(self, upto: int) -> None:
        """Work under faults."""
        world = self.world
        self.shop.upto = upto
        sending = world.start("shop", "shop", self.shop.send())
        world.calm, world.last_fault = False, world.now
        start = world.steps
        while sending in world.actors and world.steps - start < BURST_STEPS_MAX:
            world.step()
            if self.strikes and world.chance.random() < self.strike_rate:
                weights = [WEIGHTS.get(kind, 1.0) for kind in self.strikes]
                kind = world.chance.choices(self.strikes, weights)[0]
                if world.strike(kind):
                    STRIKES[kind](self.site)
            if world.chance.random() < 0.01:
                self.memory.snapshot()
        world.calm = True

    def _settle(self, *, measured: bool, ticks: bool = False) -> None:
        """No new faults: all must be decided and carried away within a bound."""
        world = self.world
        steps, began = world.steps, world.now
        if ticks:  # one that is of this time must have come and been decided
            while not all(log and log[-1].log_time >= world.log_now - world.now + began
                          for log in self.log.records):  # fmt: skip
                world.step()
        still_since = world.now
        while world.now - still_since < CALM_MS or not self._still():
            world.step()
            if not self._still():
                still_since = world.now
            if world.steps - steps > QUIET_STEPS_MAX or world.now - began > QUIET_MS_MAX:
                self.history.recovered = False
                raise _Stuck(self._waiting())
        if measured and world.last_fault > 0:
            self.outcome.recovery_ms.append(max(0.0, still_since - world.last_fault))
        world.say("all is decided and carried away")

    def _still(self) -> bool:
        store = self.memory.store
        ends = (len(log) for log in self.log.records)
        decided = all(store.shard(n).position.offset >= end for n, end in enumerate(ends))
        return decided and self.relay.drained()

    def _waiting(self) -> str:
        store, ends = self.memory.store, [len(log) for log in self.log.records]
        at = [tuple(store.shard(n).position) for n in range(self.log.shards)]
        doing = ", ".join(f"{one.name} ({one.process}) at {one.at}" for one in self.world.actors)
        return f"did not recover: positions {at} of {ends}; {doing}"

    def judge(self) -> None:
        """Ask the auditor, and compare with the serial replay."""
        out = self.outcome
        self.history.logs = [
            [Logged(one.offset, one.log_time, one.key, one.value) for one in log]
            for log in self.log.records
        ]
        self.history.held = self._named()
        self.history.stock = tuple(self._stock())
        report = audit(self.history)
        out.lost, out.duplicated = report.lost, report.duplicated
        out.failures += report.failures
        settings = [self.cluster.settings(n) for n in range(self.log.shards)]
        serial = replay(self.log.records, settings, bodies())
        chains = Chains.of(self.history)
        out.failures += differences(self.memory.store, chains.entries, serial)

    def _named(self) -> frozenset[str]:
        """The plain customers that the store names anywhere."""
        shards = [self.memory.store.shard(number) for number in range(self.log.shards)]
        held = b"".join(shard.state or b"" for shard in shards).decode(errors="replace")
        names = [name for one in shards for name in (*one.customers, *one.alarms, *one.index)]
        return frozenset(cid for cid in plain() if any(cid in text for text in (held, *names)))

    def _stock(self) -> Iterator[str]:
        """Codes that nobody has: in the pool, and in the shards' slices."""
        store, name = self.memory.store, f"{POOLS}{POOL}"
        for shard in range(self.log.shards):
            blob = store.shard(shard).customers.get(name)
            pool: pools.Pool = Customer.decode(name, blob, REGISTRY).state(pools.STATE)
            state = msgspec.msgpack.decode(store.shard(shard).state or b"\x90", type=ShardState)
            held = [code for one in state.slices.values() for code in one.codes]
            yield from (pools.unseal(SECRET, POOL, sealed) for sealed in (*pool.stock, *held))

    def close(self) -> None:
        """End all actors, and keep what is told of the run."""
        self.outcome.faults, self.outcome.steps = dict(self.world.counts), self.world.steps
        for actor in list(self.world.actors):
            self.world.end(actor)
        self.outcome.trace = [*self.world.struck, *self.world.trace]


class _Stuck(Exception):  # noqa: N818 - told as it is
    """The world did not come to rest in time."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The engine logs every fault: thousands of lines that the trace has already."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _small(seed: int) -> Iterator[None]:
    """In some seeds a commit holds few customers, so that ticks take many commits."""
    before = batches.CUSTOMERS_MAX, pipeline.DUE_MAX
    if seed % 3 == 0:
        batches.CUSTOMERS_MAX, pipeline.DUE_MAX = 6, 4
    try:
        yield
    finally:
        batches.CUSTOMERS_MAX, pipeline.DUE_MAX = before
