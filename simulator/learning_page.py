"""A report on learning as one HTML file that needs no other, and each chart of it as PNG.

Must live here: the page. Must not: words that the terminal has too (learning_shown.py), measuring.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jinja2
from matplotlib.figure import Figure

from simulator.learning_section import Chart, Section
from simulator.learning_shown import is_number, keys, told

_PAGE: Final = Path(__file__).with_suffix(".html.j2")
Named = Sequence[tuple[str, Section]]


def write(sections: Named, folder: Path, name: str) -> list[Path]:
    """Write the page and its charts; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    charts: dict[str, list[dict[str, str]]] = {}
    written = []
    for key, section in sections:
        charts[key] = []
        for at, chart in enumerate(section.charts, 1):
            png = _png(chart)
            written.append(folder / f"{key}-{at}.png")
            written[-1].write_bytes(png)
            charts[key].append({"title": chart.title, "png": base64.b64encode(png).decode()})
    template = jinja2.Environment(autoescape=True).from_string(_PAGE.read_text(encoding="utf-8"))
    page = template.render(
        name=name, sections=sections, charts=charts, columns=keys, number=is_number, told=told
    )
    written.insert(0, folder / "learning.html")
    written[0].write_text(page, encoding="utf-8")
    return written


def _png(chart: Chart) -> bytes:
    """The curves, the first of them (ours) on top."""
    figure = Figure(figsize=(8.6, 3.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    for at, curve in enumerate(chart.curves):
        xs, ys = zip(*curve.points, strict=True) if curve.points else ((), ())
        width = 2.2 if at == 0 else 1.3
        mark = "o" if len(xs) == 1 else None
        axes.plot(xs, ys, label=curve.name, linewidth=width, marker=mark, zorder=10 - at)
    axes.set_title(chart.title, loc="left", fontsize=11)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.25)
    if len(chart.curves) > 1:
        axes.legend(frameon=False, fontsize=9)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
