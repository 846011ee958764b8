"""Where a backtest's events come from: a file of record, or the events table of an engine.

Must live here: history as records of a log, in order of time. Must not: what becomes of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec
import orjson
from clickhouse_connect.driver.client import Client

from engine.records import Append
from engine.shards import partition
from features import context as origin
from features.events import Event, encode, key
from rules.errors import BadText
from rules.values import moment
from simulator.mapping import MappingError
from simulator.replay import File

MINUTE: Final = 60_000
_ORDER: Final = "ORDER BY log_time, shard, log_offset"
_COLUMNS: Final = """type, event, message_id, toUnixTimestamp64Milli(at),
  toUnixTimestamp64Milli(received_at), source, user_id, anonymous_id, previous_id, session_id,
  channel, properties, traits, context, toUnixTimestamp64Milli(log_time)"""
_SORT_BYTES: Final = 500_000_000  # of memory; a longer history is sorted on disk


class Past(NamedTuple):
    """An event as its record, and how far into the history it stands."""

    append: Append
    number: int


class History(Protocol):
    """Events that were."""

    name: str
    total: int
    step_ms: int

    def records(self, shards: int) -> Iterator[Past]:
        """All of them in order of log time."""

    def moment(self, text: str) -> int:
        """A moment as it is written on the command line, in ms."""


class FileHistory:
    """A CSV or Parquet file, by the mapping that `laike replay` would read it with."""

    def __init__(self, path: Path, mapping: str | None = None) -> None:
        self._file = File(path, mapping)
        self.name = path.name
        self.total = self._file.survey.rows
        self.step_ms = self._file.mapping.step_ms

    def records(self, shards: int) -> Iterator[Past]:
        """See `History.records`."""
        for event in self._file.happened():
            yield Past(self._file.record(event, shards), event.row)

    def moment(self, text: str) -> int:
        """See `History.moment`; in the file's zone."""
        return self._file.moment(text)


class TableHistory:
    """The table `events`: what an engine has applied, in the order in which it did."""

    step_ms = MINUTE

    def __init__(self, client: Client, name: str, zone: ZoneInfo, until: int | None = None) -> None:
        self._client = client
        self._zone = zone
        self._where = "" if until is None else f"WHERE log_time < fromUnixTimestamp64Milli({until})"
        self.name = name
        self.total = int(str(client.command(f"SELECT count() FROM events FINAL {self._where}")))  # noqa: S608 - a number

    def records(self, shards: int) -> Iterator[Past]:
        """See `History.records`."""
        sql = f"SELECT {_COLUMNS} FROM events FINAL {self._where} {_ORDER}"  # noqa: S608 - as above
        settings = {"max_bytes_before_external_sort": _SORT_BYTES}
        with self._client.query_row_block_stream(sql, settings=settings) as blocks:
            number = 0
            for block in blocks:
                for row in block:
                    number += 1
                    yield Past(_record(row, shards), number)

    def moment(self, text: str) -> int:
        """See `History.moment`; in the shop's zone."""
        return moment_of(text, self._zone)


def moment_of(text: str, zone: ZoneInfo) -> int:
    """A moment such as 2026-11-11 or 2026-11-11T20:00, in ms."""
    try:
        return moment(text, zone)
    except BadText as bad:
        raise MappingError(bad.message) from None


def _record(row: Any, shards: int) -> Append:
    """A row of the table as the record that it was."""
    kind, name, message, at, received, source, user, anonymous, previous = row[:9]
    session, channel, properties, traits, context, log_time = row[9:]
    event = Event(
        type=kind, name=name, message_id=message, at=at, received_at=received, source=source,
        user_id=user, anonymous_id=anonymous, previous_id=previous, session_id=session,
        channel=channel,
        properties=orjson.loads(properties) if properties else {},
        traits=orjson.loads(traits) if traits else {},
    )  # fmt: skip
    if context:
        event.context = msgspec.Raw(context.encode())
        event.device = origin.device(orjson.loads(context))
    of = key(event)
    return Append(partition(of, shards), of, encode(event), log_time)
