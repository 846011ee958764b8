"""The archiver: exactly the events that were applied become rows, whatever the log looks like."""

import orjson
import pytest

from engine.log import LogAway
from engine.records import LETTER, TICK, Append
from features.events import encode, parse
from sinks.archive import Archive
from sinks.outbox import Entry, EntryId
from sinks.relay_loop import Away
from tests.fakes import MemoryLog
from tests.integration.relay_parts import NOW


class Rows:
    """Where rows would go."""

    def __init__(self):
        self.rows = []

    async def put(self, rows):
        self.rows += rows["events"]
        return len(rows["events"])


def event(number: int) -> bytes:
    said = {"type": "track", "event": "Product Viewed", "userId": "1", "messageId": f"m{number}"}
    return encode(parse(said, source="web", received_at=NOW + number))


def entry(start: int, to: int, skipped=(), step: int = 0, shard: int = 0) -> Entry:
    body = {"from": start, "to": to, "log_time": NOW, "skipped": list(skipped)}
    return Entry(shard, EntryId(to, step), orjson.dumps(body))


async def filled(*keys: bytes) -> MemoryLog:
    log = MemoryLog(2)
    await log.append([Append(0, key, event(n)) for n, key in enumerate(keys)])
    return log


async def archived(log, *entries) -> list[int]:
    rows = Rows()
    assert await Archive(log, rows).take(entries) == len(rows.rows)
    return [row["log_offset"] for row in rows.rows]


async def test_what_was_skipped_is_no_row_and_what_was_forwarded_is():
    log = await filled(*[b"u:1"] * 6)
    skipped = [(1, "duplicate"), (2, "quarantined"), (3, "forwarded"), (4, "erased")]
    assert await archived(log, entry(0, 6, skipped)) == [0, 3, 5]


async def test_only_events_are_rows():
    log = await filled(b"u:1", TICK, LETTER, b"!rules", b"a:2", b"i:3", b"!rejected")
    assert await archived(log, entry(0, 7)) == [0, 4, 5]


async def test_what_a_rule_emitted_is_a_row_where_its_letter_first_arrived():
    def letter(**body) -> Append:
        value = {"kind": "event", "cid": "u:1", "body": {"value": event(7).decode(), **body}}
        return Append(0, LETTER, orjson.dumps(value))

    log = MemoryLog(2)
    forwarded, further = letter(path=["a:2"]), letter(path=["a:2"], emitted=1)
    await log.append([letter(path=[], emitted=1), forwarded, further])
    rows = Rows()
    await Archive(log, rows).take([entry(0, 3)])
    assert [(row["cid"], row["message_id"], row["log_offset"]) for row in rows.rows] == [
        ("u:1", "m7", 0)
    ]


async def test_no_row_beyond_what_was_committed():
    log = await filled(*[b"u:1"] * 10)
    assert await archived(log, entry(2, 4), entry(4, 7)) == [2, 3, 4, 5, 6]


async def test_a_tick_in_steps_is_read_once():
    log = await filled(b"u:1", TICK, b"u:2")
    entries = [entry(0, 1), entry(1, 1, step=1), entry(1, 1, step=2), entry(1, 2), entry(2, 3)]
    assert await archived(log, *entries) == [0, 2]


async def test_shards_do_not_mix():
    log = MemoryLog(2)
    await log.append([Append(n % 2, b"u:1", event(n)) for n in range(6)])
    rows = Rows()
    await Archive(log, rows).take(
        [entry(0, 2), entry(0, 1, shard=1), entry(2, 3), entry(1, 3, shard=1)]
    )
    assert [(row["shard"], row["log_offset"]) for row in rows.rows] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip


async def test_a_long_run_is_read_in_parts():
    log = await filled(*[b"u:1"] * 9000)
    entries = [entry(n, n + 1000) for n in range(0, 9000, 1000)]
    assert await archived(log, *entries) == list(range(9000))


async def test_a_log_that_lost_records_is_told_and_passed():
    log = await filled(*[b"u:1"] * 4)
    log.records[0] = log.records[0][2:]
    archive = Archive(log, Rows())
    assert await archive.take([entry(0, 4)]) == 2
    assert archive.missing == 2
    log.records[0] = []
    assert await archive.take([entry(0, 4)]) == 0
    assert archive.missing == 6


async def test_a_log_that_is_away_is_tried_again():
    class Gone(MemoryLog):
        async def read(self, *_):
            raise LogAway("gone")

    with pytest.raises(Away):
        await Archive(Gone(1), Rows()).take([entry(0, 1)])
