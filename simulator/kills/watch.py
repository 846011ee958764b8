"""How far the engine has come, looked at all the time: recovery from faults, nothing goes back.

Must live here: positions and cursors as they are in Redis, and how long each fault was felt. Must
not: faults. A fault is over when an event that was sent right after it, to every shard, is decided
(`decided`) and a row in ClickHouse (`carried`), whatever other faults came meanwhile.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from engine.log import LogAway
from engine.records import Append
from engine.shards import partition
from simulator.doors import to_record
from simulator.kills.machine import Machine
from simulator.kills.story import Stories

LOOK_SECONDS = 0.05
AGAIN_SECONDS = 0.1
SOURCE = "kills"
READERS = ("archive", "clickhouse", "letters", "channel-hook")
TABLES = READERS[:2]

Place = tuple[int, int]  # offset, step


async def append(machine: Machine, records: list[Append]) -> None:
    """Append until it is acknowledged; what may have been taken is sent again."""
    while True:
        try:
            await machine.log.append(records)
        except LogAway:
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return


@dataclass
class Felt:
    """A fault on its way to be over."""

    kind: str
    since: float
    targets: list[int]
    decided: float = 0.0  # seconds after the fault; 0 while it is not
    carried: float = 0.0


@dataclass
class Watch:
    """Looks until cancelled; `felt` are the faults that were marked, in their order."""

    machine: Machine
    stories: Stories
    felt: list[Felt] = field(default_factory=list)
    back: list[str] = field(default_factory=list)  # what went back, told
    _furthest: dict[str, Place] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    _marking: set["asyncio.Task[None]"] = field(default_factory=set)

    def mark(self, kind: str) -> None:
        """A fault happens now."""
        task = asyncio.create_task(self._mark(kind, time.monotonic()))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def _mark(self, kind: str, since: float) -> None:
        self.felt.append(Felt(kind, since, await self._probe()))

    async def _probe(self) -> list[int]:
        """An event into every shard; where each shard's log ends then."""
        shards, now = self.machine.shards, time.time()
        items = [self.stories.probe(user, now) for user in _one_each(shards)]
        await append(
            self.machine, [to_record(item, shards, SOURCE, round(now * 1000)) for item in items]
        )
        while True:
            try:
                return await self.machine.log.ends()
            except LogAway:
                await asyncio.sleep(AGAIN_SECONDS)

    @property
    def open(self) -> list[Felt]:
        """The faults that are not over."""
        return [felt for felt in self.felt if not felt.carried]

    @property
    def calm(self) -> bool:
        """Whether every fault is over."""
        return not self._marking and not self.open

    async def run(self) -> None:
        """Look, again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                places = await self._places()
            except (RedisError, OSError):
                continue
            self._compare(places)
            now = time.monotonic()
            for felt in self.open:
                if not felt.decided and self._past(places, ["next"], felt.targets):
                    felt.decided = now - felt.since
                if felt.decided and self._past(places, TABLES, felt.targets):
                    felt.carried = now - felt.since

    async def _places(self) -> dict[str, Place]:
        names = [
            f"{{s{shard}}}:{name}"
            for shard in range(self.machine.shards)
            for name in ("next", *(f"cursor:{reader}" for reader in READERS))
        ]
        found = await self.machine.redis.mget(names)
        return {name: _place(text) for name, text in zip(names, found, strict=True)}

    def _compare(self, places: dict[str, Place]) -> None:
        for name, place in places.items():
            before = self._furthest[name]
            if place < before:
                self.back.append(f"{name} went back from {before} to {place}")
            self._furthest[name] = place

    def _past(self, places: dict[str, Place], who: Iterable[str], targets: list[int]) -> bool:
        names = [name if name == "next" else f"cursor:{name}" for name in who]
        return all(
            places[f"{{s{shard}}}:{name}"][0] >= target
            for shard, target in enumerate(targets)
            for name in names
        )


def _place(text: bytes | None) -> Place:
    """Read `<offset>:<step>` or `<offset>-<step>`.

    >>> _place(b"7:1"), _place(b"7-0"), _place(None)
    ((7, 1), (7, 0), (0, 0))
    """
    offset, _, step = (text or b"0").replace(b":", b"-").partition(b"-")
    return int(offset), int(step or 0)


def _one_each(shards: int) -> list[str]:
    """A customer in every shard."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < shards:
        user = f"probe{number}"
        found.setdefault(partition(f"u:{user}".encode(), shards), user)
        number += 1
    return [found[shard] for shard in range(shards)]
