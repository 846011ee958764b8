"""The store that a command changes, and how its answer is printed.

Must live here: opening the Redis of a data folder's engine, lines for people and for programs. Must
not: commands.
"""

# ruff: noqa: PLC0415 - as in cli

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    import redis

    from engine.settings import Settings

HERE = Path(".laike")
DataOption = Annotated[Path, typer.Option("--data", help="The data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


@contextmanager
def store_of(data: Path) -> "Iterator[tuple[redis.Redis, Settings]]":
    """The Redis of the engine that `data` means, and its settings."""
    import redis

    from api.cli_settings import engine_settings

    settings = engine_settings(data)
    with redis.Redis.from_url(settings.redis) as store:
        yield store, settings


def local_user() -> str:
    """Who runs this, as the audit log names him."""
    from engine import audit

    return audit.local_user()


def say(text: str) -> None:
    """A line."""
    sys.stdout.write(f"{text}\n")


def shown_time(at: int) -> str:
    """A time (ms) for people."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def listed(name: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows for people, a line each under their columns' names; for programs one object."""
    if as_json:
        say(json.dumps({name: rows}, ensure_ascii=False))
        return
    if not rows:
        say(f"no {name}")
        return
    lines = [[column.replace("_", " ") for column in rows[0]]]
    lines += [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = map(set_cell_size, line, widths)
        say("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
        case None:
            return ""
    return str(value)
