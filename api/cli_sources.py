"""`laike sources …`: words; what a source is, and how its key changes, stand elsewhere.

Must live here: these commands' names and options. Must not: the work.
"""

# ruff: noqa: PLC0415 - as in cli

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_store import (
    HERE,
    DataOption,
    JsonOption,
    listed,
    local_user,
    say,
    shown_time,
    store_of,
)
from api.cli_values import duration

if TYPE_CHECKING:
    from api.sources_changes import SourceChanges

Name = Annotated[str, typer.Argument(help="The source's name.")]
sources = typer.Typer(no_args_is_help=True, help="Who may send events, and their write keys.")


@sources.command("list")
def sources_list(data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """List the sources: what each is, what it may assert, which old keys still work.

    Example: laike sources list
    """
    from api.cli_settings import engine_settings
    from api.sources import read_sources

    found = [
        {
            "name": source.name,
            "kind": source.kind,
            "may_assert": source.may_assert,
            "rate": source.rate,
            "old_keys_until": [shown_time(old.until) for old in source.old_keys],
        }
        for source in read_sources(engine_settings(data).sources_file)
    ]
    listed("sources", found, as_json)


@sources.command("add")
def sources_add(
    name: Name,
    server: Annotated[
        bool, typer.Option("--server", help="Its key is secret: it may assert orders and consent.")
    ] = False,
    rate: Annotated[int, typer.Option(min=0, help="Events a second; 0 for any number.")] = 0,
    data: DataOption = HERE,
) -> None:
    """Add a source and show its write key, this once.

    Example: laike sources add till --server --rate 200
    """
    with _source_changes(data) as changes:
        key = changes.add(name, kind="server" if server else "browser", rate=rate)
    say(key)


@sources.command("rotate")
def sources_rotate(
    name: Name,
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="So long the old key works on: 12h, 7d.")
    ] = "7d",
    now: Annotated[bool, typer.Option("--now", help="The old key ends at once.")] = False,
    data: DataOption = HERE,
) -> None:
    """Give a source another write key and show it; the old one works on for a while.

    Example: laike sources rotate web --overlap 30d
    """
    seconds = 0.0 if now else duration(overlap)
    with _source_changes(data) as changes:
        key = changes.rotate(name, seconds)
    say(key)


@sources.command("revoke")
def sources_revoke(
    name: Name,
    old: Annotated[bool, typer.Option("--old", help="Only its keys before a rotation.")] = False,
    data: DataOption = HERE,
) -> None:
    """Take a source away, or its old keys, at once.

    Example: laike sources revoke web --old
    """
    with _source_changes(data) as changes:
        changes.revoke(name, old_only=old)
    say(f"{name}: its old keys are revoked" if old else f"{name} is no source any more")


@contextmanager
def _source_changes(data: Path) -> "Iterator[SourceChanges]":
    from api.sources_changes import SourceChanges

    with store_of(data) as (store, settings):
        yield SourceChanges(settings.sources_file, store, settings.secret, local_user())
