"""The simulated log: lists, with a broker that answers wrongly, repeats, and loses a batch.

Must live here: what a log can do to its readers and writers. Must not: who they are. Log time never
goes back within a shard, however the clock jumps. `engine.log.Log` is the face it has.
"""

from collections.abc import Sequence

from engine.log import LogAway
from engine.records import Append, Record
from simulator.faults.world import World, boundary

APPEND_MS, FETCH_MS = 1.0, 0.7
BACK_MAX = 40


class SimulatedLog:
    """All shards' records; `holes` are the shards that were handed a batch with one missing."""

    def __init__(self, world: World, shards: int) -> None:
        self.world = world
        self.shards = shards
        self.records: list[list[Record]] = [[] for _ in range(shards)]
        self.identity = "log 1"
        self.recreated = False
        self.holes: set[int] = set()

    async def append(self, items: Sequence[Append]) -> None:
        """See `Log.append`; after an error some, all or none may have been appended."""
        await boundary("before append", APPEND_MS)
        if self.recreated or self.world.fault("log_away"):
            raise LogAway("it was not appended")
        if self.world.fault("append_unknown"):
            self.put(items[: self.world.chance.randint(0, len(items))])
            await boundary("after part of an append", APPEND_MS)
            raise LogAway("who knows what was appended")
        self.put(items)
        await boundary("after append", APPEND_MS)

    def put(self, items: Sequence[Append]) -> None:
        """Append at the log's own time; nobody can while the topic is another."""
        if self.recreated:
            return
        for item in items:
            log = self.records[item.shard]
            last = log[-1].log_time if log else 0
            log.append(Record(len(log), max(last, self.world.log_now), item.key, item.value))
            self.world.wake(f"lane {item.shard}")

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        """See `Log.read`; it may begin earlier than asked, or lack a record."""
        await boundary("before fetch", FETCH_MS)
        if start and self.world.fault("redelivery"):
            start = max(0, start - self.world.chance.randint(1, BACK_MAX))
        found = self.records[shard][start : start + count]
        await boundary("after fetch", FETCH_MS)
        if len(found) > 1 and self.world.fault("hole"):
            self.holes.add(shard)
            lost = self.world.chance.randrange(len(found) - 1)
            found = found[:lost] + found[lost + 1 :]
        return found

    async def ends(self) -> list[int]:
        """The next offset of every shard."""
        return [len(log) for log in self.records]

    async def trim(self, shard: int, before: int) -> None:
        """Nothing goes: the serial replay reads all of it again."""

    async def close(self) -> None:
        """Nothing is held."""
