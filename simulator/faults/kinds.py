"""The faults of machines, as a table: how each strikes, and how often it may in a seed.

Must live here: what a fault does to the world. Must not: judging. Faults of a single answer (a
store or log that is away, an unknown result, a batch with a hole) are asked for at their step
boundary, by the name in RATES; those that strike from outside are the functions of STRIKES.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import orjson

from engine.records import KILL, MODEL, RULES, Append
from simulator.faults.book import bodies
from simulator.faults.cluster import Cluster
from simulator.faults.learned import published
from simulator.faults.log import SimulatedLog
from simulator.faults.relay import SINKS, Relay
from simulator.faults.store import Memory
from simulator.faults.world import World

MINUTE = 60_000
RATES = {  # at each boundary that asks
    "store_away": 0.02, "answer_lost": 0.02, "log_away": 0.03, "append_unknown": 0.03,
    "redelivery": 0.1, "hole": 0.01, "table_away": 0.05, "insert_unknown": 0.05,
    "receiver_away": 0.05, "send_unknown": 0.05,
}  # fmt: skip


@dataclass
class Site:
    """Everything that can be broken."""

    world: World
    log: SimulatedLog
    memory: Memory
    cluster: Cluster
    relay: Relay

    def someone(self) -> str:
        """A worker, by chance."""
        return self.world.chance.choice(self.cluster.names)


def _kill_worker(site: Site) -> None:
    site.cluster.kill(site.someone(), after_ms=site.world.chance.choice((1.0, 50.0, 300.0)))


def _freeze(site: Site) -> None:
    """A stall nobody notices."""
    site.cluster.freeze(site.someone(), site.world.chance.uniform(1, 200), reassign=False)


def _zombie(site: Site) -> None:
    """A stall during which another worker claims, from which it then wakes."""
    site.cluster.freeze(site.someone(), site.world.chance.uniform(1, 500), reassign=True)


def _storm(site: Site) -> None:
    """Shards move about many times in a row; their old lanes are left running, or not."""
    chance = site.world.chance
    for turn in range(chance.randint(1, 6)):
        shard, leave = chance.randrange(site.log.shards), chance.random() < 0.5
        to = site.someone()
        move = partial(site.cluster.move, shard, to, leave=leave)
        site.world.later(turn * chance.uniform(0, 4), move)


def _kill_sink(site: Site) -> None:
    site.relay.kill(site.world.chance.choice(SINKS))


def _delay_letters(site: Site) -> None:
    """The letters' carrier stands still."""
    held = [actor for actor in site.world.actors if actor.process == "letters"]
    for actor in held:
        actor.frozen = True

    def go_on() -> None:
        for actor in held:
            actor.frozen = False

    site.world.later(site.world.chance.uniform(20, 400), go_on)


def _lose_last_second(site: Site) -> None:
    """One node of the store, or all of it."""
    every = range(site.log.shards)
    lost = every if site.world.chance.random() < 0.5 else [site.world.chance.choice(every)]
    site.memory.lose_last_second(lost)
    site.relay.may_repeat(rewound=True)


def _fill_store(site: Site) -> None:
    """Its memory is full: it can be read, and refuses every write."""
    until = site.world.now + site.world.chance.uniform(10, 400)
    site.memory.full_until = site.world.last_fault = until


def _jump_forwards(site: Site) -> None:
    site.world.skipped += site.world.chance.choice((20, 60, 150)) * MINUTE


def _jump_back(site: Site) -> None:
    site.world.skipped -= site.world.chance.choice((1, 20, 90)) * MINUTE


def _edit_rules(site: Site) -> None:
    """Another version, at another place in each shard."""
    digest = site.world.chance.choice(list(bodies()))
    for shard in range(site.log.shards):
        value = b'{"hash":"%s"}' % digest.encode()
        item = Append(shard, RULES, value)
        site.world.later(site.world.chance.uniform(0, 20), partial(site.log.put, [item]))


def _publish_models(site: Site) -> None:
    """Another version of the models, or a forged one, at another place in each shard."""
    digest = site.world.chance.choice(published()[0])
    for shard in range(site.log.shards):
        item = Append(shard, MODEL, orjson.dumps({"hash": digest}))
        site.world.later(site.world.chance.uniform(0, 20), partial(site.log.put, [item]))


def _throw_switch(site: Site) -> None:
    """The kill switch, on or off, at another place in each shard."""
    killed = site.world.chance.choice(("[]", '["rule:spend-looks"]'))
    value = orjson.dumps({"hash": killed})
    for shard in range(site.log.shards):
        item = Append(shard, KILL, value)
        site.world.later(site.world.chance.uniform(0, 20), partial(site.log.put, [item]))


def _recreate_topic(site: Site) -> None:
    """The topic is made anew with a lower end; every start is refused until the log is back."""
    kept = site.log.records
    if site.log.recreated:
        return
    for name in site.cluster.names:
        site.cluster.kill(name, after_ms=1.0)
    site.log.records = [log[: len(log) // 2] for log in kept]
    site.log.identity = site.world.chance.choice(("log 1", "log 2"))
    site.log.recreated = True

    def restore() -> None:
        site.log.records, site.log.identity, site.log.recreated = kept, "log 1", False

    ms = site.world.chance.uniform(5, 200)
    site.world.later(ms, restore)
    site.world.last_fault = site.world.now + ms


STRIKES: dict[str, Callable[[Site], None]] = {
    "worker_killed": _kill_worker,
    "worker_frozen": _freeze,
    "zombie": _zombie,
    "rebalance_storm": _storm,
    "sink_killed": _kill_sink,
    "letters_delayed": _delay_letters,
    "last_second_lost": _lose_last_second,
    "store_full": _fill_store,
    "clock_forwards": _jump_forwards,
    "clock_back": _jump_back,
    "rules_edited": _edit_rules,
    "models_published": _publish_models,
    "switch_thrown": _throw_switch,
    "topic_recreated": _recreate_topic,
}
WEIGHTS = {
    "topic_recreated": 0.2, "rules_edited": 0.5, "models_published": 0.5, "switch_thrown": 0.5,
    "store_full": 0.4,
}  # fmt: skip
