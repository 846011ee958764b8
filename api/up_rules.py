"""The rule files of one machine: published at the start, and again whenever a marketer saves one.

Must live here: from the files to the two places that hold a published version (Redis for the
workers, the table `rules` for the analysts). Must not: what a rule means.
"""

import getpass
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.exceptions import RedisError

from rules.book import Book
from rules.errors import RuleErrors
from rules.load import load_book
from sinks.clickhouse import connect
from sinks.relay_tables import publish_rules

LOOK_S = 1.0
SUFFIXES = {".yaml", ".j2"}
WANTED = "laike:rules:wanted"


def publish(book: Book, store: redis.Redis, clickhouse: Client, by: str, at: int) -> None:
    """Make `book` the version that workers are asked to decide by.

    The body goes first, so that no worker ever finds the wanted hash without it.
    """
    store.set(f"laike:rules:{book.hash}", json.dumps(dict(book.sources), ensure_ascii=False))
    publish_rules(clickhouse, book, at, by)
    store.set(WANTED, book.hash)


class Rules:
    """The files under `folder`, watched."""

    def __init__(self, folder: Path, told: Callable[[str], None]) -> None:
        self.folder = folder
        self.told = told
        self.hash = ""  # of the version published last
        self._seen = self._stamps()
        self._looked = 0.0

    def publish(self, store: redis.Redis, clickhouse: Client) -> Book:
        """Load and publish; RuleErrors with every error of every file."""
        book = load_book(self.folder)
        at = time.time_ns() // 1_000_000
        publish(book, store, clickhouse, getpass.getuser(), at)
        self.hash = book.hash
        return book

    def publish_changed(self, store: redis.Redis, clickhouse: str) -> None:
        """Publish again if a file changed; files with errors are told and change nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        stamps = self._stamps()
        if stamps == self._seen:
            return
        try:
            book = self.publish(store, connect(clickhouse))
        except RuleErrors as wrong:
            self.told(f"the rules stay as they were:\n{wrong}")
        except (RedisError, ClickHouseError, OSError):  # away: the same again in a second
            return
        else:
            self.told(f"rules {book.hash[:8]} published: {len(book.rules)} rules")
        self._seen = stamps

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in sorted(p for p in self.folder.rglob("*") if p.suffix in SUFFIXES):
            with suppress(FileNotFoundError):  # an editor puts a file anew in its place
                stat = path.stat()
                found[path] = (stat.st_mtime_ns, stat.st_size)
        return found
