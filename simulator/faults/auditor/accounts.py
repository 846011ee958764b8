"""Every event that came in is accounted for once: processed, a duplicate, or quarantined.

Must live here: counting. Must not: what an event caused. Records whose key begins with ! are
control, all others are events; those with the same key, source and messageId are one message. An
event of a customer who moved is forwarded by a letter, and its fate is told where that arrives.
What is dropped because its customer was erased is neither processed nor a repeat.
"""

import json
from collections import Counter
from collections.abc import Iterator

from simulator.faults.auditor.chain import Chains
from simulator.faults.auditor.erased import ASKED, Erased
from simulator.faults.history import History, Logged

LETTER, REJECTED = b"!letter", b"!rejected"


def accounts(history: History, chains: Chains) -> tuple[int, int, list[str]]:
    """How many messages were lost, how many applied twice, and in words what does not add up."""
    counted: Counter[str] = Counter()
    for entries in chains.entries:
        for entry in entries:
            counted.update(entry.get("counts", {}))
    records = [record for log in history.logs for record in log]
    good = [one for one in records if _is_event(one) and one.value not in history.bad]
    erased = Erased.of(history)
    least, most = _messages(history, erased)
    bad = [one for one in records if one.value in history.bad]
    broken = sum(_is_event(record) or record.key == REJECTED for record in bad)
    processed, gone = counted["processed"], counted["erased"]
    wanted = [
        ("events", len(good) + broken, counted["events"]),
        ("messages processed", min(max(least, processed), most), processed),
        ("repeats dropped", len(good) - processed - gone, counted["duplicate"]),
        ("records put aside", broken, counted["quarantined"]),
    ]
    if not erased.others:
        wanted.append(("records erased", len(erased.must), gone))
    told = [
        f"accounts: {what}: {must}, but {did} told" for what, must, did in wanted if must != did
    ]
    told += _fates(history, chains)
    there = {(record.key, record.value) for record in records}
    missing = history.acknowledged - there
    told += [f"accounts: {value[:80]!r} was acknowledged and is gone" for _, value in missing]
    return max(0, least - processed) + len(missing), max(0, processed - most), told


def _messages(history: History, erased: Erased) -> tuple[int, int]:
    """How many messages must be processed, and how many may be.

    An id of those who merge that was erased forgot what it heard: a message stamped later, which it
    sent on before, is a new one to it when it is told again.
    """
    must, may, again = set[str](), set[str](), 0
    for shard, log in enumerate(history.logs):
        for record in log:
            if not _is_event(record) or record.value in history.bad:
                continue
            goes = erased.must_go(history, shard, record)
            if goes is False:
                must.add(_message(record))
            elif goes is None and (event := json.loads(record.value))["event"] != ASKED:
                again += _message(record) in may and event["timestamp"] > erased.since
                may.add(_message(record))
    return len(must), len(must | may) + again


def _fates(history: History, chains: Chains) -> Iterator[str]:
    """What is wrong with single records: put aside or dropped that must not be, or not."""
    forwarded = aside = 0
    erased = Erased.of(history)
    for shard, log in enumerate(history.logs):
        skipped = [one for entry in chains.entries[shard] for one in entry.get("skipped", ())]
        fates: dict[int, str] = dict(skipped)
        if len(fates) != len(skipped):
            yield f"accounts: shard {shard}: a record has two fates"
        yield from (f"accounts: shard {shard}, {text}" for text in _misjudged(history, log, fates))
        for record in log:
            goes = erased.must_go(history, shard, record) if _is_event(record) else None
            if goes is not None and goes != (fates.get(record.offset) == "erased"):
                yield f"accounts: shard {shard}, offset {record.offset}: to be erased is {goes}"
        left = [one for one in log if fates.get(one.offset) != "quarantined"]
        forwarded += sum(one.value in history.bad and one.key != REJECTED for one in left)
        aside += sum(one.key == LETTER for one in log) - sum(one.key == LETTER for one in left)
    if forwarded != aside:
        yield f"accounts: {forwarded} broken records were forwarded, {aside} letters put aside"
    ids = {row["id"] for row in chains.rows("quarantine")}
    rejected = (record for log in history.logs for record in log if record.key == REJECTED)
    for name in {json.loads(record.value)["id"] for record in rejected} - ids:
        yield f"accounts: rejected {name} is not in quarantine"


def _misjudged(history: History, log: list[Logged], fates: dict[int, str]) -> Iterator[str]:
    first: set[str] = set()
    for record in log:
        fate = fates.get(record.offset, "")
        if record.value in history.bad:
            if fate != "quarantined" and record.key.decode() in history.plain:
                yield f"offset {record.offset} is broken and was not put aside"
        elif _is_event(record):
            if fate == "quarantined":
                yield f"offset {record.offset} is good and was put aside"
            if fate == "duplicate" and _message(record) not in first:
                yield f"offset {record.offset} is no duplicate and was dropped as one"
            first.add(_message(record))


def _is_event(record: Logged) -> bool:
    return not record.key.startswith(b"!")


def _message(record: Logged) -> str:
    event = json.loads(record.value)
    return f"{record.key!r} {event['source']} {event['messageId']}"
