"""How the engine stands, read from what its shards have committed.

Must live here: one read of every shard's state, added up. Must not: writing, waiting.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from engine.log import Log
from engine.store import Position, ShardState
from engine.stores.redis import keys

LATE_MS = 60_000  # a timer this long past due was not fired by the ticks since

_read = msgspec.msgpack.Decoder(ShardState)


@dataclass(frozen=True, slots=True)
class Status:
    """Sums over all shards. `lag` in records not yet decided; `log_time` in ms, the furthest.

    `events_in`: the Redis log counts what it accepts. A Kafka log does not: there it is the events
    decided and what still waits, ticks and letters among it; exact when there is no lag.
    """

    events_in: int
    events_processed: int
    duplicates_dropped: int
    quarantined: int
    erased: int  # erasures asked for, and what they keep out
    forwarded: int
    lag: int
    log_time: int
    decisions_by_rule: dict[str, dict[str, int]]  # rule -> {"act": n, "hold": n}
    next_offsets: list[int]
    rules: frozenset[str]  # the versions in force; one when all shards have caught up

    @property
    def lost(self) -> int:
        """Events accepted and neither processed, dropped nor put aside; 0 once drained."""
        return (
            self.events_in - self.events_processed - self.duplicates_dropped - self.quarantined
            - self.erased
        )  # fmt: skip


async def read(redis: "Redis", shards: int, log: Log | None = None) -> Status:
    """The engine's standing now. Without `log`, the ends of the Redis log are asked."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(shards):
            k = keys(shard)
            pipe.mget(k["next"], k["shard"], k["accepted"])
            if log is None:
                pipe.xrevrange(k["log"], count=1)
        found = await pipe.execute()
    if log is None:
        ends = [int(last[0][0].split(b"-")[0]) if last else 0 for last in found[1::2]]
        found = found[0::2]
    else:
        ends = await log.ends()
    offsets = [Position.parse(position).offset for position, _, _ in found]
    states = [_read.decode(state) if state else ShardState() for _, state, _ in found]
    counts: dict[str, int] = {}
    for state in states:
        for name, number in state.counts.items():
            counts[name] = counts.get(name, 0) + number
    lag = sum(max(0, end - offset) for end, offset in zip(ends, offsets, strict=True))
    accepted = [int(number) for _, _, number in found if number]
    return Status(
        events_in=sum(accepted) if accepted else counts.get("events", 0) + lag,
        events_processed=counts.get("processed", 0),
        duplicates_dropped=counts.get("duplicate", 0),
        quarantined=counts.get("quarantined", 0),
        erased=counts.get("erased", 0),
        forwarded=counts.get("forwarded", 0),
        lag=lag,
        log_time=max((state.log_time for state in states), default=0),
        decisions_by_rule=_by_rule(counts),
        next_offsets=offsets,
        rules=frozenset(state.rules for state in states),
    )


def _by_rule(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, number in sorted(counts.items()):
        result, colon, rule = name.partition(":")
        if colon:
            found.setdefault(rule, {})[result] = number
    return found


async def letters_in_flight(redis: Any, shards: int) -> int:
    """In how many pairs of shards a letter was committed by its sender and not by its receiver."""
    found = await redis.mget([keys(shard)["shard"] for shard in range(shards)])
    states = [_read.decode(state) if state else ShardState() for state in found]
    return sum(
        states[target].letters_in.get(sender) != last
        for sender, state in enumerate(states)
        for target, last in state.letters_out.items()
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """One shard now, for metrics. `lag` in records, `log_time` in ms, `late` beyond LATE_MS."""

    lag: int
    log_time: int
    accepted: int
    counts: dict[str, int]
    rules: str
    timers: int
    late: int
    peak: bool


async def each(redis: "Redis", shards: int, log: Log) -> list[Standing]:
    """How every shard stands."""
    async with redis.pipeline(transaction=False) as pipe:
        for shard in range(shards):
            k = keys(shard)
            pipe.mget(k["next"], k["shard"], k["accepted"])
            pipe.zcard(k["timers"])
        found = await pipe.execute()
        texts, timers = found[0::2], found[1::2]
        states = [_read.decode(state) if state else ShardState() for _, state, _ in texts]
        for shard, state in enumerate(states):
            pipe.zcount(keys(shard)["timers"], "-inf", state.log_time - LATE_MS)
        late = await pipe.execute()
    ends = await log.ends()
    offsets = [Position.parse(position).offset for position, _, _ in texts]
    return [
        Standing(
            lag=max(0, ends[shard] - offsets[shard]),
            log_time=state.log_time,
            accepted=int(texts[shard][2] or 0),
            counts=state.counts,
            rules=state.rules,
            timers=timers[shard],
            late=late[shard],
            peak=bool(state.peaks) and state.peaks[-1][1] == state.tick[1],
        )
        for shard, state in enumerate(states)
    ]
