"""`laike bench`: every measurement there is, or one of them.

Must live here: the list. Must not: measuring (benches/ does, one file each).
"""

from importlib import import_module
from typing import Any

from rich.console import Console
from rich.table import Table

BENCHES = ("throughput", "rules", "backtest", "scoring", "kafka", "memory", "http")
BY_NAME = ("durability",)  # of another kind, and minutes long: only when asked for


class UnknownBench(ValueError):  # noqa: N818 - said of what was typed
    """There is no bench of that name."""


def bench(only: str | None, console: Console) -> dict[str, Any]:
    """Run all benches, or the one named; figures by bench, each a dict of numbers."""
    if only is not None and only not in (*BENCHES, *BY_NAME):
        raise UnknownBench(f"{only!r} is no bench: {', '.join((*BENCHES, *BY_NAME))}")
    found: dict[str, Any] = {}
    for name in (only,) if only else BENCHES:
        console.print(f"[bold]{name}[/bold]")
        found[name] = import_module(f"simulator.benches.{name}").measure(console)
        _show(found[name], console)
    return found


def _show(figures: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in figures.items():
        if isinstance(value, list):  # rows, which the bench has shown as a table
            continue
        table.add_row(
            name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)
        )
    console.print(table)
