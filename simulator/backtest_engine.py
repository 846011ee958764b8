"""A whole engine in one process: the real shards on the memory store, letters carried by hand.

Must live here: record time without a log beside it, by the law of stepping.py: a step's records, a
tick of its end where something is due, then the letters at that end. Must not: what is decided,
where records come from, what is counted.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final

import orjson

from engine.effects import Settings
from engine.pipeline import Shard
from engine.records import LETTER, RULES, TICK, Append, Record
from engine.store import Commit
from engine.stores.memory import MemoryStore
from rules.book import Book

WARM: Final = 2_000  # customers a shard keeps decoded, about 10 KB each
Took = Callable[[dict[str, Any]], None]  # is handed the entry of an outbox


class _Store(MemoryStore):
    """The memory store, quick to say who is due; each entry of an outbox is read and let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []
        self._heaps: dict[int, list[tuple[int, str]]] = {}

    async def commit(self, commit: Commit) -> bool:
        """See `Store.commit`."""
        done = await super().commit(commit)
        if done:
            heap = self._heaps.setdefault(commit.shard, [])
            for cid, due in commit.alarms.items():
                if due:
                    heappush(heap, (due, cid))
            outbox = self.shard(commit.shard).outbox
            self.entries += [orjson.loads(body) for _, body in outbox]
            outbox.clear()
        return done

    async def due(self, shard: int, until: int, limit: int) -> list[str]:
        """See `Store.due`."""
        heap, found = self._heaps.get(shard, []), []
        while len(found) < limit and 0 < self.earliest(shard) <= until:
            found.append(heappop(heap))
        for one in found:
            heappush(heap, one)
        return list(dict.fromkeys(cid for _, cid in found))

    def earliest(self, shard: int) -> int:
        """When somebody of the shard is due first (ms); 0 for never."""
        heap, alarms = self._heaps.get(shard, []), self.shard(shard).alarms
        while heap and alarms.get(heap[0][1]) != heap[0][0]:
            heappop(heap)  # it was set anew since
        return heap[0][0] if heap else 0


class _Shard(Shard):
    """A shard that is handed its book as it is, so that a draft may be tried as if it were live."""

    book: Book

    async def _load_rules(self, digest: str) -> None:
        if digest:
            self._book = self.book

    @property
    def busy(self) -> bool:
        """Whether a tick would go on with something though nobody is due."""
        return bool(self._state.rounds)


class Engine:
    """All shards of an engine that decides by one book; `took` is told what each commit wrote."""

    def __init__(self, book: Book, shards: int, secret: bytes, took: Took) -> None:
        self.book = book
        self.took = took
        self._store = _Store()
        self._shards = [self._make(number, shards, secret) for number in range(shards)]
        self._times = [0] * shards

    def _make(self, number: int, shards: int, secret: bytes) -> _Shard:
        settings = Settings(number, shards, secret, record_clock=True, faults_max=10_000)
        made = _Shard(settings, self._store)
        made.book, made.warm_max = self.book, WARM
        return made

    async def open(self) -> None:
        """Own all shards."""
        for shard in self._shards:
            await shard.open()

    async def begin(self, at: int) -> None:
        """The rules are in force from `at` (ms) on."""
        value = orjson.dumps({"hash": self.book.hash})
        every = range(len(self._shards))
        await self._decide([Append(n, RULES, value, at) for n in every], at)
        await self._tick(every, at)
        await self._letters(at)

    async def step(self, end: int, appends: Sequence[Append]) -> None:
        """One step of record time, up to `end` (ms)."""
        if appends:
            await self._decide(appends, end)
        store = self._store
        ripe = [
            shard.number
            for shard in self._shards
            if 0 < store.earliest(shard.number) <= end or shard.busy
        ]
        await self._tick(ripe, end)
        await self._letters(end)

    def due(self) -> int:
        """When something is due first (ms); 0 for never."""
        found = (self._store.earliest(shard.number) for shard in self._shards)
        return min((due for due in found if due), default=0)

    async def _tick(self, shards: Sequence[int], at: int) -> None:
        value = b'{"at":%d}' % at
        await self._decide([Append(number, TICK, value, at) for number in shards], at)

    async def _letters(self, at: int) -> None:
        while sent := self._take():
            appends = [Append(one["to"], LETTER, orjson.dumps(one), at) for one in sent]
            await self._decide(appends, at)

    def _take(self) -> list[dict[str, Any]]:
        """Tell what was committed; its letters."""
        entries, self._store.entries = self._store.entries, []
        letters: list[dict[str, Any]] = []
        for entry in entries:
            self.took(entry)
            letters += entry.get("letters", ())
        return letters

    async def _decide(self, appends: Sequence[Append], now: int) -> None:
        """Append and decide; the log gives each record its time as the real ones do."""
        records: dict[int, list[Record]] = {}
        for shard, key, value, hint in appends:
            at = hint if 0 < hint <= now else now
            self._times[shard] = at = max(self._times[shard], at)
            mine = records.setdefault(shard, [])
            offset = self._shards[shard].next_offset + len(mine)
            mine.append(Record(offset, at, key, value))
        for number, mine in records.items():
            await self._shards[number].process(mine)
