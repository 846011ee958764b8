"""The way to ClickHouse, a server's or the embedded one: a client, the tables, fast inserts.

Only clickhouse-connect over HTTP is used, so nothing here knows which of the two it talks to.
Inserts are synchronous and column-oriented, of batches made by the caller; after an insert of
unknown fate the caller inserts again, and the rows' deterministic ids absorb the repeat.
Errors: BadRowsError (a row does not fit its table; we are wrong), ClickHouseAway (nobody answers
at its address), and clickhouse-connect's own.
"""

import difflib
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from urllib3.exceptions import HTTPError

from sinks.migrations import MigrationError, migrate, migrations

__all__ = [
    "BadRowsError",
    "ClickHouseAway",
    "MigrationError",
    "connect",
    "insert",
    "migrate",
    "migrations",
]

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it logs what it raises


class ClickHouseAway(OperationalError):  # noqa: N818 - a state of the world, not a fault of ours
    """Nobody answers at ClickHouse's address; it may be starting again."""


class BadRowsError(ValueError):
    """A row that its table cannot hold: the message names the table, the column and the reason."""


class Column(NamedTuple):
    """A column as the insert side sees it."""

    name: str
    arrow: pa.DataType
    default: Any  # for a missing or null value; REQUIRED where there is none
    convert: Callable[[Any], Any] | None


REQUIRED = object()


def connect(url: str, *, timeout_seconds: int = 60) -> Client:
    """Open a client on http[s]://[user[:password]@]host[:port][/database]; threads may share it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not a ClickHouse address: expected http://[user:password@]host:port")
    port = parts.port or (8443 if parts.scheme == "https" else 8123)
    try:
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=port,
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "default",
            compress=False if parts.hostname in LOCAL else "lz4",
            connect_timeout=5,
            send_receive_timeout=timeout_seconds,
            autogenerate_session_id=False,
        )
    except OperationalError as error:
        if not isinstance(error.__cause__, HTTPError):  # it answered
            raise
        raise ClickHouseAway(
            f"ClickHouse does not answer at {parts.hostname}:{port}: if it is starting again,"
            " ask in a moment; `laike doctor` looks whether an engine runs"
        ) from error


_tables: weakref.WeakKeyDictionary[Client, dict[str, tuple[Column, ...]]] = (
    weakref.WeakKeyDictionary()
)


def columns(client: Client, table: str) -> tuple[Column, ...]:
    """Ask the server once for a table's columns, and remember them with the client."""
    known = _tables.setdefault(client, {})
    if table not in known:
        described = client.query(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase()"
            " AND table = {table:String} ORDER BY position",
            parameters={"table": table},
        ).result_rows
        if not described:
            raise BadRowsError(f"there is no table {table}: are the migrations applied?")
        known[table] = tuple(_column(name, kind) for name, kind in described)
    return known[table]


def insert(client: Client, table: str, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows and return their number, once ClickHouse has written them.

    A time is int milliseconds, money a number of major units, a map a dict, a JSON column text.
    A missing or null value becomes the column's empty value; a missing time raises BadRowsError.
    """
    if not rows:
        return 0
    fields = columns(client, table)
    names = {field.name for field in fields}
    for row in rows:
        if not row.keys() <= names:
            raise BadRowsError(_stranger(table, min(row.keys() - names), names))
    arrays = [_array(table, field, rows) for field in fields]
    block = pa.Table.from_arrays(arrays, names=[field.name for field in fields])
    client.insert_arrow(table, block)
    return len(rows)


def _stranger(table: str, name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"{table} has no column {name!r}" + (f": did you mean {near[0]!r}?" if near else "")


def _array(table: str, field: Column, rows: Sequence[dict[str, Any]]) -> pa.Array:
    name, default = field.name, field.default
    values = [row.get(name) for row in rows]
    if None in values and default is not None:
        if default is REQUIRED:
            at = values.index(None)
            raise BadRowsError(f"{table}.{name} is missing in row {at}: {rows[at]!r:.300}")
        values = [default if value is None else value for value in values]
    try:
        if field.convert is not None:
            values = [field.convert(value) for value in values]
        if pa.types.is_decimal(field.arrow):
            return pa.array(values, pa.float64()).cast(field.arrow)
        return pa.array(values, field.arrow)
    except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BadRowsError(f"{table}.{name}: {error}") from error


NUMBERS = {
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Int8": pa.int8(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
}


def _column(name: str, kind: str) -> Column:
    """Map a ClickHouse type, of those our tables use, to what is sent for it."""
    optional = kind.startswith("Nullable(")
    bare = kind.removeprefix("LowCardinality(").removeprefix("Nullable(").rstrip(")")
    if bare.startswith(("Map(", "Array(")):
        return _collection(name, bare)
    if bare.startswith("DateTime64(3"):
        return Column(name, pa.timestamp("ms", "UTC"), None if optional else REQUIRED, None)
    if bare.startswith("Decimal("):
        return Column(name, pa.decimal128(18, 2), 0.0, float)
    if bare.startswith("Enum8("):
        return Column(name, pa.string(), REQUIRED, None)
    if bare == "String" or bare.startswith("FixedString("):
        return Column(name, pa.string(), "", None)
    if bare in NUMBERS:
        return Column(name, NUMBERS[bare], None if optional else 0, None)
    raise BadRowsError(f"column {name} is a {kind}, which inserts do not know yet")


def _collection(name: str, kind: str) -> Column:
    """A list of text, or what names (which are text) stand for."""
    several = pa.list_(pa.string())
    if kind.startswith("Array("):
        return Column(name, several, [], None)
    inner = kind.rpartition(", ")[2]
    holds = several if inner.startswith("Array(") else NUMBERS.get(inner, pa.string())
    return Column(name, pa.map_(pa.string(), holds), {}, lambda pairs: [*pairs.items()])
