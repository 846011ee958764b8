"""`laike rules publish` and `versions`: which rules decide, put there by a person, or back again.

Must live here: these commands on the engine's own machine. Must not: how a book is published
(rules_in_force), who may over HTTP (proposals). Beside `laike up` its folder rules: a file saved
there, or its next start, publishes that folder again.
"""

import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from redis import Redis

from api import rules_in_force
from api.cli_store import listed, local_user, shown_time, store_of
from rules.book import Book
from rules.load import load_book
from sinks.clickhouse import connect

SHORTEST: Final = 6  # of a version's first letters
_PUBLISHED: Final = """SELECT version, toUnixTimestamp64Milli(max(published_at)) AS at,
  argMax(published_by, published_at) AS by, uniqExact(rule) AS rules FROM rules
  GROUP BY version ORDER BY at DESC, version LIMIT 100"""


class PublishError(Exception):
    """These rules cannot be put in force so; the message says what can."""


def publish(path: Path | None, rollback: str, data: Path, as_json: bool) -> int:
    """Put them in force; the exit code."""
    book = load_book(path) if path else None
    with store_of(data) as (store, settings):
        if rules_in_force.two_people(store):
            raise PublishError(
                "these rules are for two people to change: `laike rules propose` a folder, and "
                "another than you says `laike rules approve`"
            )
        book = book or _kept(store, rollback)
        before = rules_in_force.wanted(store)
        with closing(connect(settings.clickhouse)) as client:
            now = time.time_ns() // 1_000_000
            rules_in_force.publish(book, store, client, local_user(), now, settings.secret)
    told = {"version": book.hash, "before": before, "rules": len(book.rules)}
    listed("published", [told], as_json)
    return 0


def _kept(store: Redis, version: str) -> Book:
    """The book of an earlier version, by its hash or the first letters of it."""
    names = _versions(store, version) if version.isalnum() and len(version) >= SHORTEST else []
    if len(names) != 1:
        many = "more than one version begins" if names else "no published version begins"
        raise PublishError(f"{many} with {version!r}: `laike rules versions` lists them")
    book = rules_in_force.kept(store, names[0])
    assert book is not None  # noqa: S101 - its key was just found, and none is ever taken away
    return book


def _versions(store: Redis, prefix: str) -> list[str]:
    found: Any = store.scan_iter(match=f"{rules_in_force.BODY}{prefix}*", count=1_000)
    names = [key.decode().removeprefix(rules_in_force.BODY) for key in found]
    return sorted(name for name in names if len(name) == rules_in_force.HASH_LENGTH)


def versions(data: Path, as_json: bool) -> int:
    """List them, the newest first; the exit code."""
    with store_of(data) as (store, settings):
        wanted = rules_in_force.wanted(store)
        with closing(connect(settings.clickhouse)) as client:
            found = client.query(_PUBLISHED).result_rows
    rows = [
        {
            "in_force": version == wanted if as_json else ("*" if version == wanted else " "),
            "version": version if as_json else version[:12],
            "at": at if as_json else shown_time(at),
            "by": by,
            "rules": rules,
        }
        for version, at, by, rules in found
    ]
    listed("versions", rows, as_json)
    return 0
