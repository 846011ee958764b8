"""Erasing in ClickHouse: every row about a person, until no file holds its bytes.

Must live here: which rows those are, the mutations, when old parts are gone; the tombstones' table.
Must not: when it is time (erase.py). A mutation's text is kept by ClickHouse, so it names nobody:
ids are compared as hashes under a salt of their own. A row stamped after the erasure is of a new
life and stays.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson
from clickhouse_connect.driver.client import Client
from redis import Redis

from engine.complaints import MERCHANT, SPIKED, mark
from engine.erasure import MARK, stone
from engine.stores.redis import keys
from sinks.clickhouse import insert

WHOSE: Final = ("cid", "alias")  # the columns that hold a customer's id
WHEN: Final = ("at", "linked_at", "updated_at")
SILENT: Final = {"log_queries": 0}
IDS_A_QUESTION: Final = 200


class Whom(NamedTuple):
    """A person as he is erased: all his ids, and until when (ms)."""

    ids: Sequence[str]
    erased_at: int


def erase_rows(client: Client, people: Sequence[Whom], secret: bytes) -> dict[str, int]:
    """Delete their rows from every table; how many, by table. Returns once it is done.

    `secret` is the shop's: what a merchant was told of their complaints is found by it.
    """
    found: dict[str, int] = {}
    for table, columns in personal_tables(client).items():
        where = _where(columns, people)
        found[table] = _count(client, table, where)
        if found[table]:
            _delete(client, table, where)
    for table, many in _erase_examples(client, people, secret).items():
        found[table] += many
    found["quarantine"] = _erase_quarantine(client, people)
    return found


def last_mutations(client: Client, tables: Iterable[str]) -> dict[str, int]:
    """The number of each table's last mutation: parts below it may hold what it deleted."""
    rows = client.query(
        "SELECT table, max(arrayMax(block_numbers.number)) FROM system.mutations"
        " WHERE database = currentDatabase() GROUP BY table"
    ).result_rows
    wanted = set(tables)
    return {table: number for table, number in rows if table in wanted}


def parts_left(client: Client, mutations: Mapping[str, int]) -> int:
    """How many parts from before these mutations are still on the disk."""
    left = 0
    for table, number in mutations.items():
        told = {"table": table, "number": number}
        left += client.query(
            "SELECT count() FROM system.parts WHERE database = currentDatabase()"
            " AND table = {table:String} AND data_version < {number:Int64}",
            parameters=told,
        ).result_rows[0][0]
    return left


def let_go(client: Client, tables: Iterable[str]) -> None:
    """Have old parts go that may go: of itself ClickHouse may look for them minutes later.

    It does so at the end of any dropping of a partition, of one that is not there too.
    """
    for table in tables:
        client.command(f"ALTER TABLE {table} DROP PARTITION ID 'none'")


def remember(client: Client, rows: Sequence[dict[str, Any]]) -> None:
    """Write tombstones: name, shard, erased_at (ms), number, erasure_id."""
    insert(client, "erasures", rows)


def restore_tombstones(store: Redis, client: Client) -> int:
    """Put into Redis the tombstones that it lacks; before a worker starts. How many there are."""
    rows = client.query(
        "SELECT name, shard, toUnixTimestamp64Milli(erased_at), number FROM erasures FINAL"
    ).result_rows
    pipe = store.pipeline(transaction=False)
    for name, shard, erased_at, number in rows:
        prefix = keys(shard)["customer"]
        pipe.setnx(prefix + name, stone(erased_at, number))
        pipe.setnx(prefix + MARK, b"1")
    pipe.execute()
    return len(rows)


def personal_tables(client: Client) -> dict[str, list[str]]:
    """Every table of ours with a column for a customer's id, and its columns."""
    rows = client.query(
        "SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase()"
        " AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase()"
        " AND engine LIKE '%MergeTree') GROUP BY table ORDER BY table"
    ).result_rows
    return {table: columns for table, columns in rows if "cid" in columns}


def _where(columns: Sequence[str], people: Sequence[Whom]) -> str:
    salt = secrets.token_hex(8)
    when = next((name for name in WHEN if name in columns), "")
    terms = []
    for one in people:
        hashes = [sha256((salt + cid).encode()).hexdigest().upper() for cid in one.ids]
        listed = ", ".join(f"'{name}'" for name in hashes)
        until = f" AND {when} <= fromUnixTimestamp64Milli({one.erased_at})" if when else ""
        terms += [
            f"(hex(SHA256(concat('{salt}', {column}))) IN ({listed}){until})"
            for column in WHOSE
            if column in columns
        ]
    return " OR ".join(terms)


def _count(client: Client, table: str, where: str) -> int:
    found = client.query(f"SELECT count() FROM {table} WHERE {where}")  # noqa: S608 - ours alone
    return int(found.result_rows[0][0])


def _delete(client: Client, table: str, where: str) -> None:
    client.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")


def _erase_examples(client: Client, people: Sequence[Whom], secret: bytes) -> dict[str, int]:
    """Alarms at merchants that quote their words, and the decisions on them: rows of nobody's."""
    marks = [mark(secret, cid) for one in people for cid in one.ids]
    found: set[str] = set()
    for start in range(0, len(marks), IDS_A_QUESTION):
        rows = client.query(
            "SELECT message_id FROM events WHERE event = {event:String}"
            " AND multiSearchAny(properties, {marks:Array(String)})",
            parameters={"event": SPIKED, "marks": marks[start : start + IDS_A_QUESTION]},
            settings=SILENT,
        ).result_rows
        found |= {name for (name,) in rows}
    erased = dict.fromkeys(("events", "decisions"), 0)
    for start in range(0, len(found), IDS_A_QUESTION):
        names = sorted(found)[start : start + IDS_A_QUESTION]
        listed = ", ".join(f"'{_plain(name)}'" for name in names)
        for table, where in (
            ("events", f"event = '{SPIKED}' AND message_id IN ({listed})"),
            ("decisions", f"startsWith(cid, '{MERCHANT}') AND instance IN ({listed})"),
        ):
            erased[table] += _count(client, table, where)
            _delete(client, table, where)
    return erased


def _erase_quarantine(client: Client, people: Sequence[Whom]) -> int:
    """What was rejected has no customer's column: his ids are looked for in its text."""
    marks = [mark for one in people for cid in one.ids for mark in text_marks(cid)]
    found: set[str] = set()
    for start in range(0, len(marks), IDS_A_QUESTION):
        rows = client.query(
            "SELECT quarantine_id FROM quarantine"
            " WHERE multiSearchAny(body, {marks:Array(String)})",
            parameters={"marks": marks[start : start + IDS_A_QUESTION]},
            settings=SILENT,
        ).result_rows
        found |= {name.decode() if isinstance(name, bytes) else str(name) for (name,) in rows}
    names = sorted(found)
    for start in range(0, len(names), IDS_A_QUESTION):
        listed = ", ".join(f"'{_plain(name)}'" for name in names[start : start + IDS_A_QUESTION])
        _delete(client, "quarantine", f"quarantine_id IN ({listed})")
    return len(names)


def _plain(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")


def text_marks(cid: str) -> list[str]:
    """How an id stands in the JSON of a call, a record or a row.

    >>> text_marks("u:al")
    ['"u:al"', '"u:al:', '"userId":"al"', '"anonymousId":"al"', '"previousId":"al"']
    """
    whole = orjson.dumps(cid).decode()
    name = orjson.dumps(cid.partition(":")[2]).decode()
    fields = ("userId", "anonymousId", "previousId")
    return [whole, whole[:-1] + ":", *(f'"{field}":{name}' for field in fields)]
