"""A shard's work: fetch all, decide in memory, write all.

Must live here: the batch, what its commit holds, ticks, the fate of what fails. Must not: the log's
client, the store's (tenure.py asks it), what is decided. Three fates: the world is away -> the same
again; the event is bad -> quarantine; we are wrong or fenced -> `Stopped` or `Fenced`, and the
process ends.
"""

import logging
import time
from collections.abc import Sequence
from itertools import islice

import msgspec
import orjson

from engine import batches
from engine.editions import kept
from engine.effects import Moment, Settings
from engine.erasure import MARK, burials, is_gone, tombstone
from engine.journal import REGISTRY, memory
from engine.ledger import Purse, forget
from engine.measures import MEASURES
from engine.outbox import entry, letters
from engine.records import KILL, RULES, TICK, VERSIONS, Record
from engine.rounds import ARM, PART_MAX, PARTS_MAX, begin_arming, cid_of, listing, member
from engine.run import Run
from engine.schedules import SCHEDULE, begin, begun, ripe, upcoming
from engine.store import Position, Round, ShardState, Stopped, Store
from engine.switches import read as read_killed
from engine.tenure import Tenure
from engine.versions import MADE, NO_MODEL, Fetch, Models, wanted_book, with_past
from features.customer import Customer
from rules.book import Book
from rules.model import Shop

WARM_MAX = 1_000  # customers a shard keeps decoded between commits, about 10 KB each
DUE_MAX = 500
ROUNDS_MAX = 100  # of them in one commit
SHARD = "!shard"  # among the customers of its sorted set: when it has something to do itself
log = logging.getLogger(__name__)
_state = msgspec.msgpack.Encoder()
_read_state = msgspec.msgpack.Decoder(ShardState)


