"""What must hold of any run, as a table: each check yields what is wrong, in words.

Must live here: one function a law. Must not: what particular rules must do (model.py), sums
(accounts.py, balances.py). To add one: a function of (history, chains), and a line in CHECKS.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from simulator.faults.auditor.chain import START, Chains
from simulator.faults.auditor.draws import draws
from simulator.faults.auditor.erased import erasures, erasures_of
from simulator.faults.auditor.limits import budgets, caps, codes, digests
from simulator.faults.auditor.model import expected
from simulator.faults.auditor.scores import scores
from simulator.faults.history import (
    Called,
    Claimed,
    Committed,
    History,
    Inserted,
    Position,
    Rewound,
    Stopped,
)

IDS = {
    "decisions": ("decision_id",),
    "coupon_ledger": ("coupon_id", "seq"),
    "quarantine": ("quarantine_id",),
    "outcomes": ("decision_id", "action", "fact"),
}
SAME = ("rule", "cid", "run", "instance", "step", "result", "held", "arm", "log_offset")


def one_writer(history: History, _: Chains) -> Iterator[str]:
    """A commit is applied only for the shard's last claimant."""
    owner: dict[int, bytes] = {}
    for fact in history.facts:
        if isinstance(fact, Claimed):
            owner[fact.shard] = fact.token
        elif isinstance(fact, Rewound):
            owner[fact.shard] = fact.owner
        elif isinstance(fact, Committed) and fact.token != owner.get(fact.shard):
            yield f"shard {fact.shard}: a commit at {fact.before} of a worker that is not its owner"


def offsets(history: History, chains: Chains) -> Iterator[str]:
    """Positions go on without a gap, back only where the store declared it, up to the log's end."""
    at: dict[int, Position] = {}
    for fact in history.facts:
        if isinstance(fact, Rewound):
            at[fact.shard] = fact.position
        elif isinstance(fact, Committed):
            if fact.before != at.get(fact.shard, START):
                yield f"shard {fact.shard}: at {at.get(fact.shard)}, a commit from {fact.before}"
            if fact.after <= fact.before:
                yield f"shard {fact.shard}: a commit from {fact.before} to {fact.after}"
            at[fact.shard] = fact.after
    for shard, log in enumerate(history.logs):
        if at.get(shard, START) != (len(log), 0):
            yield f"shard {shard}: ended at {at.get(shard)}, its log at {len(log)}"
        ranges = [(entry["from"], entry["to"]) for entry in chains.entries[shard]]
        for (_, end), (start, _) in pairwise(ranges):
            if end != start:
                yield f"shard {shard}: an outbox entry ends at {end}, the next begins at {start}"


def one_decision(_: History, chains: Chains) -> Iterator[str]:
    """At most one acting decision a trigger instance, step and customer."""
    times = Counter(row["decision_id"] for row in chains.acting())
    yield from (f"{one} was decided {n} times" for one, n in times.items() if n > 1)
    whose = Counter(
        (row["rule"], row["run"], row["instance"], row["step"], row["cid"])
        for row in chains.acting()
    )
    begun = erasures_of(chains)  # who was erased and returned is another
    for one, n in whose.items():
        if n > 1 + begun.get(one[-1], 0):
            yield f"{one} acted {n} times"


def one_content(_: History, chains: Chains) -> Iterator[str]:
    """A decision's id has one content, in whatever commit, undone ones included."""
    content: dict[str, dict[str, Any]] = {}
    for entry in chains.ever:
        for row in entry.get("decisions", ()):
            if content.setdefault(row["decision_id"], row) != row:
                yield f"decision {row['decision_id']} has two contents"


def due_order(history: History, chains: Chains) -> Iterator[str]:
    """Of one customer, at one tick, what is due earlier is decided earlier.

    Rounds (rules named reach-) come when they come; what they bring is due earlier than that.
    """
    for shard, entries in enumerate(chains.entries):
        last: dict[tuple[str, int], int] = {}
        ticks = {record.offset for record in history.logs[shard] if record.key == b"!tick"}
        for row in (row for entry in entries for row in entry.get("decisions", ())):
            if row["log_offset"] not in ticks or row["rule"].startswith("reach-"):
                continue
            place = (row["cid"], row["log_offset"])
            if row["at"] < last.get(place, 0):
                yield f"{row['rule']} of {row['cid']}, due {row['at']}, came after a later one"
            last[place] = max(row["at"], last.get(place, 0))


def durable_first(history: History, _: Chains) -> Iterator[str]:
    """Nothing is seen outside before the commit that holds it was applied."""
    known: set[str | None] = {None}  # rows of no decision
    for fact in history.facts:
        if isinstance(fact, Committed):
            known |= _ids_in(fact.body)
        elif isinstance(fact, Called) and fact.key.partition(":")[0] not in known:
            yield f"message {fact.key} left before it was committed"
        elif isinstance(fact, Inserted) and (one := fact.row.get("decision_id")) not in known:
            yield f"decision {one} was inserted before it was committed"


