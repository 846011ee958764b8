"""A bar for long work in a terminal; nothing but a last line elsewhere.

Must live here: how progress looks. Must not: work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def bar(title: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told (done, of how much or 0); shows it under `title`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total or None)
