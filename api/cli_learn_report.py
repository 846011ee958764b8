"""`laike learn report`: which reports there are to run, and where their answer goes.

Must live here: choosing, writing. Must not: measuring (simulator/learning_*.py).
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import typer
from rich.console import Console

from api.cli_settings import clickhouse_of
from rules.errors import near, one_of
from simulator import learning, learning_engine
from simulator.learning_page import write
from simulator.learning_section import Section
from simulator.learning_shown import show
from sinks.clickhouse import connect
from sinks.query import engine_for


def report(file: Path | None, data: Path, out: Path | None, only: list[str], as_json: bool) -> int:
    """Measure and tell; the exit code."""
    console = Console(stderr=as_json)
    found = []
    for name, section in _sections(file, data, only):
        show(section, console)
        found.append((name, section))
    if not found:
        what = "a data set that a report knows" if file else "a model's figures yet"
        sys.stderr.write(f"laike: {file or data} has not {what}\n")
        return 1
    if out:
        for path in write(found, out, (file or data).name):
            console.print(f"written: {path}", markup=False, highlight=False)
    if as_json:
        told = {name: dict(section.figures) for name, section in found}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return 0


def _sections(file: Path | None, data: Path, only: list[str]) -> Iterator[tuple[str, Section]]:
    if file is None:
        with engine_for(clickhouse_of(data), data) as url, closing(connect(url)) as client:
            every = learning_engine.sections(client)
            yield from (one for one in every if not only or one[0] in only)
        return
    if not file.exists():
        raise typer.BadParameter(f"there is no {file}", param_hint="--file")
    for name in only:
        if name not in learning.REPORTS:
            hint = f"{near(name, learning.REPORTS)}; there are: {one_of(learning.REPORTS)}"
            raise typer.BadParameter(f"no report is called {name!r}{hint}", param_hint="--only")
    told = Console(stderr=True)
    yield from learning.sections(
        file, only, lambda name: told.print(f"{name} …", style="dim", highlight=False)
    )
