"""A backtest's report for people in a terminal: a table, what conversions say, a chart.

Must live here: words and columns. Must not: counting. The page of it is backtest_page.py.
"""

from collections import Counter
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import plotext
from rich.console import Console
from rich.table import Table

from simulator.backtest_report import Report

CHART_ROWS: Final = 13
BARS_MAX: Final = 62
HELD_MAX: Final = 4
NAME_MAX: Final = 24
READING: Final = (
    "Treated and holdout are the arms that these rules give each customer. If the rules did not "
    "run in this history, the difference is chance alone, and half its interval is the smallest "
    "lift that so many customers would show."
)


def show(found: Report, console: Console, name: str) -> None:
    """Print all of it."""
    console.print(head(found, name), markup=False, highlight=False)
    console.print(_rules(found))
    console.print(_conversions(found))
    console.print(READING, style="dim", markup=False)
    for told in notes(found):
        console.print(told, markup=False, highlight=False)
    if found["acts"]:
        colour = console.color_system is not None
        console.print(chart(found, min(console.width, 100), colour=colour), end="", markup=False,
                      highlight=False, soft_wrap=True)  # fmt: skip


def head(found: Report, name: str) -> str:
    """What was replayed, and what came of it in one line."""
    start, end = (clock(found[key], found) for key in ("from", "to"))
    return (
        f"{name}: {found['events']:,} events, {start} to {end} ({found['timezone']})\n"
        f"{found['acts']:,} decisions for {found['customers']:,} customers: "
        f"{found['coupons']:,} coupons, at most {amount(found['cost'])} {found['currency']}"
    )


def clock(at: int, found: Report) -> str:
    """A moment in the shop's zone."""
    zone = ZoneInfo(found["timezone"])
    return datetime.fromtimestamp(at / 1_000, zone).strftime("%Y-%m-%d %H:%M")


def amount(value: float) -> str:
    """Money, without fen where there are none."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def held(one: Report) -> str:
    """What held it back, the most frequent first."""
    ordered = Counter[str](one["held"]).most_common()
    told = [f"{reason} {number:,}" for reason, number in ordered[:HELD_MAX]]
    more = sum(number for _, number in ordered[HELD_MAX:])
    return ", ".join([*told, *([f"others {more:,}"] if more else [])])


def percent(value: float | None, *, signed: bool = False) -> str:
    """A share, or a dash for none."""
    if value is None:
        return "–"
    return f"{value * 100:+.1f}%" if signed else f"{value * 100:.1f}%"


def arm(one: dict[str, Any]) -> str:
    """An arm's customers and the share of them that bought."""
    return f"{percent(one['rate'])} of {one['customers']:,}"


def interval(found: dict[str, Any]) -> str:
    """The difference and its interval."""
    if found["lift"] is None:
        return "–"
    low, high = (percent(found[name], signed=True) for name in ("low", "high"))
    return f"{percent(found['lift'], signed=True)} ({low} to {high})"


def notes(found: Report) -> list[str]:
    """What one should know beside the figures."""
    told = []
    if found["not_run"]:
        names = ", ".join(f"{name} ({status})" for name, status in found["not_run"].items())
        told.append(f"not run: {names}; name one with --rule to try it as if live")
    if idle := [name for name in found["rules"] if name not in active(found)]:
        told.append(f"nothing of this history began: {', '.join(idle)}")
    if pairs := Counter[str](found["collisions"]).most_common():
        shown = ", ".join(f"{pair} {days:,}" for pair, days in pairs[:HELD_MAX])
        more = f", and {len(pairs) - HELD_MAX} more pairs" if len(pairs) > HELD_MAX else ""
        told.append(f"one customer, one day, two rules (times): {shown}{more}")
    if found["quarantined"]:
        told.append(f"{found['quarantined']:,} events would be quarantined")
    return told


def active(found: Report) -> dict[str, Any]:
    """The rules that decided anything, or were held."""
    return {name: one for name, one in found["rules"].items() if one["acts"] or one["held"]}


def _name_column(table: Table, found: Report) -> None:
    """The rules' names stay whole, unless very long: the last column folds first."""
    least = min(max(map(len, active(found)), default=0), NAME_MAX)
    table.add_column("rule", overflow="fold", min_width=least)


def _rules(found: Report) -> Table:
    table = Table(header_style="bold", expand=False)
    _name_column(table, found)
    for name in ("decisions", "customers", "coupons", f"cost ({found['currency']})"):
        table.add_column(name, justify="right")
    table.add_column("held back", overflow="fold")
    for name, one in active(found).items():
        figures = (f"{one['acts']:,}", f"{one['customers']:,}", f"{one['coupons']:,}")
        table.add_row(name, *figures, amount(one["cost"]), held(one))
    return table


def _conversions(found: Report) -> Table:
    days = f"{found['window_days']:g}"
    table = Table(header_style="bold", title=f"bought within {days} days of the first entry",
                  title_justify="left", title_style="")  # fmt: skip
    _name_column(table, found)
    for name in ("treated", "holdout", "difference (95% interval)", "too recent"):
        table.add_column(name, justify="right")
    for name, one in active(found).items():
        what = one["conversions"]
        young = f"{what['too_young']:,}"
        table.add_row(name, arm(what["treated"]), arm(what["holdout"]), interval(what), young)
    return table


def periods(found: Report) -> tuple[str, list[str], dict[str, list[int]]]:
    """Decisions by day, or by week or month where days are too many: unit, names, by rule."""
    days = sorted({day for one in found["rules"].values() for day in one["days"]})
    first, last = (date.fromisoformat(day) for day in (days[0], days[-1]))
    span = (last - first).days + 1
    unit = "day" if span <= BARS_MAX else "week" if span <= 7 * BARS_MAX else "month"
    names = list(
        dict.fromkeys(
            _period(date.fromordinal(number), unit)
            for number in range(first.toordinal(), last.toordinal() + 1)
        )
    )
    counts: dict[str, list[int]] = {}
    for rule, one in found["rules"].items():
        found_in: Counter[str] = Counter()
        for day, number in one["days"].items():
            found_in[_period(date.fromisoformat(day), unit)] += number
        if found_in:
            counts[rule] = [found_in[name] for name in names]
    return unit, names, counts


def _period(day: date, unit: str) -> str:
    if unit == "day":
        return day.isoformat()[5:]
    if unit == "month":
        return day.isoformat()[:7]
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def chart(found: Report, width: int, *, colour: bool) -> str:
    """Decisions over time, as bars of characters."""
    unit, names, counts = periods(found)
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, CHART_ROWS)
    figure.title(f"decisions that acted, by {unit}")
    figure.draw(figure.bar(names, totals))
    drawn: str = figure.build().string(colorless=not colour)
    figure.clear()
    return drawn
