"""The archiver: events out of the log into ClickHouse, those alone that were applied.

Must live here: which records of the log become rows of `events`, and the rows. Must not: how rows
are inserted. It follows the outboxes: an entry says which offsets a commit read and which of them
were dropped as duplicates or put aside. An event that was forwarded to another customer is a row
of the customer it came in for; the views resolve who that is now. What rules emit is a row too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import orjson

from engine.log import Log, LogAway
from engine.records import LETTER, Record, is_event
from features.events import BadEvent, Event, decode
from sinks.outbox import OUTBOX, Entry
from sinks.relay_loop import Away
from sinks.relay_tables import Tables
from sinks.rows import Row, instant, money

ROWS_MAX = 10_000
READ_MAX = 2_000
EMPTY_READS_MAX = 3
VERSION_MAX = 2**64 - 1  # less the offset: the first content of an event wins, as in the engine
INT32_MAX = 2**31 - 1
EMITTED = b'"emitted"'


class Span(msgspec.Struct, rename={"since": "from"}):
    """The offsets that one commit read: `since` to `to` (exclusive), and those left out."""

    since: int
    to: int
    skipped: list[tuple[int, str]] = []

    def left_out(self) -> set[int]:
        """The offsets that are no rows; a forwarded event is one, where it came in."""
        return {offset for offset, reason in self.skipped if reason != "forwarded"}


_span = msgspec.json.Decoder(Span)


class Archive:
    """The sink from the log."""

    name = "archive"
    stream = OUTBOX
    linger_seconds = 0.25
    batch = 20_000

    def __init__(self, log: Log, tables: Tables) -> None:
        self.log = log
        self.tables = tables
        self.missing = 0  # offsets that the log no longer had: told, and never expected

    def weigh(self, entry: Entry) -> int:
        """Count records."""
        span = _span.decode(entry.body)
        return span.to - span.since

    async def take(self, entries: Sequence[Entry]) -> int:
        """Insert the events of these entries."""
        spans: dict[int, list[Span]] = {}
        for entry in entries:
            spans.setdefault(entry.shard, []).append(_span.decode(entry.body))
        rows: list[Row] = []
        written = 0
        for shard, found in spans.items():
            for start, to, left_out in runs(found):
                async for record in self._records(shard, start, to):
                    if record.offset in left_out:
                        continue
                    if is_event(record.key):
                        rows += _row(shard, record)
                    elif record.key == LETTER and EMITTED in record.value:
                        rows += _emitted(shard, record)
                if len(rows) >= ROWS_MAX:
                    written += await self.tables.put({"events": rows})
                    rows = []
        if rows:
            written += await self.tables.put({"events": rows})
        return written

    async def _records(self, shard: int, start: int, to: int) -> AsyncIterator[Record]:
        """The records of [start, to), in order."""
        empty = 0
        while start < to:
            try:
                records = await self.log.read(shard, start, min(READ_MAX, to - start))
            except LogAway as away:
                raise Away(f"the log: {away}") from away
            if not records:
                empty += 1
                if empty == EMPTY_READS_MAX:
                    self.missing += to - start
                    return
                await asyncio.sleep(0.1 * empty)
                continue
            empty = 0
            self.missing += max(0, min(records[0].offset, to) - start)
            for record in records:
                if record.offset < to:
                    yield record
            start = records[-1].offset + 1


def runs(spans: Sequence[Span]) -> Iterator[tuple[int, int, set[int]]]:
    """Spans that follow each other as one, up to READ_MAX records: (start, to, left out).

    >>> list(runs([Span(0, 2), Span(2, 5, [(3, "duplicate")]), Span(5, 5), Span(9, 10)]))
    [(0, 5, {3}), (9, 10, set())]
    """
    start, to, left_out = 0, 0, set[int]()
    for span in spans:
        if span.since != to or span.to - start > READ_MAX:
            if to > start:
                yield start, to, left_out
            start, left_out = span.since, set()
        to = span.to
        left_out |= span.left_out()
    if to > start:
        yield start, to, left_out


def _row(shard: int, record: Record) -> list[Row]:
    try:
        return [event_row(shard, record, decode(record.value))]
    except BadEvent:  # the worker put it in quarantine; its entry names it, unless it is an old one
        return []


def _emitted(shard: int, record: Record) -> list[Row]:
    """An event of our own came by a letter; one that goes on to another id is a row already."""
    letter = orjson.loads(record.value)
    body = letter["body"]
    if letter["kind"] != "event" or not body.get("emitted") or body["path"]:
        return []
    key, value = letter["cid"].encode(), body["value"].encode()
    return _row(shard, Record(record.offset, record.log_time, key, value))


def event_row(shard: int, record: Record, event: Event) -> Row:
    """An event as the analysts see it: what they ask for most in columns, all of it as JSON."""
    given = event.properties
    return {
        "event": event.name,
        "cid": record.key.decode(),
        "at": instant(event.at),
        "message_id": event.message_id,
        "source": event.source,
        "received_at": instant(event.received_at),
        "session_id": event.session_id,
        "channel": event.channel,
        "product_id": _word(given.get("product_id")),
        "category": _word(given.get("category")),
        "brand": _word(given.get("brand")),
        "live_id": _word(given.get("live_id")),
        "order_id": _word(given.get("order_id")),
        "price": money(given.get("price")),
        "quantity": _count(given.get("quantity")),
        "type": event.type,
        "user_id": event.user_id,
        "anonymous_id": event.anonymous_id,
        "previous_id": event.previous_id,
        "traits": _json(event.traits),
        "context": bytes(event.context).decode(),
        "log_time": instant(record.log_time),
        "properties": _json(given),
        "shard": shard,
        "log_offset": record.offset,
        "version": VERSION_MAX - record.offset,
    }


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""


def _count(value: Any) -> int:
    return int(max(-INT32_MAX, min(INT32_MAX, money(value))))


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode() if value else ""
