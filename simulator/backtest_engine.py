"""A whole engine in one process: the real shards with their store taken out, letters by hand.

Must live here: record time without a log beside it, by the law of stepping.py: a step's records, a
tick of its end where there was a record or something is due, then the letters at that end; and the
customers in memory. Must not: what is decided, where records come from, what is counted.

    Poisoned   a record broke the engine: begin anew with it known, as a worker does with a batch
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final

import orjson

from engine.effects import Effects, Settings
from engine.erasure import burials, is_gone, tombstone
from engine.journal import REGISTRY, memory
from engine.outbox import letters
from engine.pipeline import DUE_MAX, Shard
from engine.records import LETTER, RULES, TICK, Append, Record
from engine.rounds import PART_MAX, listing, member
from engine.run import Run
from engine.schedules import upcoming
from engine.shards import partition
from engine.store import Position, Round
from engine.stores.memory import MemoryStore
from features.customer import Customer
from rules.book import Book

WARM: Final = 2_000  # customers a shard keeps decoded, about 10 KB each; the others as bytes
Took = Callable[[Effects], None]  # is told what each commit would have written
Poison = dict[int, dict[int | str, str]]  # by a run's first offset: what broke it, and why


class Poisoned(Exception):  # noqa: N818 - an outcome: what was decided since is worthless
    """What broke the engine is noted now; everything is to be decided again without it."""


class _Run(Run):
    """A run that knows what broke it when it was done before."""

    known: Poison

    def decide(
        self,
        records: Sequence[Record],
        cids: Sequence[str],
        poison: dict[int | str, str],  # noqa: ARG002 - what is known stands in its place
    ) -> bool:
        """See `Run.decide`."""
        return super().decide(records, cids, self._of(records[0]))

    def go_round(
        self,
        record: Record,
        names: Sequence[str],
        poison: dict[int | str, str],  # noqa: ARG002 - as above
    ) -> bool:
        """See `Run.go_round`."""
        return super().go_round(record, names, self._of(record))

    def _of(self, record: Record) -> dict[int | str, str]:
        return self.known.setdefault(record.offset, {})


class _Shard(Shard):
    """A shard whose commits stay in memory. Its book is handed to it, as it is tried."""

    def __init__(self, settings: Settings, book: Book, poison: Poison) -> None:
        super().__init__(settings, MemoryStore())
        self.book = book
        self.poison = poison
        self.time = 0  # of its log
        self.done: list[Effects] = []
        self.sent: list[dict[str, Any]] = []
        self._cold: dict[str, bytes] = {}
        self._tombs: dict[str, bytes] = {}
        self._alarms: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._index: list[str] = []

    @property
    def earliest(self) -> int:
        """When somebody is due first (ms), or the shard has something to do; 0 for never."""
        state = self._state
        own = state.log_time if state.rounds else upcoming(self._book, state.schedules)
        return min((due for due in (self._first, own) if due), default=0)

    @property
    def _first(self) -> int:
        heap, alarms = self._heap, self._alarms
        while heap and alarms.get(heap[0][1]) != heap[0][0]:
            heappop(heap)  # it was set anew since
        return heap[0][0] if heap else 0

    @property
    def busy(self) -> bool:
        """Whether a tick would go on with something though nobody is due."""
        return bool(self._state.rounds or self._state.slices)

    def use(self, models: Mapping[str, Any], version: str) -> None:
        """Score by these models; nobody published them."""
        self._models, self._state.model = models, version

    async def _load_rules(self, digest: str) -> None:
        if digest:
            self._book = self.book

    async def _due(self, until: int) -> list[str]:
        found: list[tuple[int, str]] = []
        while len(found) < DUE_MAX and 0 < self._first <= until:
            found.append(heappop(self._heap))
        for one in found:
            heappush(self._heap, one)
        return list(dict.fromkeys(cid for _, cid in found))

    async def _listed(self, one: Round) -> list[str]:
        index, prefix = self._index, one.prefix
        start = bisect_right(index, one.after) if one.after else bisect_left(index, prefix)
        return [name for name in index[start : start + PART_MAX] if name.startswith(prefix)]

    async def _customers(self, names: list[str]) -> dict[str, Customer]:
        return {name: self.at_hand(name) for name in names}

    def at_hand(self, name: str) -> Customer:
        """A customer as he was committed last."""
        return self._warm.get(name) or self._thawed(name)

    def _thawed(self, name: str) -> Customer:
        blob = self._cold.get(name)
        if blob is None and self._tombs:
            blob = self._tombs.get(tombstone(self.settings.secret, name))
        return Customer.decode(name, blob, REGISTRY)

    def _run(self, customers: dict[str, Customer]) -> Run:
        run = _Run(self._moment(self._state), self._state, customers)
        run.known = self.poison
        return run

    def _forget(self, names: list[str]) -> None:  # noqa: ARG002 - everything goes
        raise Poisoned

    async def _commit(self, start: int, after: Position, run: Run) -> None:  # noqa: ARG002 - as there
        for cid, customer in run.customers.items():
            if customer.dirty:
                self._note(cid, customer)
        if run.effects.erasures:
            self._tombs |= burials(run.effects, self.settings.secret)
        self.sent += letters(
            run.effects, self.number, self.settings.shards, run.state, tick=bool(after.step)
        )
        self.tenure.position = after
        self.done.append(run.effects)

    def _note(self, cid: str, customer: Customer) -> None:
        """Have the customer at hand, on his alarm's time and in the index."""
        mine = memory(customer)
        journey = mine.journey
        if (alarm := mine.alarm) != journey.scheduled:
            journey.scheduled = self._alarms[cid] = alarm
            if alarm:
                heappush(self._heap, (alarm, cid))
        gone = mine.identity.erased_at > 0 and is_gone(customer)
        under = [] if gone else listing(customer, self._book)
        if journey.listed != under:
            for name in {*journey.listed, *under}:
                self._list(member(cid, name), wanted=name in under)
            journey.listed = under
        customer.dirty = False
        warm = self._warm
        if warm.pop(cid, None) is None:
            self._cold.pop(cid, None)
        if gone:
            return
        warm[cid] = customer
        if len(warm) > WARM:
            oldest = next(iter(warm))
            self._cold[oldest] = warm.pop(oldest).encode()

    def _list(self, name: str, *, wanted: bool) -> None:
        at = bisect_left(self._index, name)
        if wanted != (self._index[at : at + 1] == [name]):
            self._index[at : at + (not wanted)] = [name] * wanted