def _ids_in(body: bytes) -> set[str]:
    mark = b'"decision_id":"'
    return {part[: part.index(b'"')].decode() for part in body.split(mark)[1:]}


def raw_inserts(history: History, chains: Chains) -> Iterator[str]:
    """The raw rows hold one content an id, and are those of the outboxes, no more, no less."""
    tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in IDS}
    for fact in history.facts:
        if isinstance(fact, Inserted) and fact.table in IDS:
            name = tuple(fact.row[column] for column in IDS[fact.table])
            if tables[fact.table].setdefault(name, fact.row) != fact.row:
                yield f"{fact.table} {name} has two contents"
    decided = {row["decision_id"]: row for row in chains.rows("decisions")}
    inserted = {str(name[0]): row for name, row in tables["decisions"].items()}
    for one in sorted(decided.keys() ^ inserted.keys()):
        yield f"decision {one} is {'only in the outbox' if one in decided else 'nowhere but there'}"
    for one in decided.keys() & inserted.keys():
        if any(decided[one][name] != inserted[one][name] for name in SAME):
            yield f"decision {one} was inserted as another"
    aside = {row["id"] for row in chains.rows("quarantine")}
    if aside != {name[0] for name in tables["quarantine"]}:
        yield "the rows of quarantine are not those of the outboxes"


def receivers(history: History, _: Chains) -> Iterator[str]:
    """A receiver applies an id once, and is called again no more than kills had in flight."""
    calls = [fact for fact in history.facts if isinstance(fact, Called)]
    applied = Counter(fact.key for fact in calls if fact.first)
    yield from (f"{key} was applied {n} times" for key, n in applied.items() if n > 1)
    again = len(calls) - len(applied)
    if again > history.redeliveries_max:
        yield f"{again} calls were repeats, {history.redeliveries_max} were in flight at kills"
    codes: dict[str, tuple[str, ...]] = {}
    for fact in calls:
        if codes.setdefault(fact.key, fact.coupons) != fact.coupons:
            yield f"{fact.key} was sent again with other coupons"


def letters(history: History, chains: Chains) -> Iterator[str]:
    """Each shard's letters reach their target's log, and there in order the first time."""
    sent: dict[tuple[int, int], list[str]] = {}
    for letter in chains.rows("letters"):
        sent.setdefault((letter["from"], letter["to"]), []).append(letter["id"])
    came: dict[tuple[int, int], list[str]] = {}
    for shard, log in enumerate(history.logs):
        for record in log:
            if record.key == b"!letter":
                letter = json.loads(record.value)
                known = came.setdefault((letter["from"], shard), [])
                if letter["id"] not in known:
                    known.append(letter["id"])
    for way in sorted({*sent, *came}):
        if sent.get(way, []) != came.get(way, []):
            told = f"sent {sent.get(way)}, came {came.get(way)}"
            yield f"from shard {way[0]} to {way[1]}: {told[:400]}"


def stops(history: History, _: Chains) -> Iterator[str]:
    """No worker stops by itself unless the world gave it a reason to."""
    for fact in history.facts:
        if isinstance(fact, Stopped) and not fact.declared:
            yield fact.why


def must_fire(history: History, chains: Chains) -> Iterator[str]:
    """What the model says of plain customers is what was decided for them."""
    must = expected(history)
    did: Counter[tuple[Any, ...]] = Counter(
        (row["rule"], row["cid"], row["instance"], row["held"] or "act", row["at"])
        for row in chains.rows("decisions")
        if row["rule"].startswith("check-")
        and row["cid"] in history.plain
        and row["held"] != "once_per"
    )
    wanted: Counter[tuple[Any, ...]] = Counter(tuple(one) for one in must)
    for one in sorted(wanted - did, key=repr):
        yield f"{one} did not fire"
    for one in sorted(did - wanted, key=repr):
        yield f"{one} fired, and must not"


CHECKS: dict[str, Callable[[History, Chains], Iterator[str]]] = {
    "one writer": one_writer,
    "offsets": offsets,
    "stops": stops,
    "one decision": one_decision,
    "one content": one_content,
    "due order": due_order,
    "durable first": durable_first,
    "raw inserts": raw_inserts,
    "receivers": receivers,
    "letters": letters,
    "must fire": must_fire,
    "erasures": erasures,
    "budgets": budgets,
    "caps": caps,
    "codes": codes,
    "digests": digests,
    "draws": draws,
    "scores": scores,
}
