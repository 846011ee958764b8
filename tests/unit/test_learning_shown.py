"""The engine's own models for people: what a figure means, no chart of chance, whole numbers."""

from types import SimpleNamespace

from rich.console import Console

from simulator.learning_engine import MEANING, sections
from simulator.learning_shown import show

POINTS = [(14, 0.1), (100, 0.5), (5_000, 0.6), (14_607, 0.7)]


def tables(*metrics):
    rows = [("purchase_24h", name, at, value, "3e2101b4b452ff")
            for name in metrics for at, value in POINTS]  # fmt: skip
    return SimpleNamespace(query=lambda _sql: SimpleNamespace(result_rows=rows))


def test_a_figure_says_what_it_means_on_one_line_of_80(capsys):
    ((_, found),) = sections(tables("auc", *MEANING))
    show(found, Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    for name, meaning in MEANING.items():
        assert any(name.replace("_", " ") in line and meaning in line for line in lines), name


def test_charts_leave_out_the_first_examples_and_mark_whole_numbers(capsys):
    ((model, found),) = sections(tables("auc", "challenger_auc"))
    assert model == "purchase_24h"
    (chart,) = found.charts
    assert [(one.name, one.points) for one in chart.curves] == [
        ("auc", POINTS[1:]),
        ("challenger auc", POINTS[1:]),
    ]
    show(found, Console(width=80))
    told = capsys.readouterr().out
    assert "14,607" in told.splitlines()[-3]
    assert "● auc  ○ challenger auc" in told
