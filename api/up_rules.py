"""The rule files of one machine: published at the start, and again whenever a marketer saves one.

Must live here: watching the files, a new log's first version. Must not: how a book is published
(rules_in_force), what a rule means.
"""

import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import redis
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api import rules_in_force
from engine.audit import local_user
from engine.duties import NO_TIME
from engine.logs import open_log
from engine.records import RULES, Append
from engine.settings import Settings
from rules.book import Book
from rules.errors import RuleErrors
from rules.load import load_book
from sinks.clickhouse import connect

LOOK_S = 0.25
SUFFIXES = {".yaml", ".j2"}


async def begin_logs(settings: Settings, digest: str) -> None:
    """Let each shard's log that is still empty begin with this version of the rules.

    Else what comes in before a worker's first look would be decided by no rules at all.
    """
    async with AsyncExitStack() as held:
        store = await held.enter_async_context(Redis.from_url(settings.redis))
        record = settings.clock == "record"
        log = open_log(settings.log, redis=store, shards=settings.shards, record=record)
        held.push_async_callback(log.close)
        value = json.dumps({"hash": digest}).encode()
        empty = [shard for shard, end in enumerate(await log.ends()) if not end]
        if empty:
            await log.append([Append(shard, RULES, value, NO_TIME) for shard in empty])


class Rules:
    """The files under `folder`, watched."""

    def __init__(self, folder: Path, secret: bytes, told: Callable[[str], None]) -> None:
        self.folder = folder
        self.secret = secret
        self.told = told
        self.hash = ""  # of the version published last
        self._seen = self._stamps()
        self._looked = 0.0

    def publish(self, store: redis.Redis, clickhouse: Client) -> Book:
        """Load and publish; RuleErrors with every error of every file.

        Where two people are asked for, the book in force stays, and files are only compared.
        """
        book = load_book(self.folder)
        approved = self._approved(store)
        if approved is None:
            at = time.time_ns() // 1_000_000
            rules_in_force.publish(book, store, clickhouse, local_user(), at, self.secret)
        elif approved.hash != book.hash:
            self.told("the files differ from the approved rules: `laike rules propose` them")
        self.hash = (approved or book).hash
        return approved or book

    def _approved(self, store: redis.Redis) -> Book | None:
        """The book in force, if it is not for one person to change."""
        if not rules_in_force.two_people(store):
            return None
        return rules_in_force.kept(store, rules_in_force.wanted(store))

    def publish_changed(self, store: redis.Redis, clickhouse: str) -> None:
        """Publish again if a file changed; files with errors are told and change nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        stamps = self._stamps()
        if stamps == self._seen:
            return
        before = self.hash
        try:
            book = self.publish(store, connect(clickhouse))
        except RuleErrors as wrong:
            self.told(f"the rules stay as they were:\n{wrong}")
        except (RedisError, ClickHouseError, OSError):  # away: the same again in a second
            return
        else:
            if book.hash != before:
                self.told(f"rules {book.hash[:8]} published: {len(book.rules)} rules")
        self._seen = stamps

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in sorted(p for p in self.folder.rglob("*") if p.suffix in SUFFIXES):
            with suppress(FileNotFoundError):  # an editor puts a file anew in its place
                stat = path.stat()
                found[path] = (stat.st_mtime_ns, stat.st_size)
        return found
