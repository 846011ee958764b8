"""The check is checked: ways to break the engine, each of which the simulation must find.

Must live here: the named mutations, how one is applied and taken back. Must not: anything that is
in force when none is asked for. `python -m simulator faults --mutate owner` runs one.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

import engine.acting
import engine.decide
import engine.pipeline
import engine.pools
import engine.voiding
from engine import timers
from engine.ledger import Ledger
from engine.pools import Pool
from engine.records import Record
from engine.run import Run
from engine.store import Commit, Position, Prefetched
from engine.turn import Turn
from simulator.faults.store import FaultyStore, Memory


@dataclass(frozen=True)
class Mutation:
    """`patches` are (where, name, what instead); `hasty`: the relay does not wait for commits."""

    patches: Sequence[tuple[Any, str, Any]] = ()
    store: Callable[[Memory], FaultyStore] = FaultyStore
    hasty: bool = False

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The engine is broken in this way, until the end of the block."""
        before = [(where, name, getattr(where, name)) for where, name, _ in self.patches]
        for where, name, instead in self.patches:
            setattr(where, name, instead)
        try:
            yield
        finally:
            for where, name, was in before:
                setattr(where, name, was)


class AnybodysStore(FaultyStore):
    """The owner's token is compared with nothing."""

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """Whoever reads is the owner."""
        return (await super().prefetch(shard, customers))._replace(owner=self.token)

    async def commit(self, commit: Commit) -> bool:
        """Whoever writes is the owner."""
        held = self.memory.store.shard(commit.shard)

        def apply(one: Commit) -> bool:
            owner, held.owner = held.owner, one.token
            try:
                return self.memory.commit(one)
            finally:
                held.owner = owner

        return await self.write(commit, apply)


class AnywhereStore(FaultyStore):
    """The position is compared with nothing."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.at: dict[int, Position] = {}

    async def claim(self, shard: int, token: bytes) -> tuple[Position, bytes | None]:
        """Remember where it began."""
        found = await super().claim(shard, token)
        self.at[shard] = found[0]
        return found

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """The shard stands wherever this worker thinks."""
        return (await super().prefetch(shard, customers))._replace(position=self.at[shard])

    async def commit(self, commit: Commit) -> bool:
        """Write, from wherever."""

        def apply(one: Commit) -> bool:
            held = self.memory.store.shard(one.shard)
            if self.memory.commit(one._replace(before=held.position)):
                self.at[one.shard] = one.after
                return True
            return False

        return await self.write(commit, apply)


_open_letter = Run._open_letter  # noqa: SLF001 - to be broken


def _open_any_letter(self: Run, record: Record) -> None:
    """A letter is applied as often as it comes."""
    letter = orjson.loads(record.value)
    self.state.letters_in[letter["from"]] = letter["prev"]
    _open_letter(self, record)


def _wake_out_of_order(turn: Turn, until: int) -> None:
    """What is due last fires first."""
    for one in sorted(turn.journey.open, key=lambda one: -one.due):
        if one.due <= until:
            timers.resume(turn, one)
    timers.wake(turn, until)


def _return_as_it_was(secret: bytes, pool: str, code: str, _lives: int) -> str:
    """A code that comes back is the same coupon again."""
    return engine.pools.seal(secret, pool, code)


async def _load_nothing(_shard: engine.pipeline.Shard, digest: str) -> bool:
    """Whatever comes into force, nothing scores."""
    return bool(digest)


MUTATIONS: dict[str, Mutation] = {
    "owner": Mutation(store=AnybodysStore),
    "next_offset": Mutation(store=AnywhereStore),
    "dedup": Mutation(patches=[(engine.decide, "seen_before", lambda *_: False)]),
    "letter_dedup": Mutation(patches=[(Run, "_open_letter", _open_any_letter)]),
    "timer_order": Mutation(patches=[(engine.decide, "wake", _wake_out_of_order)]),
    "durability": Mutation(hasty=True),
    "ledger": Mutation(patches=[(Ledger, "grant", lambda *_: 3_000)]),
    "tombstones": Mutation(patches=[(engine.pipeline, "burials", lambda *_: {})]),
    "caps": Mutation(patches=[(engine.acting, "count", lambda *_: None)]),
    "codes": Mutation(patches=[(Pool, "grant", lambda pool, *_: pool.stock[:2])]),
    "lives": Mutation(patches=[(engine.pools, "returned", _return_as_it_was)]),
    "returns": Mutation(patches=[(engine.voiding, "_is_untold", lambda *_: False)]),
    "models": Mutation(patches=[(engine.pipeline.Shard, "_load_model", _load_nothing)]),
    "digests": Mutation(patches=[(engine.acting, "count_digest", lambda _: None)]),
}
