"""How an engine's own models do, from what its learner wrote to ClickHouse over time.

Must live here: those sections. Must not: reports on files of data (learning.py lists them).
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from simulator.learning_section import Chart, Curve, Section

METRICS: Final = """SELECT model, metric, examples, value, version
  FROM model_metrics FINAL ORDER BY model, metric, examples, at"""
PROTOCOL: Final = (
    "Each example is predicted before it is learned from, so no figure has seen its own answer."
)
DRAWN: Final = {  # the figures that a chart shows together
    "log loss": ("log_loss", "base_log_loss", "challenger_log_loss"),
    "AUC": ("auc",),
}


def sections(client: Any) -> Iterator[tuple[str, Section]]:
    """One a model: its figures as published last, and over its examples."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    versions: dict[str, str] = {}
    for model, metric, examples, value, version in client.query(METRICS).result_rows:
        found[model][metric].append((examples, value))
        versions[model] = version
    for model, metrics in found.items():
        last = {metric: points[-1][1] for metric, points in metrics.items()}
        examples = max(points[-1][0] for points in metrics.values())
        figures = {"version": versions[model], "examples": examples, **last}
        rows = [{"figure": name.replace("_", " "), "value": value}
                for name, value in figures.items() if name != "version"]  # fmt: skip
        title = f"{model}, version {versions[model][:12]}"
        yield model, Section(title, PROTOCOL, rows, figures, [*_charts(metrics)])


def _charts(metrics: dict[str, list[tuple[int, float]]]) -> Iterator[Chart]:
    for title, names in DRAWN.items():
        curves = [Curve(name, metrics[name]) for name in names if len(metrics.get(name, ())) > 1]
        if curves:
            yield Chart(f"{title} over the examples", "examples", title, curves)
