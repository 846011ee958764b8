"""A backtest's report as one HTML file that needs no other, and its chart as PNG.

Must live here: the page. Must not: words that the terminal has too (backtest_shown.py), counting.
"""

import base64
import io
from pathlib import Path
from typing import Final

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from simulator.backtest_report import Report
from simulator.backtest_shown import (
    READING,
    active,
    amount,
    arm,
    clock,
    held,
    interval,
    notes,
    periods,
)

DECISIONS_MAX: Final = 500
TICKS_MAX: Final = 8
_PAGE: Final = Path(__file__).with_suffix(".html.j2")


def write_page(found: Report, path: Path, name: str) -> None:
    """Write the page."""
    chart = base64.b64encode(_png(found)).decode() if found["acts"] else ""
    template = jinja2.Environment(autoescape=True).from_string(_PAGE.read_text(encoding="utf-8"))
    page = template.render(
        r=found,
        rules=active(found),
        name=name,
        chart=chart,
        start=clock(found["from"], found),
        end=clock(found["to"], found),
        shown=DECISIONS_MAX,
        reading=READING,
        notes=notes(found),
        amount=amount,
        arm=arm,
        held=held,
        interval=interval,
        clock=lambda at: clock(at, found),
    )
    path.write_text(page, encoding="utf-8")


def write_chart(found: Report, path: Path) -> None:
    """Write the chart alone, as PNG."""
    path.write_bytes(_png(found))


def _png(found: Report) -> bytes:
    """Decisions over time, rule upon rule."""
    figure = Figure(figsize=(10.6, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    if found["acts"]:
        unit, names, counts = periods(found)
        under = [0] * len(names)
        hues = mpl.colormaps["tab20"]
        for number, (rule, numbers) in enumerate(counts.items()):
            hue = hues((2 * number + number // 10) % hues.N)  # the ten strong ones first
            axes.bar(range(len(names)), numbers, bottom=under, label=rule, width=0.8, color=hue)
            under = [a + b for a, b in zip(under, numbers, strict=True)]
        every = -(-len(names) // TICKS_MAX)
        axes.set_xticks(range(0, len(names), every), names[::every])
        axes.legend(
            frameon=False, fontsize=9, reverse=True, loc="upper left", bbox_to_anchor=(1, 1)
        )
        axes.set_title(f"Decisions that acted, by {unit}", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
