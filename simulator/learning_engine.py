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
    "AUC": ("auc", "challenger_auc"),
}
DRAWN_FROM: Final = 100  # examples: fewer are chance, and would squeeze the rest
MEANING: Final = {
    "accuracy": "share told right",
    "auc": "0.5 is a coin, 1 is perfect",
    "base_accuracy": "of always saying the more frequent kind",
    "base_hit_rate": "of showing what is trending",
    "base_log_loss": "of always saying the rate so far",
    "base_loss": "of always saying the mean so far",
    "brier": "0 is perfect",
    "calibration_error": "how far a chance is from what came of it",
    "challenger_wealth": "it takes over at 1,000",
    "drifts": "times its loss had grown",
    "hit_rate": "20 shown had some of what was ordered",
    "log_loss": "less is better",
    "policy_gain": "0.1: the best arm brings a tenth more",
    "positive_rate": "share of examples that came true",
    "recent_loss": "since it grew or shrank last",
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
        rows = [{"figure": name.replace("_", " "), "value": value, "": MEANING.get(name, "")}
                for name, value in figures.items() if name != "version"]  # fmt: skip
        protocol = f"Version {versions[model][:12]}. {PROTOCOL}"
        title = model.replace("_", " ")
        yield model, Section(title, protocol, rows, figures, [*_charts(metrics)])


def _charts(metrics: dict[str, list[tuple[int, float]]]) -> Iterator[Chart]:
    for title, names in DRAWN.items():
        drawn = {name: [point for point in metrics.get(name, ()) if point[0] >= DRAWN_FROM]
                 for name in names}  # fmt: skip
        curves = [Curve(name.replace("_", " "), points)
                  for name, points in drawn.items() if len(points) > 1]  # fmt: skip
        if curves:
            yield Chart(f"{title} over the examples", "examples", title, curves)
