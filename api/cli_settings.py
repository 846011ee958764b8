"""Which engine a command means: the one that its environment names, or the one on a data folder.

Must live here: finding it. Must not: connecting to it.
"""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from api.up_folder import FolderError, born
from api.up_lock import Running, running
from engine.settings import Settings

NAMED = ("LAIKE_REDIS", "LAIKE_REDIS_FILE", "LAIKE_LOG", "LAIKE_CLICKHOUSE")


def engine_settings(data: Path) -> Settings:
    """The settings of the running engine; FolderError when none runs on `data`."""
    if any(os.environ.get(name) for name in NAMED):
        return Settings.load(data=None if os.environ.get("LAIKE_DATA") else data)
    holder, birth = running(data), born(data)
    if holder is None or birth is None or not holder.redis:
        raise FolderError(f"no engine runs on {data}: start one with `laike up --data {data}`")
    return settings_of(data, holder)


def settings_of(data: Path, holder: Running) -> Settings:
    """The settings of the engine that holds `data`."""
    birth = born(data)
    assert birth is not None  # noqa: S101 - a held folder is born
    host, _, port = holder.api.removeprefix("http://").rpartition(":")
    return Settings.load(
        {},
        data=data.absolute(),
        log=holder.redis,
        redis=holder.redis,
        clickhouse=holder.clickhouse or None,
        shards=birth.shards,
        clock=birth.clock,
        host=host or None,
        port=int(port) if port else None,
    )


def with_api(settings: Settings, url: str | None) -> Settings:
    """The same engine, its API at `url` if one is given."""
    if not url:
        return settings
    parts = urlsplit(url)
    return replace(settings, host=parts.hostname or settings.host, port=parts.port or 80)


def clickhouse_of(data: Path) -> str | None:
    """The address of a running ClickHouse: the folder's, else the environment's; None for none."""
    if (holder := running(data)) and holder.clickhouse:
        return holder.clickhouse
    if os.environ.get("LAIKE_CLICKHOUSE") or os.environ.get("LAIKE_CLICKHOUSE_FILE"):
        return Settings.load(secret=b"not needed to ask").clickhouse
    return None