def _ticks(shards: Iterable[int], at: int) -> list[Append]:
    value = b'{"at":%d}' % at
    return [Append(number, TICK, value, at) for number in shards]


class Engine:
    """All shards of an engine that decides by one book; `took` is told of each commit."""

    def __init__(
        self, book: Book, shards: int, secret: bytes, took: Took, poison: list[Poison]
    ) -> None:
        self.book = book
        self.took = took
        self._shards = [
            _Shard(
                Settings(
                    *(number, shards, secret), record_clock=True, faults_max=10_000, pools=False
                ),
                book,
                poison[number],
            )
            for number in range(shards)
        ]

    async def begin(self, at: int) -> None:
        """The rules are in force from `at` (ms) on."""
        value = orjson.dumps({"hash": self.book.hash})
        await self._decide([Append(one.number, RULES, value, at) for one in self._shards], at)
        await self._decide(_ticks(range(len(self._shards)), at), at)
        await self._letters(at)

    def decide_by(self, models: Mapping[str, Any], version: str) -> None:
        """These models are in force from the next step on."""
        for one in self._shards:
            one.use(models, version)

    def customer(self, cid: str) -> Customer:
        """He as he stands now, for reading."""
        return self._shards[partition(cid.encode(), len(self._shards))].at_hand(cid)

    async def step(self, end: int, appends: Sequence[Append]) -> None:
        """One step of record time, up to `end` (ms).

        Who has records has his tick behind them: both are one run, as in a worker.
        """
        some = {append.shard for append in appends}
        ripe = [
            one.number
            for one in self._shards
            if one.number in some or 0 < one.earliest <= end or one.busy
        ]
        await self._decide([*appends, *_ticks(ripe, end)], end)
        await self._letters(end)

    def due(self) -> int:
        """When something is due first (ms); 0 for never."""
        return min((due for one in self._shards if (due := one.earliest)), default=0)

    async def _letters(self, at: int) -> None:
        while sent := self._take():
            await self._decide(
                [Append(one["to"], LETTER, orjson.dumps(one), at) for one in sent], at
            )

    def _take(self) -> list[dict[str, Any]]:
        """Tell what was committed, in the order of shards; the letters of it."""
        found: list[dict[str, Any]] = []
        for one in self._shards:
            for effects in one.done:
                self.took(effects)
            found += one.sent
            one.done, one.sent = [], []
        return found

    async def _decide(self, appends: Sequence[Append], now: int) -> None:
        """Append and decide; each record gets its time as the real logs give it."""
        batches: dict[int, list[Record]] = {}
        times, offsets = (
            [one.time for one in self._shards],
            [one.next_offset for one in self._shards],
        )
        for number, key, value, hint in appends:
            time = hint if 0 < hint <= now else now
            times[number] = max(times[number], time)
            batch = batches.get(number)
            if batch is None:
                batch = batches[number] = []
            batch.append(Record(offsets[number] + len(batch), times[number], key, value))
        for number, batch in batches.items():
            self._shards[number].time = times[number]
            await self._shards[number].process(batch)
