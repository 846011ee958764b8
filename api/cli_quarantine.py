"""What was rejected, for people: the table `quarantine`, listed, one row whole, or tried again.

Must live here: the questions and the answers' form. Must not: how ClickHouse is asked
(sinks.query), what a rejected event becomes when it is tried again (retry).
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from redis.asyncio import Redis

from api.cli_settings import clickhouse_of, engine_settings
from api.retry import Rejected, Still, record_of
from api.sources import read_sources
from engine.audit import local_user, record_async
from engine.logs import open_log
from engine.records import Append
from engine.settings import Settings
from sinks.clickhouse import connect, insert
from sinks.query import query

PER_BATCH = 500
REFUSED_TOLD = 1_000  # a list for people has an end; the counts are of all


def list_rejected(data: Path, limit: int, reason: str | None, as_json: bool) -> int:
    """The newest, with their reasons; the exit code."""
    where = f"WHERE reason = {_text(reason)}" if reason else ""
    columns = "quarantine_id, at, source, reason, substring(detail, 1, 100) AS detail, retried_at"
    return _ask(
        f"{columns} FROM quarantine FINAL {where} ORDER BY at DESC LIMIT {limit}", data, as_json
    )


def show_rejected(data: Path, quarantine_id: str, as_json: bool) -> int:
    """One row whole, for people a line a field; the exit code."""
    names = ("quarantine_id", "at", "source", "reason", "detail", "body", "retried_at")
    row = f"FROM quarantine FINAL WHERE quarantine_id = {_text(quarantine_id)}"
    none = f"nothing rejected has the id {quarantine_id!r}: `laike quarantine list` has them"
    if as_json:
        return _ask(f"{', '.join(names)} {row}", data, as_json, none)
    pairs = ", ".join(f"({_text(name)}, ifNull(toString({name}), ''))" for name in names)
    return _ask(
        f"(arrayJoin([{pairs}]) AS pair).1 AS field, pair.2 AS value {row}", data, as_json, none
    )


@dataclass
class Retried:
    """What came of a retry."""

    retried: int = 0
    refused: int = 0
    dry_run: bool = False
    still: list[dict[str, str]] = field(default_factory=list)  # the first of those refused


def retry_rejected(
    data: Path,
    ids: Sequence[str],
    reason: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Put back by id, by reason, or all that were not put back yet; the exit code."""
    settings = engine_settings(data)
    client = connect(settings.clickhouse)
    try:
        done = asyncio.run(_retry(settings, client, _which(ids, reason), dry_run=dry_run))
    finally:
        client.close()
    if as_json:
        sys.stdout.write(json.dumps(vars(done), ensure_ascii=False) + "\n")
    else:
        _tell(done)
    return int(bool(done.refused) or not done.retried)


def _which(ids: Sequence[str], reason: str | None) -> str:
    """Those named by id may go again; the others, once."""
    if ids:
        return f"quarantine_id IN ({', '.join(map(_text, ids))})"
    return "retried_at IS NULL" + (f" AND reason = {_text(reason)}" if reason else "")


async def _retry(settings: Settings, client: Client, which: str, *, dry_run: bool) -> Retried:
    """Batch by batch: into the log first, marked then; cut off in between, it goes again."""
    trusted = {source.name: source.may_assert for source in read_sources(settings.sources_file)}
    done = Retried(dry_run=dry_run)
    redis = Redis.from_url(settings.redis)
    record = settings.clock == "record"
    log = open_log(settings.log, redis=redis, shards=settings.shards, record=record)
    try:
        for rows in _batches(client, which):
            appends: list[Append] = []
            back: list[Rejected] = []
            for row in rows:
                try:
                    appends.append(record_of(row, settings.shards, trusted))
                    back.append(row)
                except Still as still:
                    done.refused += 1
                    told = {"id": row.quarantine_id, "reason": still.reason}
                    done.still.append(told | {"detail": still.detail})
            del done.still[REFUSED_TOLD:]
            if appends and not dry_run:
                who, count = local_user(), len(appends)
                await record_async(redis, settings.secret, who, "quarantine retried", events=count)
                await log.append(appends)
                _mark(client, back)
            done.retried += len(back)
    finally:
        await log.close()
        await redis.aclose()
    return done


def _batches(client: Client, which: str) -> Iterator[list[Rejected]]:
    """In order of time, and none that comes aside while we are at it."""
    newest = client.command("SELECT toUnixTimestamp64Milli(max(at)) FROM quarantine")
    last = (-(1 << 62), "")
    at = "toUnixTimestamp64Milli(at)"
    while True:
        rows = client.query(
            f"SELECT quarantine_id, {at} AS ms, source, reason, detail, body, version"  # noqa: S608
            f" FROM quarantine FINAL WHERE ({which}) AND ms <= {newest}"
            f" AND (ms, quarantine_id) > ({last[0]}, {_text(last[1])})"
            f" ORDER BY ms, quarantine_id LIMIT {PER_BATCH}"
        ).result_rows
        if not rows:
            return
        found = [Rejected(*row) for row in rows]
        last = (found[-1].at, found[-1].quarantine_id)
        yield found


def _mark(client: Client, rows: Sequence[Rejected]) -> None:
    """The same rows in a later version: that is how such a table is changed."""
    now = time.time_ns() // 1_000_000
    marked: list[dict[str, Any]] = [
        row._asdict() | {"version": row.version + 1, "retried_at": now} for row in rows
    ]
    insert(client, "quarantine", marked)


def _tell(done: Retried) -> None:
    would = "would go back" if done.dry_run else "went back into the log"
    lines = [f"{one['id']} stays: {one['reason']}: {one['detail']}" for one in done.still]
    lines.append(f"{done.retried} {would}, {done.refused} stay")
    sys.stdout.write("\n".join(lines) + "\n")


def _ask(selected: str, data: Path, as_json: bool, nothing: str = "") -> int:
    address = clickhouse_of(data)
    return query(f"SELECT {selected}", url=address, data=data, as_json=as_json, nothing=nothing)


def _text(value: str) -> str:
    """A ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
