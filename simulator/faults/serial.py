"""The serial replay: the same logs once more, one record a batch, on a machine that never fails.

Must live here: the replay and what differs from it. Must not: faults, the auditor's model. It uses
the engine itself: that the engine agrees with itself under faults is one check, what it must do at
all is the auditor's.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from engine.effects import Settings
from engine.pipeline import Shard
from engine.records import Record
from engine.stores.memory import MemoryStore
from simulator.faults.store import at_once

Outbox = list[dict[str, Any]]


def replay(
    logs: list[list[Record]], settings: list[Settings], bodies: Mapping[str, bytes]
) -> MemoryStore:
    """The store as it is after all records, decided one by one."""
    store = MemoryStore()
    store.bodies.update({("rules", digest): body for digest, body in bodies.items()})
    for records, own in zip(logs, settings, strict=True):
        shard = Shard(own, store)
        at_once(shard.open())
        for record in records:
            at_once(shard.process([record]))
    return store


def differences(found: MemoryStore, outboxes: list[Outbox], serial: MemoryStore) -> Iterator[str]:
    """What differs between a run and its serial replay; `outboxes` are all entries of the run."""
    for shard, entries in enumerate(outboxes):
        mine, other = found.shard(shard), serial.shard(shard)
        if mine.customers.keys() != other.customers.keys():
            names = sorted(mine.customers.keys() ^ other.customers.keys())
            yield f"shard {shard}: only one of run and serial replay knows {names[:5]}"
        for cid in sorted(mine.customers.keys() & other.customers.keys()):
            one, two = mine.customers[cid], other.customers[cid]
            if one != two and _read(one) != _read(two):
                yield f"shard {shard}: {cid} is not as after a serial replay: {_differ(one, two)}"
        if mine.alarms != other.alarms:
            yield f"shard {shard}: timers are not as after a serial replay"
        if mine.index != other.index:
            yield f"shard {shard}: the index is not as after a serial replay"
        replayed = [orjson.loads(body) for _, body in other.outbox]
        for what in ("decisions", "letters", "quarantine", "examples", "erasures"):
            ours = [_plain(row) for entry in entries for row in entry.get(what, ())]
            theirs = [_plain(row) for entry in replayed for row in entry.get(what, ())]
            if ours != theirs:
                pair = next(((a, b) for a, b in zip(ours, theirs, strict=False) if a != b), None)
                yield (
                    f"shard {shard}: {len(ours)} {what}, {len(theirs)} in the serial replay; "
                    f"the first that differ: {pair}"
                )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row, its blob decoded: the order of the facets in it says nothing."""
    body = row.get("body")
    if isinstance(body, dict) and "blob" in body:
        return {**row, "body": {**body, "blob": _read(base64.b64decode(body["blob"]))}}
    return row


def _read(blob: bytes) -> Any:
    return msgspec.msgpack.decode(blob)


def _differ(one: bytes, two: bytes) -> str:
    mine, other = _read(one), _read(two)
    names = sorted(name for name in {*mine, *other} if mine.get(name) != other.get(name))
    return "; ".join(f"{name}: {mine.get(name)} and {other.get(name)}"[:400] for name in names)
