"""A shard's work: fetch all, decide in memory, write all, and settle every doubt by reading.

Must live here: the batch, its comparing commit, ticks, the fate of what fails. Must not: the log's
client, the store's client, what is decided. Three fates: the world is away -> the same again; the
event is bad -> quarantine; we are wrong or fenced -> `Stopped` or `Fenced`, and the process ends.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson

from engine.decide import DUPLICATE, PROCESSED, decide, receive, wake_up
from engine.effects import Effects, Moment, Settings
from engine.ids import quarantine_id
from engine.journal import REGISTRY, Example, memory, write
from engine.outbox import entry, letters
from engine.records import LETTER, MODEL, REJECTED, RULES, TICK, Record, is_event
from engine.store import Commit, Fenced, Position, ShardState, Stopped, Store, StoreAway
from features.customer import Customer
from features.events import BadEvent
from features.events import decode as decode_event
from features.models.purchase import Scorer
from features.models.snapshot import BadSnapshot, unpack
from rules.book import Book
from rules.load import book_from_sources
from rules.model import Shop

CUSTOMERS_MAX = 900  # in one commit: a blob and a timer each stay under the store's 3,000 values
RECORDS_MAX = 1_000
DUE_MAX = 500
FAULT_WINDOW = 10_000
FAULTS_MAX = 100
DETAIL_MAX = 32_768
PAUSE_SECONDS_MAX = 2.0
CONTROL = frozenset({TICK, RULES, MODEL})

log = logging.getLogger(__name__)
_state = msgspec.msgpack.Encoder()
_read_state = msgspec.msgpack.Decoder(ShardState)
T = TypeVar("T")


class Shard:
    """One shard under one owner. `process` is called with consecutive records, one batch a time."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.number = settings.shard
        self.processed = 0
        self._store = store
        self._token = b""
        self._position = Position(0)
        self._state = ShardState()
        self._book = Book.of({}, Shop(), {}, {})
        self._scorer: Scorer | None = None

    @property
    def next_offset(self) -> int:
        """The offset of the next record to be decided; all below are committed."""
        return self._position.offset

    @property
    def rules_hash(self) -> str:
        """The version of the rules in force."""
        return self._state.rules

    @property
    def model_hash(self) -> str:
        """The version of the model in force."""
        return self._state.model

    @property
    def log_time(self) -> int:
        """The shard's log time, ms."""
        return self._state.log_time

    async def open(self) -> int:
        """Become the owner under a new token; the offset to start from."""
        self._token = secrets.token_hex(16).encode()
        self._position, state = await self._patiently(
            lambda: self._store.claim(self.number, self._token)
        )
        self._state = _read_state.decode(state) if state else ShardState()
        await self._load_rules(self._state.rules)
        await self._load_model(self._state.model)
        return self.next_offset

    async def close(self) -> None:
        """Nothing is held that another owner would miss."""

    async def process(self, records: Sequence[Record]) -> None:
        """Decide and commit the records from next_offset on; those below were committed before."""
        todo = [record for record in records if record.offset >= self.next_offset]
        if todo and todo[0].offset != self.next_offset:
            raise Stopped(
                f"shard {self.number}: the log continues at offset {todo[0].offset} but offset "
                f"{self.next_offset} was not decided yet: records are lost. Restore the log, or "
                "restore Redis from a back-up that belongs to this log."
            )
        while todo:
            run = _first_run(todo)
            await self._process_run(run)
            todo = todo[len(run) :]
            self.processed += len(run)

    async def _process_run(self, run: list[Record]) -> None:
        kind = run[0].key
        if kind == TICK:
            await self._tick(run[0])
        elif kind in {RULES, MODEL}:
            await self._switch(run[0])
        else:
            await self._decide_run(run)

    async def _decide_run(self, run: list[Record]) -> None:
        """Events and letters: one read, one pass in memory, one commit."""
        names = list({cid for record in run if (cid := _customer_of(record))})
        blobs = await self._prefetch(names)
        poison: dict[int, str] = {}
        while True:
            customers = {
                cid: Customer.decode(cid, blob, REGISTRY)
                for cid, blob in zip(names, blobs, strict=True)
            }
            state = _read_state.decode(_state.encode(self._state))
            effects = Effects()
            failed = self._decide_all(run, customers, state, effects, poison)
            if failed is None:
                break
        after = Position(run[-1].offset + 1)
        await self._commit(run[0].offset, after, customers, state, effects)

    def _decide_all(
        self,
        run: list[Record],
        customers: dict[str, Customer],
        state: ShardState,
        effects: Effects,
        poison: dict[int, str],
    ) -> int | None:
        """Decide each record; the offset of one that broke us, which is then left out next time."""
        moment = self._moment(state, 0)
        for record in run:
            if record.log_time > state.log_time:
                moment.log_time = state.log_time = record.log_time
            moment.offset = record.offset
            if record.offset in poison:
                self._reject(record, "poison", poison[record.offset], state, effects)
                continue
            try:
                self._decide_one(record, customers, state, moment, effects)
            except BadEvent as bad:
                self._reject(record, bad.reason, bad.detail, state, effects)
            except Stopped:
                raise
            except Exception as error:  # the batch is decided again without this record
                log.exception("shard %d: record %d is poison", self.number, record.offset)
                poison[record.offset] = f"{type(error).__name__}: {error}"
                return record.offset
        return None

    def _decide_one(
        self,
        record: Record,
        customers: dict[str, Customer],
        state: ShardState,
        moment: Moment,
        effects: Effects,
    ) -> None:
        if record.key == REJECTED:
            effects.count("events")
            self._note_rejected(record, effects)
        elif record.key == LETTER:
            self._open_letter(record, customers, state, moment, effects)
        elif is_event(record.key):
            event = decode_event(record.value)
            if event.row and _repeated_row(state, event.row):
                fate = DUPLICATE
            else:
                fate = decide(customers[record.key.decode()], event, moment, effects)
            effects.count("events")
            effects.count(fate)
            if fate == DUPLICATE:
                effects.skipped.append((record.offset, DUPLICATE))
        else:
            raise BadEvent("unknown_record", f"no record has a key like {record.key[:40]!r}")

    def _open_letter(
        self,
        record: Record,
        customers: dict[str, Customer],
        state: ShardState,
        moment: Moment,
        effects: Effects,
    ) -> None:
        """A letter is applied once, in its sender's order; a gap means that one was lost."""
        letter: dict[str, Any] = orjson.loads(record.value)
        sender, last = letter["from"], state.letters_in.get(letter["from"], "")
        if last and _letter_number(letter["id"]) <= _letter_number(last):
            return
        if letter["prev"] != last:
            raise Stopped(
                f"shard {self.number}: letter {letter['id']} of shard {sender} follows "
                f"{letter['prev'] or 'none'}, but the last one seen is {last or 'none'}: a letter "
                "is lost. Restore Redis and the log from the same back-up."
            )
        fate = receive(customers[letter["cid"]], letter["kind"], letter["body"], moment, effects)
        state.letters_in[sender] = letter["id"]
        if fate in {PROCESSED, DUPLICATE}:
            effects.count(fate)

    async def _tick(self, record: Record) -> None:
        """Fire what is due by the tick's log time, at most DUE_MAX customers a commit."""
        until = max(self._state.log_time, record.log_time)
        while self.next_offset == record.offset:
            names = await self._patiently(lambda: self._store.due(self.number, until, DUE_MAX))
            blobs = await self._prefetch(names)
            state = _read_state.decode(_state.encode(self._state))
            state.log_time = until
            effects, customers = Effects(), {}
            for cid, blob in zip(names, blobs, strict=True):
                customers[cid] = self._wake(cid, blob, state, record, effects)
            last = len(names) < DUE_MAX
            after = Position(record.offset + 1) if last else _next_step(self._position)
            await self._commit(record.offset, after, customers, state, effects)

    def _wake(
        self, cid: str, blob: bytes | None, state: ShardState, record: Record, effects: Effects
    ) -> Customer:
        """Fire one customer's timers; a customer whose timers break us loses them, and is noted."""
        customer = Customer.decode(cid, blob, REGISTRY)
        mine = Effects()
        try:
            wake_up(customer, self._moment(state, record.offset), mine)
        except Exception as error:
            log.exception("shard %d: the timers of a customer are poison", self.number)
            customer, mine = Customer.decode(cid, blob, REGISTRY), Effects()
            journey = memory(customer).journey
            journey.open, journey.silent, journey.alarm = [], {}, 0
            write(customer).example = Example()
            self._reject(record, "poison_timer", f"{type(error).__name__}: {error}", state, mine)
        effects.decisions += mine.decisions
        effects.letters += mine.letters
        effects.examples += mine.examples
        effects.quarantine += mine.quarantine
        return customer

    async def _switch(self, record: Record) -> None:
        """New rules or a new model, from this record on."""
        digest = str(orjson.loads(record.value)["hash"])
        state = _read_state.decode(_state.encode(self._state))
        state.log_time = max(state.log_time, record.log_time)
        if record.key == RULES:
            await self._load_rules(digest)
            state.rules = digest
        elif await self._load_model(digest):
            state.model = digest
        await self._commit(record.offset, Position(record.offset + 1), {}, state, Effects())

    async def _load_rules(self, digest: str) -> None:
        if not digest:
            self._book = Book.of({}, Shop(), {}, {})
            return
        body = await self._patiently(lambda: self._store.body("rules", digest))
        if body is None:
            raise Stopped(
                f"shard {self.number}: the log asks for rules {digest[:12]}, which Redis does not "
                "hold. Publish them again: laike up does, from the rules folder."
            )
        self._book = _book(body)

    async def _load_model(self, digest: str) -> bool:
        """Whether the snapshot was taken into use; a forged or lost one is left alone, and said."""
        if not digest:
            return False
        body = await self._patiently(lambda: self._store.body("model", digest))
        if body is None:
            log.error("shard %d: model %s is not in Redis", self.number, digest[:12])
            return False
        try:
            self._scorer = Scorer(unpack(body, self.settings.secret))
        except BadSnapshot as error:
            log.error("shard %d: model %s refused: %s", self.number, digest[:12], error)  # noqa: TRY400
            return False
        return True

    async def _prefetch(self, names: list[str]) -> list[bytes | None]:
        found = await self._patiently(lambda: self._store.prefetch(self.number, names))
        if found.owner != self._token:
            raise Fenced(f"shard {self.number} has another owner now")
        if found.position != self._position:
            raise Fenced(
                f"shard {self.number} stands at {found.position}, not at {self._position} where "
                "this worker left it"
            )
        return found.blobs

    async def _commit(
        self,
        start: int,
        after: Position,
        customers: dict[str, Customer],
        state: ShardState,
        effects: Effects,
    ) -> None:
        blobs, alarms = {}, {}
        for cid, customer in customers.items():
            if not customer.dirty:
                continue
            journey = memory(customer).journey
            if journey.alarm != journey.scheduled:
                alarms[cid] = journey.scheduled = journey.alarm
            blobs[cid] = customer.encode()
        _add_counts(state, effects)
        sent = letters(effects, self.number, self.settings.shards, state, tick=bool(after.step))
        body = entry(effects, sent, start, after.offset, state.log_time, round(time.time() * 1_000))
        commit = Commit(
            self.number, self._token, self._position, after, _state.encode(state), blobs, alarms,
            f"{after.offset}-{after.step}", body,
        )  # fmt: skip
        await self._settle(commit)
        self._position, self._state = after, state

    async def _settle(self, commit: Commit) -> None:
        """Commit; when the answer is lost, read where the shard stands before doing it again."""
        while True:
            try:
                if await self._store.commit(commit):
                    return
            except StoreAway as away:
                log.warning("shard %d: the store is away (%s)", self.number, away)
            found = await self._patiently(lambda: self._store.prefetch(self.number, []))
            if found.owner != self._token:
                raise Fenced(f"shard {self.number} has another owner now")
            if found.position == commit.after:
                return
            if found.position != commit.before:
                raise Fenced(f"shard {self.number} was moved to {found.position} by another")

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until the world answers."""
        pause = 0.05
        while True:
            try:
                return await ask()
            except StoreAway as away:
                log.warning("shard %d: the store is away (%s)", self.number, away)
                await asyncio.sleep(pause)
                pause = min(PAUSE_SECONDS_MAX, pause * 2)

    def _moment(self, state: ShardState, offset: int) -> Moment:
        return Moment(
            self.settings, self._book, state.log_time, offset, self._scorer, self._state.model
        )

    def _note_rejected(self, record: Record, effects: Effects) -> None:
        row: dict[str, Any] = orjson.loads(record.value)
        effects.quarantine.append({**row, "at": record.log_time})
        effects.count("quarantined")

    def _reject(
        self, record: Record, reason: str, detail: str, state: ShardState, effects: Effects
    ) -> None:
        """Put a record aside with its reason; too many in a row means that we are wrong."""
        effects.quarantine.append({
            "id": quarantine_id(self.number, record.offset), "at": record.log_time,
            "source": f"shard {self.number}, offset {record.offset}", "reason": reason,
            "detail": detail, "body": record.value[:DETAIL_MAX].decode(errors="replace"),
        })  # fmt: skip
        if is_event(record.key):
            effects.count("events")
            effects.count("quarantined")
        effects.skipped.append((record.offset, "quarantined"))
        state.faults = [at for at in state.faults if at > record.offset - FAULT_WINDOW]
        state.faults.append(record.offset)
        if len(state.faults) > FAULTS_MAX:
            raise Stopped(
                f"shard {self.number}: over {FAULTS_MAX} of the last {FAULT_WINDOW} records were "
                f"quarantined, the last for {reason}: {detail}. Nothing is lost; mend the sender "
                "or the engine, then start the worker again."
            )


def _first_run(records: list[Record]) -> list[Record]:
    """The records that one commit holds: one control record, or what is before the next one."""
    if records[0].key in CONTROL:
        return records[:1]
    names: set[str] = set()
    for number, record in enumerate(records[:RECORDS_MAX]):
        if record.key in CONTROL:
            return records[:number]
        names.add(_customer_of(record))
        if len(names) > CUSTOMERS_MAX:
            return records[:number]
    return records[:RECORDS_MAX]


def _customer_of(record: Record) -> str:
    """The customer whose state a record needs, "" for none."""
    if record.key == LETTER:
        return str(orjson.loads(record.value)["cid"])
    return record.key.decode() if is_event(record.key) else ""


@lru_cache(maxsize=4)
def _book(body: bytes) -> Book:
    """The rules of a version; the shards of a process share them, they are frozen."""
    return book_from_sources(orjson.loads(body))


def _next_step(position: Position) -> Position:
    return Position(position.offset, position.step + 1)


def _repeated_row(state: ShardState, row: list[Any]) -> bool:
    """Whether this row of a replayed file was applied before; else note that it is now."""
    file, number = str(row[0]), int(row[1])
    if number <= state.files.get(file, -1):
        return True
    state.files[file] = number
    return False


def _letter_number(text: str) -> tuple[int, int]:
    offset, _, number = text.partition("-")
    return int(offset), int(number)


def _add_counts(state: ShardState, effects: Effects) -> None:
    for row in effects.decisions:
        effects.count(f"{row['result']}:{row['rule']}")
    for what, number in effects.counts.items():
        state.counts[what] = state.counts.get(what, 0) + number