class Shard:
    """One shard under one owner. `process` is called with consecutive records, one batch a time."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.number = settings.shard
        self.tenure = Tenure(store, settings.shard)
        self._state = ShardState()
        self._book = Book.of({}, Shop(), {}, {})
        self._models: Models = {}
        self._stones = False  # whether anybody of this shard was erased
        self._warm: dict[str, Customer] = {}  # as committed, met last at the end
        self.warm_max = WARM_MAX

    @property
    def next_offset(self) -> int:
        """The offset of the next record to be decided; all below are committed."""
        return self.tenure.position.offset

    @property
    def rules_hash(self) -> str:
        """The version of the rules in force."""
        return self._state.rules

    @property
    def model_hash(self) -> str:
        """The version of the model in force."""
        return self._state.model

    @property
    def killed(self) -> str:
        """What the kill switch stops, as its record says it."""
        return self._state.killed

    @property
    def log_time(self) -> int:
        """The shard's log time, ms."""
        return self._state.log_time

    async def open(self) -> int:
        """Become the owner under a new token; the offset to start from."""
        self._warm.clear()
        state = await self.tenure.claim()
        self._state = _read_state.decode(state) if state else ShardState()
        self._stones = (await self.tenure.prefetch([MARK]))[0] is not None
        await self._load_rules(self._state.rules)
        self._book = await with_past(self._book, self._state.past, self._bodies("rules"))
        await self._load_model(self._state.model)
        return self.next_offset

    async def close(self) -> None:
        """Nothing is held that another owner would miss."""

    async def process(self, records: Sequence[Record]) -> None:
        """Decide and commit the records from next_offset on; those below were committed before."""
        todo = list(records)
        if todo and todo[0].offset < self.next_offset:
            todo = [record for record in todo if record.offset >= self.next_offset]
        if todo and todo[-1].offset - self.next_offset + 1 != len(todo):
            self._stop_at_a_hole(todo)
        while todo:
            run, cids = batches.first_run(todo)
            todo = todo[await self._process_run(run, cids) :]

    def _stop_at_a_hole(self, records: Sequence[Record]) -> None:
        found = enumerate((record.offset for record in records), self.next_offset)
        missing, there = next((wanted, offset) for wanted, offset in found if wanted != offset)
        raise Stopped(
            f"shard {self.number}: the log continues at offset {there} but offset {missing} was "
            "not decided yet: records are lost. Restore the log, or restore Redis from a back-up "
            "that belongs to this log."
        )

    async def _process_run(self, run: list[Record], cids: list[str]) -> int:
        """Decide and commit a run, or its beginning; how many records that were."""
        if run[0].key in VERSIONS:
            await self._switch(run[0])
            return 1
        names = [cid for cid in dict.fromkeys(cids) if cid]
        if run[-1].key == TICK:
            until = max(self._state.log_time, run[-1].log_time)
            due = await self._due(until)
            both = list(dict.fromkeys([*names, *due]))
            few = len(due) < DUE_MAX and len(both) <= batches.CUSTOMERS_MAX
            if few and not self._state.rounds and not ripe(self._book, self._state, until):
                names = both
            elif len(run) > 1:
                run, cids = run[:-1], cids[:-1]
            else:
                await self._long_tick(run[0], until)
                return 1
        await self._decide_run(run, cids, names)
        return len(run)

    async def _decide_run(self, records: list[Record], cids: list[str], names: list[str]) -> None:
        """Events, letters, perhaps a tick after them: one read, one pass in memory, one commit."""
        poison: dict[int | str, str] = {}
        while True:
            run = self._run(await self._customers(names))
            started = time.perf_counter()
            if run.decide(records, cids, poison):
                break
            self._forget(names)
        MEASURES.observe("decide_seconds", time.perf_counter() - started)
        await self._commit(records[0].offset, Position(records[-1].offset + 1), run)
        if not self.settings.record_clock:
            waited = time.time() - records[0].log_time / 1_000
            MEASURES.observe("event_to_commit_seconds", waited)

    async def _long_tick(self, record: Record, until: int) -> None:
        """A tick of many commits: who is due, then the rounds, the tick staying next till the end.

        In record time it ends with the rounds; in wall time they go on at the ticks to come.
        """
        poison: dict[int | str, str] = {}
        parts, rest = 0, True
        while self.next_offset == record.offset:
            if ripe(self._book, self._state, until):
                await self._begin(record, until)
            turns = rest and any(one.kind == SCHEDULE for one in self._state.rounds)
            names = [] if turns else await self._due(until)
            on_round = turns or (rest and not names and bool(self._state.rounds))
            run = self._run(await self._customers(names))
            decided = (
                await self._go_round(run, record, poison)
                if on_round
                else run.decide([record], [""], poison)
            )
            if not decided:
                self._forget(list(run.customers))
                continue
            parts += on_round
            rest = self.settings.record_clock or parts < PARTS_MAX
            more = rest and (run.state.rounds or ripe(self._book, run.state, until))
            last = not more and not turns and (on_round or len(names) < DUE_MAX)
            after = Position(record.offset + 1) if last else _next_step(self.tenure.position)
            await self._commit(record.offset, after, run)

    async def _begin(self, record: Record, until: int) -> None:
        """Schedules fire: their rounds begin, in a commit of its own."""
        run = self._run({})
        run.state.log_time = max(run.state.log_time, until)
        begin(self._book, run.state, until, late=not self.settings.record_clock)
        await self._commit(record.offset, _next_step(self.tenure.position), run)

    async def _go_round(self, run: Run, record: Record, poison: dict[int | str, str]) -> bool:
        """Go on with the rounds as far as one commit may go; False when somebody broke us."""
        reached, lists = 0, False
        for _ in range(ROUNDS_MAX):
            if not run.state.rounds or reached >= PART_MAX or lists:
                break
            members = await self._listed(run.state.rounds[0])
            lists = run.state.rounds[0].kind == ARM  # the next one is to find what it lists
            new = [cid for name in members if (cid := cid_of(name)) not in run.customers]
            run.customers |= await self._customers(new)
            if not run.go_round(record, members, poison):
                return False
            reached += len(members)
        return True

    async def _listed(self, one: Round) -> list[str]:
        return await self.tenure.listed(one.prefix, one.after, PART_MAX)

    async def _due(self, until: int) -> list[str]:
        found = await self.tenure.due(until, DUE_MAX + 1)
        return [cid for cid in found if cid != SHARD][:DUE_MAX]

    async def _switch(self, record: Record) -> None:
        """New rules or a new model, from this record on."""
        digest = str(orjson.loads(record.value)["hash"])
        run = self._run({})
        run.state.log_time = max(run.state.log_time, record.log_time)
        if record.key == RULES:
            before = self._book
            await self._load_rules(digest)
            run.state.past = kept(before, self._book, run.state.past)
            self._book = await with_past(self._book, run.state.past, self._bodies("rules"))
            run.state.rules = digest
            run.state.rounds = begin_arming(run.state.rounds, run.state.log_time)
            run.state.schedules = begun(self._book, run.state.schedules, run.state.log_time)
        elif record.key == KILL:
            run.state.killed = digest
        elif await self._load_model(digest):
            run.state.model = digest
        await self._commit(record.offset, Position(record.offset + 1), run)

    def _bodies(self, kind: str) -> Fetch:
        return lambda name: self.tenure.body(kind, name)

    async def _load_rules(self, digest: str) -> None:
        if not digest:
            self._book = Book.of({}, Shop(), {}, {})
            return
        self._book = wanted_book(await self._bodies("rules")(digest), self.number, digest)

    async def _load_model(self, digest: str) -> bool:
        """Whether the manifest was taken into use; a forged or lost one is left alone, and said."""
        if not digest:
            return False
        try:
            models = await MADE.of(digest, self.settings.secret, self._bodies("model"))
        except NO_MODEL as error:
            log.error("shard %d: model %s refused: %s", self.number, digest[:12], error)  # noqa: TRY400
            return False
        self._models = models
        return True

    async def _commit(self, start: int, after: Position, run: Run) -> None:
        """Write all that the run changed, and take its state over once that is certain."""
        blobs, alarms = {}, {}
        listed: dict[str, bool] = {}
        for cid, customer in run.customers.items():
            if not customer.dirty:
                continue
            mine = memory(customer)
            journey = mine.journey
            if (wanted := mine.alarm) != journey.scheduled:
                alarms[cid] = journey.scheduled = wanted
            if cid in run.deferred:
                alarms[cid] = journey.scheduled = run.deferred[cid]
            gone = mine.identity.erased_at > 0 and is_gone(customer)
            if journey.listed != (under := [] if gone else listing(customer, self._book)):
                listed |= {member(cid, name): False for name in journey.listed}
                listed |= {member(cid, name): True for name in under}
                journey.listed = under
            blobs[cid] = b"" if gone else customer.encode()
        if run.effects.erasures:
            blobs |= burials(run.effects, self.settings.secret)
            forget(run.state.slices, {row["cid"] for row in run.effects.erasures})
            self._stones = True
        run.add_counts()
        state, shards = run.state, self.settings.shards
        if state.rounds or state.schedules or state.alarm:
            wanted = state.log_time if state.rounds else upcoming(self._book, state.schedules)
            if wanted != state.alarm:
                alarms[SHARD] = state.alarm = wanted
        sent = letters(run.effects, self.number, shards, state, tick=bool(after.step))
        now = round(time.time() * 1_000)
        body = entry(run.effects, sent, start, after.offset, state.log_time, now)
        await self.tenure.commit(after, _state.encode(state), blobs, alarms, body, listed)
        self._state = state
        self._keep(run.customers)

    async def _customers(self, names: list[str]) -> dict[str, Customer]:
        """The customers as they were committed last: those at hand, the others from the store.

        The one prefetch also compares owner and position, so nobody else has written meanwhile.
        """
        warm = self._warm
        cold = [name for name in names if name not in warm]
        blobs = await self.tenure.prefetch(cold)
        if self._stones and None in blobs:
            blobs = await self._with_tombstones(cold, blobs)
        fresh = {
            cid: Customer.decode(cid, blob, REGISTRY) for cid, blob in zip(cold, blobs, strict=True)
        }
        return {name: warm.get(name) or fresh[name] for name in names}

    async def _with_tombstones(
        self, names: list[str], blobs: list[bytes | None]
    ) -> list[bytes | None]:
        """For customers without a blob, their tombstones; only a shard that has some asks."""
        unknown = [name for name, blob in zip(names, blobs, strict=True) if blob is None]
        secret = self.settings.secret
        stones = await self.tenure.prefetch([tombstone(secret, name) for name in unknown])
        found = dict(zip(unknown, stones, strict=True))
        return [blob or found[name] for name, blob in zip(names, blobs, strict=True)]

    def _keep(self, customers: dict[str, Customer]) -> None:
        """Have the customers of a committed run at hand; who was not met for longest goes."""
        warm = self._warm
        for cid, customer in customers.items():
            customer.dirty = False
            warm.pop(cid, None)
        warm |= customers
        over = max(0, len(warm) - self.warm_max)
        self._warm = dict(islice(warm.items(), over, None))

    def _forget(self, names: list[str]) -> None:
        """Customers that a failed run has changed are read again."""
        for name in names:
            self._warm.pop(name, None)

    def _run(self, customers: dict[str, Customer]) -> Run:
        """A run over a copy of the shard's state."""
        state = _read_state.decode(_state.encode(self._state))
        return Run(self._moment(state), state, customers)

    def _moment(self, state: ShardState) -> Moment:
        return Moment(
            self.settings, self._book, state.log_time, 0, self._models, state.model,
            peaks=state.peaks, killed=read_killed(state.killed), purse=Purse(state.slices),
        )  # fmt: skip


def _next_step(position: Position) -> Position:
    return Position(position.offset, position.step + 1)
