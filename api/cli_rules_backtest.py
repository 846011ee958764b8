"""`laike rules backtest` and `diff`: the history they mean, the bar, what is printed.

Must live here: finding the history, writing answers. Must not: replaying, counting.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from api.cli_settings import clickhouse_of
from rules.book import Book
from rules.load import load_book
from simulator import diff as impact
from simulator.backtest import backtest as replay
from simulator.backtest import tried
from simulator.backtest_history import FileHistory, History, TableHistory, moment_of
from simulator.backtest_page import write_chart, write_page
from simulator.backtest_shown import show
from simulator.progress import bar
from sinks.clickhouse import connect
from sinks.query import engine_for

Times = tuple[str | None, str | None]


def backtest(
    path: Path,
    file: Path | None,
    data: Path,
    times: Times,
    names: list[str],
    *,
    mapping: str | None,
    window_ms: int,
    html: Path | None,
    png: Path | None,
    as_json: bool,
) -> int:
    """Replay and tell; the exit code."""
    book = tried(load_book(path), names)
    console = Console(stderr=as_json)
    with _history(file, data, times, mapping, book) as history:
        span = _span(history, times)
        with bar(history.name, Console(stderr=True)) as progress:
            found = replay(history, book, span, window_ms=window_ms, progress=progress)
        show(found, console, history.name)
        if html:
            write_page(found, html, history.name)
            console.print(f"written: {html}", markup=False)
        if png:
            write_chart(found, png)
            console.print(f"written: {png}", markup=False)
    if as_json:
        _say(found)
    return 0


def diff(
    old: Path,
    new: Path,
    file: Path | None,
    data: Path,
    times: Times,
    names: list[str],
    *,
    mapping: str | None,
    as_json: bool,
) -> int:
    """Compare and tell; the exit code. A rule that only one side has is no mistake."""
    books = [load_book(old), load_book(new)]
    known = {name for book in books for name in book.rules}
    for name in names:
        if name not in known:
            tried(books[1], [name])
    if names:
        books = [tried(book, [n for n in names if n in book.rules] or [""]) for book in books]
    with _history(file, data, times, mapping, books[1]) as history:
        span = _span(history, times)
        with bar(history.name, Console(stderr=True)) as progress:
            found = impact.diff(history, books[0], books[1], span, progress=progress)
    if as_json:
        _say(found)
    else:
        sys.stdout.write(impact.markdown(found))
    return 0


@contextmanager
def _history(
    file: Path | None, data: Path, times: Times, mapping: str | None, book: Book
) -> Iterator[History]:
    """The file, else the events of the engine on the data folder."""
    if file is not None:
        yield FileHistory(file, mapping)
        return
    zone = book.shop.zone
    until = None if times[1] is None else moment_of(times[1], zone)
    with engine_for(clickhouse_of(data), data) as url, closing(connect(url)) as client:
        yield TableHistory(client, str(data), zone, until)


def _span(history: History, times: Times) -> tuple[int | None, int | None]:
    start, end = (None if text is None else history.moment(text) for text in times)
    return start, end


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
