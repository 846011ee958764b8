"""A customer's rights on the command line, and the turning of the master key.

Must live here: which engine is asked, what is shown. Must not: what an erasure or an export is.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from api.asking import cid_of
from api.cli_settings import engine_settings
from api.clocks import WorldClock, wall
from api.privacy import Privacy
from engine.audit import local_user, record_async
from engine.keys import open_keys
from engine.logs import open_log
from engine.settings import Settings
from sinks.clickhouse import connect

LOOK_SECONDS = 0.5


def erase(data: Path, customer: str, proof: str, wait_seconds: float) -> dict[str, Any]:
    """Ask for an erasure and wait for its end; how it stands then."""
    cid = cid_of(customer)

    async def run() -> dict[str, Any]:
        async with _privacy(data) as privacy:
            name = await privacy.ask_erasure(cid, proof, local_user(), await _now(privacy))
            until = time.monotonic() + wait_seconds
            while True:
                told = await privacy.report(name) or {}
                if told.get("status") == "done" or time.monotonic() >= until:
                    return told
                await asyncio.sleep(LOOK_SECONDS)

    return asyncio.run(run())


def export(data: Path, customer: str, out: Path | None) -> int:
    """Write all that is held of a customer, to a file of its owner alone or to the screen."""
    cid = cid_of(customer)

    async def run() -> dict[str, Any]:
        async with _privacy(data) as privacy:
            return await privacy.export(cid, local_user(), await _now(privacy))

    found = asyncio.run(run())
    option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    body = orjson.dumps(found, default=str, option=option)
    if out is None:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    else:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
    return 0


def rotate(data: Path) -> dict[str, Any]:
    """Wrap every customer's key under a new master key."""

    async def run() -> dict[str, Any]:
        async with _privacy(data) as privacy:
            wrapped = await privacy.keys.rotate()
            who, secret = local_user(), privacy.settings.secret
            await record_async(privacy.redis, secret, who, "keys.rotate", keys=wrapped)
            return {"keys": wrapped, "master_key": str(privacy.keys.master.path)}

    return asyncio.run(run())


@asynccontextmanager
async def _privacy(data: Path) -> AsyncIterator[Privacy]:
    settings = _settings(data)
    redis = Redis.from_url(settings.redis)
    record = settings.clock == "record"
    log = open_log(settings.log, redis=redis, shards=settings.shards, record=record)
    keys = open_keys(settings)
    try:
        yield Privacy(
            settings=settings,
            redis=redis,
            log=log,
            keys=keys,
            connect=lambda: connect(settings.clickhouse),
        )
    finally:
        await keys.close()
        await log.close()
        await redis.aclose()


def _settings(data: Path) -> Settings:
    """The engine's, its keys being where the environment says, as for the engine itself."""
    settings = engine_settings(data)
    given = Settings.load(data=settings.data, secret=settings.secret)
    return replace(settings, keys=given.keys, master_key_file=given.master_key_file)


async def _now(privacy: Privacy) -> int:
    if privacy.settings.clock != "record":
        return wall()
    clock = WorldClock.of(privacy.redis)
    await clock.refresh()
    return clock()
