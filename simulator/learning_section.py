"""What a report on learning is made of: a section has rows, curves and figures.

Must live here: the shapes, and how a report finds its data. Must not: a report (learning_*.py),
showing one (learning_shown.py, learning_page.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Curve:
    """A line of a chart: what it is, its points (x, y) in order."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Curves over the same axes."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Section:
    """One question and what was measured: ours and the baselines, a row each.

    `protocol` says in words how it was measured; `rows` share their keys, in order, the first names
    the row; `figures` is what --json tells, plain values.
    """

    title: str
    protocol: str
    rows: Sequence[Mapping[str, Any]]
    figures: Mapping[str, Any]
    charts: Sequence[Chart] = field(default=())


def data_file(path: Path, *names: str) -> Path | None:
    """The first file of these names: `path` itself, or in the folder it is, in any depth.

    None where there is none of them: the report has nothing to say of this path.
    """
    if path.is_file():
        return path if path.name in names else None
    return next((file for name in names for file in sorted(path.rglob(name))), None)
