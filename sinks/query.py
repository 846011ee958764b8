"""One question to the analysts' tables: against the running engine, or its folder when none runs.

Must live here: finding the engine, asking, showing. Must not: a question of Laike's own.
What customers wrote may stand in an answer: in CSV, a text that a spreadsheet would run is defused.
Exit codes: 0 answered, 1 the engine refused or cannot be reached, 2 there is nothing to ask.
"""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.query import QueryResult
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sinks.clickhouse import connect
from sinks.embedded.folder import served_at
from sinks.embedded.process import NotStartedError, start

FOLDER = "clickhouse"  # in the data folder
READS = {"readonly": "2"}  # a question changes nothing: DROP TABLE is refused
_ROWS_SHOWN = 1000
_SHORT = 16  # columns; a cell as long as this may be folded
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal would obey some of these
_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a formula may begin


class NothingToAskError(Exception):
    """There is neither an engine nor a folder of tables."""


def query(
    sql: str,
    *,
    url: str | None,
    data: Path | None,
    as_json: bool,
    as_csv: bool = False,
    nothing: str = "",
) -> int:
    """Ask `sql` and print the answer: a table, one JSON object as the last line, or CSV alone.

    With `nothing`, no row at all is a failure, told in these words.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        with engine_for(url, data) as address:
            client = connect(address)
            try:
                result = client.query(sql, settings=READS)
            finally:
                client.close()
    except NothingToAskError as error:
        errors.print(str(error), markup=False)
        return 2
    except (ClickHouseError, NotStartedError, ValueError, OSError) as error:
        errors.print(_short(error), markup=False)
        return 1
    if nothing and not result.result_rows:
        errors.print(nothing, markup=False)
        return 1
    if as_json:
        sys.stdout.write(_as_json(result).decode() + "\n")
    elif as_csv:
        _write_csv(result)
    else:
        _show(result)
    return 0


@contextmanager
def engine_for(url: str | None, data: Path | None) -> Iterator[str]:
    """The address of an engine: the one given, the one that serves the folder, or one for now."""
    if url is not None:
        yield url
        return
    if data is None:
        raise NothingToAskError("neither an engine's address nor a folder is given")
    folder = data / FOLDER if (data / FOLDER).is_dir() else data
    running = served_at(folder)
    if running:
        yield running
    elif (folder / "store").is_dir():
        with start(folder) as server:
            yield server.url
    else:
        raise NothingToAskError(
            f"no engine runs, and {data} holds no tables yet: start one with `laike up`,"
            " or name the folder with --data"
        )


def _as_json(result: QueryResult) -> bytes:
    """Times are ISO 8601 in UTC, money is text, for both must stay exact."""
    return orjson.dumps(
        {
            "columns": list(result.column_names),
            "types": [kind.name for kind in result.column_types],
            "rows": list(result.result_rows),
            "row_count": len(result.result_rows),
        },
        default=_as_text,
        option=orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS,
    )


def _write_csv(result: QueryResult) -> None:
    """By RFC 4180 with a header; null is empty, lists and maps are JSON."""
    out = csv.writer(sys.stdout)
    out.writerow(map(defused, result.column_names))
    for row in result.result_rows:
        texts = [(isinstance(value, str | bytes), _plain(value)) for value in row]
        out.writerow([defused(text) if written else text for written, text in texts])


def defused(text: str) -> str:
    """A text that a spreadsheet shows and does not run: `'` before what could be a formula.

    >>> [defused(text) for text in ("=1+1", "-5", "a=b", "")]
    ["'=1+1", "'-5", 'a=b', '']
    """
    return f"'{text}" if text.startswith(_RUN) else text


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _show(result: QueryResult) -> None:
    console = Console()
    rows = result.result_rows
    cells = [[_cell(value) for value in row] for row in rows[:_ROWS_SHOWN]]
    if rows:
        fits = _least(result.column_names, cells) <= console.width
        console.print(_table(result, cells) if fits else _records(result.column_names, cells))
    more = f", the first {_ROWS_SHOWN} of them shown" if len(rows) > _ROWS_SHOWN else ""
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}{more}")


def _least(names: Sequence[str], cells: list[list[Text]]) -> int:
    """How wide a table is at least whose short cells stay whole."""
    widest: list[int] = [
        max(len(name), *(min(cell.cell_len, _SHORT) for cell in column))
        for name, column in zip(names, zip(*cells, strict=True), strict=True)
    ]
    return sum(width + 3 for width in widest) + 1


def _table(result: QueryResult, cells: list[list[Text]]) -> Table:
    table = Table(header_style="bold", row_styles=["", "dim"])
    for name, kind in zip(result.column_names, result.column_types, strict=True):
        numeric = kind.name.removeprefix("Nullable(").startswith(
            ("Int", "UInt", "Float", "Decimal")
        )
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def _records(names: Sequence[str], cells: list[list[Text]]) -> Table:
    """A line a field, as psql has it, where a row is too wide for the terminal."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for number, row in enumerate(cells, 1):
        table.add_row(Text(f"row {number}", "dim"), "")
        for name, cell in zip(names, row, strict=True):
            table.add_row(f"  {name}", cell)
    return table


def _cell(value: Any) -> Text:
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", _plain(value)))


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        value = orjson.dumps(value, default=_as_text, option=orjson.OPT_NON_STR_KEYS)
    return "" if value is None else _as_text(value)


def _short(error: Exception) -> str:
    """ClickHouse's own words, without the client's around them."""
    text = str(error)
    at = text.find("DB::Exception: ")
    if at >= 0:
        text = text[at + len("DB::Exception: ") :]
    return text.split(" (version ")[0].split(" (for url")[0]
