"""The sinks that end in ClickHouse's tables: batches in, rows written, repeats absorbed there.

Must live here: one client, inserts in a thread, which errors mean "later" and which "never".
Must not: what the rows are (rows.py), SQL. After an insert of unknown fate the same rows are
inserted again. A row that its table cannot hold goes to `quarantine`, so that it holds up nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from engine.measures import MEASURES
from sinks import clickhouse
from sinks.latency import Latency
from sinks.outbox import OUTBOX, OUTCOMES, Entry
from sinks.receipts import RECEIPTS
from sinks.relay_loop import Away
from sinks.rows import Row, Rows, committed, refused_row, rows_of, rule_rows

BATCH_BYTES = 4_000_000
LINGER_SECONDS = 0.2


class Tables:
    """ClickHouse as a place to put rows; the client is made when first needed."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None

    async def put(self, rows: Mapping[str, Sequence[Row]]) -> int:
        """Insert all; how many rows were written. Raises Away."""
        return await asyncio.to_thread(self._put, rows)

    def _put(self, rows: Mapping[str, Sequence[Row]]) -> int:
        try:
            if self._client is None:
                self._client = self._connect()
                self._client.set_client_setting("max_partitions_per_insert_block", 0)
            for table in rows:
                _require(self._client, table)
            return sum(_insert(self._client, table, found) for table, found in rows.items())
        except (ClickHouseError, OSError) as away:
            self._client = None
            raise Away(f"ClickHouse: {away}") from away


def _require(client: Client, table: str) -> None:
    """A table that is not there yet is no fault of a row: the migrations are to come."""
    try:
        clickhouse.columns(client, table)
    except clickhouse.BadRowsError as lacking:
        raise Away(str(lacking)) from lacking


def _insert(client: Client, table: str, rows: Sequence[Row]) -> int:
    """Insert, narrowing down to a row that the table cannot hold and setting it aside."""
    try:
        return clickhouse.insert(client, table, rows)
    except clickhouse.BadRowsError as refusal:
        if len(rows) > 1:
            half = len(rows) // 2
            return _insert(client, table, rows[:half]) + _insert(client, table, rows[half:])
        if table == "quarantine":
            raise
        aside = refused_row(table, rows[0], str(refusal), _time_of(rows[0]))
        return clickhouse.insert(client, "quarantine", [aside])


def _time_of(row: Row) -> int:
    at = row.get("at", row.get("linked_at", 0))
    return at if isinstance(at, int) else 0


class Decisions:
    """The sink from the outboxes: decisions, coupons, order facts, identities, quarantine."""

    name = "clickhouse"
    stream = OUTBOX
    linger_seconds = LINGER_SECONDS
    batch = BATCH_BYTES

    def __init__(self, tables: Tables, latency: Latency) -> None:
        self.tables = tables
        self.latency = latency

    def weigh(self, entry: Entry) -> int:
        """Count bytes."""
        return len(entry.body)

    async def take(self, entries: Sequence[Entry]) -> int:
        """Insert the rows of these entries, a batch a table over all shards."""
        batch: Rows = {}
        read = [(entry.shard, committed(entry)) for entry in entries]
        for shard, entry in read:
            for table, rows in rows_of(shard, entry).items():
                batch.setdefault(table, []).extend(rows)
        written = await self.tables.put(batch)
        now = int(time.time() * 1000)
        for _, entry in read:
            self.latency.note(entry.decisions, entry.committed_at, now)
            MEASURES.observe("commit_to_row_seconds", (now - entry.committed_at) / 1000)
        return written


class Outcomes:
    """The sink from the relay's own stream: entries are {table: [rows]}, ready to insert."""

    name = "outcomes"
    stream = OUTCOMES
    linger_seconds = LINGER_SECONDS
    batch = BATCH_BYTES

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def weigh(self, entry: Entry) -> int:
        """Count bytes."""
        return len(entry.body)

    async def take(self, entries: Sequence[Entry]) -> int:
        """Insert the rows as they are."""
        batch: Rows = {}
        for entry in entries:
            for table, rows in orjson.loads(entry.body).items():
                if table != RECEIPTS:  # the log's, not a table's
                    batch.setdefault(table, []).extend(rows)
        return await self.tables.put(batch)


def publish_rules(client: Client, book: Any, at: int, by: str) -> int:
    """Write the rules of `book` (a rules.load Book) as published at `at` (ms) by `by`."""
    rows = rule_rows(book.sources, book.hash, at, by, book.rules.values())
    return clickhouse.insert(client, "rules", rows)
