"""A report on learning for people in a terminal: each section's table, and its charts.

Must live here: words and columns. Must not: measuring. The page of it is learning_page.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import plotext
from rich.console import Console
from rich.table import Table

from simulator.learning_section import Chart, Section

Rows = Sequence[Mapping[str, Any]]
CHART_ROWS: Final = 14
CHART_COLUMNS: Final = 92
TICKED_FROM: Final = 20  # below, plotext's own ticks are short enough
MARKS: Final = ("●", "○", "▲", "△", "■", "□", "◆", "◇")


def show(section: Section, console: Console) -> None:
    """Print all of it."""
    console.print(f"\n[bold]{section.title}[/bold]")
    console.print(section.protocol, style="dim", markup=False, highlight=False)
    for table in _tables(section, console.width) if section.rows else ():
        console.print(table)
    width = min(console.width, CHART_COLUMNS)
    for chart in section.charts:
        console.print(
            drawn(chart, width, colour=console.color_system is not None),
            end="", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def keys(rows: Rows) -> list[str]:
    """The columns of rows that may lack some, in order of appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def told(value: Any) -> str:
    """A cell: a number short, a missing one a dash.

    >>> told(0.75123), told(25_000), told(None), told([0.1, 0.25])
    ('0.7512', '25,000', '–', '0.1 to 0.25')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return " to ".join(told(one) for one in value)
    return str(value)


def is_number(rows: Rows, key: str) -> bool:
    """Whether a column holds numbers: it is set to the right then."""
    return all(not isinstance(row.get(key), str) for row in rows)


def _tables(section: Section, width: int) -> Iterator[Table]:
    """One, or as many as it takes for columns side by side, each with those that name its rows."""
    names = _names(section.rows)
    others = keys(section.rows)[len(names) :]
    wide = {key: _width(section.rows, key) for key in (*names, *others)}
    while others:
        here: list[str] = []
        left = width - sum(wide[name] for name in names) - 1
        while others and (not here or wide[others[0]] <= left):
            left -= wide[others[0]]
            here.append(others.pop(0))
        yield _table(section.rows, [*names, *here])


def _names(rows: Rows) -> list[str]:
    """The first columns, as few as tell all rows apart; the first one if none of them do.

    >>> _names([{"day": 1, "by": "us", "error": 3}, {"day": 1, "by": "him", "error": 3}])
    ['day', 'by']
    """
    for many in range(1, len(keys(rows))):
        names = keys(rows)[:many]
        if len({tuple(told(row.get(name)) for name in names) for row in rows}) == len(rows):
            return names
    return keys(rows)[:1]


def _width(rows: Rows, key: str) -> int:
    """Columns of characters that a column needs; its heading may break between words."""
    words = [*key.replace("_", " ").split(), *(told(row.get(key)) for row in rows)]
    return max(map(len, words)) + 3


def _table(rows: Rows, columns: list[str]) -> Table:
    table = Table(header_style="bold", expand=False)
    for at, key in enumerate(columns):
        right = at > 0 and is_number(rows, key)
        table.add_column(key.replace("_", " "), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(told(row.get(key)) for key in columns))
    return table


def _ticks(chart: Chart) -> list[int]:
    """Whole numbers for the x axis, five or fewer; none where what is drawn is small."""
    xs = [x for curve in chart.curves for x, _ in curve.points]
    low, high = (min(xs), max(xs)) if xs else (0, 0)
    if high - low < TICKED_FROM:
        return []
    return [round(low + (high - low) * part / 4) for part in range(5)]


def drawn(chart: Chart, width: int, *, colour: bool) -> str:
    """Curves as characters; each has its mark, so that they differ without colour too."""
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, CHART_ROWS)
    figure.title(f"{chart.title} ({chart.y})")
    marks: Mapping[str, str] = dict(
        zip((one.name for one in chart.curves), MARKS * len(chart.curves), strict=False)
    )
    for curve in reversed(chart.curves):  # the first of them, ours, lies on top
        xs, ys = zip(*curve.points, strict=True) if curve.points else ((), ())
        signal = figure.signal(list(xs), list(ys), marker=None if colour else marks[curve.name])
        signal.lines()
        if colour:
            signal.label(curve.name)
        figure.draw(signal)
    figure.label(chart.x, axis="x")
    if spots := _ticks(chart):
        figure.ruler(axis="x").ticks(spots, [f"{spot:,}" for spot in spots])
    if colour:
        figure.legend(x=width - 10, ha="right")
    text: str = figure.build().string(colorless=not colour)
    figure.clear()
    if colour:
        return text
    return text + "  ".join(f"{mark} {name}" for name, mark in marks.items()) + "\n"
