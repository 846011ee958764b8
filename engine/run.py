"""A run of records decided in memory: pure, so that it can be done again without a bad one.

Must live here: each kind of record's way through decide, the letters' order, what is put aside.
Must not: IO; pipeline.py fetches before and commits after. A run that failed half-way is thrown
away and done again from the blobs, without the record that broke us.
"""

import logging
from collections.abc import Sequence
from typing import Any

import orjson

from engine.budgets import give_back
from engine.decide import DUPLICATE, PROCESSED, decide, receive, wake_up
from engine.effects import Effects, Moment
from engine.erasure import ERASED
from engine.examples import expire
from engine.ids import quarantine_id
from engine.journal import Example, Returning, memory, write
from engine.peak import LOOK_MS, at_tick
from engine.records import LETTER, REJECTED, TICK, Record, is_event
from engine.rounds import PART_MAX, begin_letter, cid_of, reach
from engine.store import ShardState, Stopped
from engine.timers import can_wait
from engine.turn import Turn
from features.customer import Customer
from features.events import BadEvent
from features.events import decode as decode_event

FAULT_WINDOW = 10_000
BODY_MAX = 32_768
_SKIPPED = frozenset((DUPLICATE, ERASED))

log = logging.getLogger(__name__)


class Run:
    """Consecutive records of a shard, its state, the customers they are about, the effects."""

    def __init__(self, moment: Moment, state: ShardState, customers: dict[str, Customer]) -> None:
        self.moment = moment
        self.state = state
        self.customers = customers
        self.effects = Effects()
        self.number = moment.settings.shard
        self.deferred: dict[str, int] = {}  # who waits at a peak -> when to look again (ms)

    def decide(
        self, records: Sequence[Record], cids: Sequence[str], poison: dict[int | str, str]
    ) -> bool:
        """Decide all; False when one broke us: it is in `poison` now, and the run is worthless.

        `cids` are the customers that the records need, "" for none (`customer_of`). What broke us
        is a record, by its offset, or a customer whose timers did at a tick, by his id.
        """
        moment, state = self.moment, self.state
        for record, cid in zip(records, cids, strict=True):
            if record.log_time > state.log_time:
                moment.log_time = state.log_time = record.log_time
            moment.offset = record.offset
            if poison and record.offset in poison:
                self._pass_letter(record)
                self._reject(record, "poison", poison[record.offset])
                continue
            if record.key == TICK:
                if not self._tick(record, poison):
                    return False
                continue
            try:
                self._decide_one(record, cid)
            except BadEvent as bad:
                self._reject(record, bad.reason, bad.detail)
            except Stopped:
                raise
            except Exception as error:
                if record.key == LETTER and orjson.loads(record.value)["kind"] != "event":
                    raise Stopped(  # put aside, a customer's whole state would be lost
                        f"shard {self.number}: the letter at offset {record.offset} breaks the "
                        f"engine ({type(error).__name__}: {error}). Nothing is lost; mend the "
                        "engine, then start the worker again."
                    ) from error
                log.exception("shard %d: record %d is poison", self.number, record.offset)
                poison[record.offset] = f"{type(error).__name__}: {error}"
                return False
        return True

    def _decide_one(self, record: Record, cid: str) -> None:
        effects, counts = self.effects, self.effects.counts
        if record.key == LETTER:
            self._open_letter(record)
        elif cid:
            event = decode_event(record.value)
            if event.row and self._repeated_row(event.row):
                fate = DUPLICATE
            else:
                fate = decide(self.customers[cid], event, self.moment, effects)
            counts["events"] += 1
            counts[fate] += 1
            if fate in _SKIPPED:
                effects.skipped.append((record.offset, fate))
        elif record.key == REJECTED:
            counts["events"] += 1
            counts["quarantined"] += 1
            aside = {"at": record.log_time, **orjson.loads(record.value), "offset": 0}
            effects.quarantine.append(aside)  # the same at every repeat of its append
        else:
            raise BadEvent("unknown_record", f"no record has a key like {record.key[:40]!r}")

    def _open_letter(self, record: Record) -> None:
        """A letter is applied once, in its sender's order; a gap means that one was lost."""
        letter: dict[str, Any] = orjson.loads(record.value)
        sender, last = letter["from"], self.state.letters_in.get(letter["from"], "")
        if last and _letter_number(letter["id"]) <= _letter_number(last):
            return
        if letter["prev"] != last:
            raise Stopped(
                f"shard {self.number}: letter {letter['id']} of shard {sender} follows "
                f"{letter['prev'] or 'none'}, but the last one seen is {last or 'none'}: a letter "
                "is lost. Restore Redis and the log from the same back-up."
            )
        if not letter["cid"]:
            if refused := begin_letter(self.moment.book, self.state.rounds, letter):
                self._let_go(record, letter["body"]["event"], refused)
            self.state.letters_in[sender] = letter["id"]
            return
        customer = self.customers[letter["cid"]]
        fate = receive(customer, letter["kind"], letter["body"], self.moment, self.effects)
        self.state.letters_in[sender] = letter["id"]
        if letter["body"].get("emitted"):  # an event of our own: it came in by no door
            counts = self.effects.counts
            counts["emitted"] = counts.get("emitted", 0) + (fate == PROCESSED)
        elif fate in {PROCESSED, DUPLICATE, ERASED}:
            self.effects.counts[fate] += 1

    def _let_go(self, record: Record, event: str, refused: int) -> None:
        """Rounds that a shard has no room for are told of, and are nobody's fault."""
        self.effects.quarantine.append({
            "id": quarantine_id(self.number, record.offset, "rounds"), "at": record.log_time,
            "offset": record.offset, "source": f"shard {self.number}, offset {record.offset}",
            "reason": "too_many_rounds", "body": event[:BODY_MAX],
            "detail": f"{refused} of this item's rounds: too many wait in this shard already",
        })  # fmt: skip

    def _pass_letter(self, record: Record) -> None:
        """A forwarded event that is poison is put aside; its letter counts as applied."""
        if record.key == LETTER:
            letter: dict[str, Any] = orjson.loads(record.value)
            self.state.letters_in[letter["from"]] = letter["id"]
            self.effects.counts["quarantined"] += not letter["body"].get("emitted")

    def _tick(self, record: Record, poison: dict[int | str, str]) -> bool:
        """Fire what is due by the log time, by (due, customer); False when that broke us."""
        until = self.state.log_time
        peak = at_tick(self.state, record, self.moment.settings.peak_rate)
        self.moment.peaks = self.state.peaks
        give_back(self.moment, self.effects)
        due = [
            (alarm, cid)
            for cid, customer in self.customers.items()
            if 0 < (alarm := memory(customer).alarm) <= until
        ]
        for _, cid in sorted(due):
            customer = self.customers[cid]
            if cid in poison:
                left = write(customer)
                left.journey.open, left.journey.silent, left.journey.alarm = [], {}, 0
                left.journey.planned, left.journey.watches = {}, []
                left.example, left.returning = Example(), Returning()
                self._reject(record, "poison_timer", poison[cid], cid)
                continue
            try:
                if not 0 < memory(customer).journey.alarm <= until:
                    expire(customer, until, self.effects)
                elif peak and can_wait(Turn(customer, self.moment, self.effects), until):
                    self.deferred[cid] = until + LOOK_MS
                else:
                    wake_up(customer, self.moment, self.effects)
            except Exception as error:
                log.exception("shard %d: the timers of a customer are poison", self.number)
                poison[cid] = f"{type(error).__name__}: {error}"
                return False
        return True

    def go_round(self, record: Record, names: Sequence[str], poison: dict[int | str, str]) -> bool:
        """Take the first round on to these members of the index; False when that broke us."""
        moment, state = self.moment, self.state
        moment.log_time = state.log_time = max(state.log_time, record.log_time)
        moment.offset = record.offset
        one = state.rounds[0]
        for name in names:
            cid = cid_of(name)
            if cid in poison:
                self._reject(record, "poison_round", poison[cid], cid)
                continue
            try:
                reach(Turn(self.customers[cid], moment, self.effects), one)
            except Exception as error:
                log.exception("shard %d: a round is poison to a customer", self.number)
                poison[cid] = f"{type(error).__name__}: {error}"
                return False
        if len(names) < PART_MAX:
            state.rounds.pop(0)
        else:
            one.after = names[-1]
        return True

    def _repeated_row(self, row: list[Any]) -> bool:
        """Whether this row of a replayed file was applied before; else note that it is now."""
        file, number = str(row[0]), int(row[1])
        if number <= self.state.files.get(file, -1):
            return True
        self.state.files[file] = number
        return False

    def _reject(self, record: Record, reason: str, detail: str, part: str = "") -> None:
        """Put a record aside with its reason; too many in a row means that we are wrong."""
        effects, state = self.effects, self.state
        effects.quarantine.append({
            "id": quarantine_id(self.number, record.offset, part), "at": record.log_time,
            "offset": record.offset,
            "source": f"shard {self.number}, offset {record.offset}", "reason": reason,
            "detail": detail, "body": record.value[:BODY_MAX].decode(errors="replace"),
        })  # fmt: skip
        if is_event(record.key):
            effects.counts["events"] += 1
            effects.counts["quarantined"] += 1
        effects.skipped.append((record.offset, "quarantined"))
        state.faults = [at for at in state.faults if at > record.offset - FAULT_WINDOW]
        state.faults.append(record.offset)
        if len(state.faults) > (most := self.moment.settings.faults_max):
            raise Stopped(
                f"shard {self.number}: over {most} of the last {FAULT_WINDOW} records were "
                f"quarantined, the last for {reason}: `laike quarantine list` shows them. Nothing "
                "is lost; mend the sender or the engine, then start the worker again. To put them "
                f"all aside instead, start it once with LAIKE_FAULTS_MAX={FAULT_WINDOW}."
            )

    def add_counts(self) -> None:
        """Add what this run did to what the shard has done."""
        did, done = self.effects.counts, self.state.counts
        for row in self.effects.decisions:
            what = f"{row['result']}:{row['rule']}"
            did[what] = did.get(what, 0) + 1
            if row["held"] == "error":
                failed = f"error/{row['rule']}"  # no colon: it is no further result
                did[failed] = did.get(failed, 0) + 1
        for what, number in did.items():
            done[what] = done.get(what, 0) + number


def customer_of(record: Record) -> str:
    """The customer whose state a record needs, "" for none, as with a letter to the shard."""
    if is_event(record.key):
        return record.key.decode()
    return str(orjson.loads(record.value)["cid"]) if record.key == LETTER else ""


def _letter_number(text: str) -> tuple[int, int]:
    offset, _, number = text.partition("-")
    return int(offset), int(number)
