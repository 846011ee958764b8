"""`laike doctor`: the machine, the folder, the engine that runs, in one list.

Must live here: checks of a running engine, and how checks are printed. Must not: repairs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urljoin

import httpx
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli_settings import engine_settings
from api.preflight import Check, Verdict, preflight
from api.up_folder import FolderError, born
from api.up_lock import running
from engine.logs import open_log
from engine.settings import Settings

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def look(data: Path, *, reach: bool) -> list[Check]:
    """Every check; `reach` asks the log and the stores alone, for a container's health check."""
    if reach:
        return asyncio.run(_reach(engine_settings(data)))
    checks = preflight(data)
    try:
        birth = born(data)
    except FolderError as wrong:
        return [*checks, Check("data", "fail", str(wrong))]
    if birth is None:
        return [*checks, Check("data", "ok", "nothing yet")]
    checks.append(Check("data", "ok", f"{birth.clock} time, {birth.shards} shards"))
    holder = running(data)
    if holder is None:
        return [*checks, Check("engine", "ok", "none runs", f"laike up --data {data}")]
    checks.append(Check("engine", "ok", f"`{holder.command}`, pid {holder.pid}"))
    checks += asyncio.run(_reach(engine_settings(data)))
    if holder.api:
        checks.append(_ready(holder.api))
    return checks


def show(checks: list[Check], console: Console) -> None:
    """The list, for people."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        verdict = Text(check.verdict, STYLES[check.verdict])
        table.add_row(verdict, check.name, Text(check.found), Text(check.advice))
    console.print(table)


async def _reach(settings: Settings) -> list[Check]:
    redis = Redis.from_url(settings.redis, socket_timeout=5)
    log = open_log(settings.log, redis=redis, shards=settings.shards)
    try:
        return [
            await _asked("log", settings.log, lambda: asyncio.wait_for(log.ends(), 5)),
            await _asked("redis", settings.redis, redis.ping),
            await _asked("clickhouse", settings.clickhouse, lambda: _ping(settings.clickhouse)),
        ]
    finally:
        await log.close()
        await redis.aclose()


async def _asked(name: str, url: str, ask: Callable[[], Awaitable[object]]) -> Check:
    try:
        await ask()
    except Exception as away:  # noqa: BLE001 - whatever it raises is the answer
        return Check(name, "fail", f"{type(away).__name__}: {away}", "is it started?")
    return Check(name, "ok", f"answers at {_open(url)}")


def _open(url: str) -> str:
    """An address without user and password.

    >>> _open("http://laike:secret@clickhouse:8123/shop"), _open("unix:///tmp/redis.sock")
    ('http://clickhouse:8123/shop', 'unix:///tmp/redis.sock')
    """
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


async def _ping(url: str) -> None:
    """Ask without user and password, which an error would quote."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        (await client.get(urljoin(_open(url), "/ping"))).raise_for_status()


def _ready(api: str) -> Check:
    try:
        answer = httpx.get(f"{api}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError as away:
        return Check("api", "fail", str(away))
    told = answer.json()
    verdict: Verdict = "ok" if told["status"] == "ready" else "warn"
    if answer.status_code != httpx.codes.OK:
        verdict = "fail"
    return Check("api", verdict, f"{told['status']} at {api}")
