"""`python -m simulator lift`: whether the interval of v_lift covers the true lift, by seed.

Must live here: many seeds, the question put to the real view, the answer told. Must not: a seed's
lives (lift_trial.py), the formula. Exit code 0 when at least 93 of 100 seeds are covered, and what
does nothing is taken for something in at most 5 of 100 however often it is looked at; else 1.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from simulator.arguments import positive
from simulator.confidence import looks
from simulator.lift_trial import TABLES, Design, Trial, trial
from simulator.progress import bar
from sinks.clickhouse import connect, insert, migrate
from sinks.embedded.process import start

EXAMPLE: Final = "example: python -m simulator lift --seeds 100 --json"
COVERED_MIN: Final = 0.93
ERROR_MAX: Final = 0.05
LOOKED_SEEDS: Final = 300
Found = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Try, show, and say by the exit code whether the intervals hold."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=asked.json)
    began = time.monotonic()
    with bar("lift by seed", console) as told:
        found = []
        for one in estimates(range(asked.start, asked.start + asked.seeds), asked.jobs, Design()):
            found.append(one)
            told(len(found), asked.seeds)
    report = summary(found) | watched(LOOKED_SEEDS)
    report["seconds"] = round(time.monotonic() - began, 1)
    _show(report, console)
    if asked.json:
        print(json.dumps(report), flush=True)
    holds = report["coverage"] >= COVERED_MIN and report["error_watched"] <= ERROR_MAX
    return int(not holds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator lift",
        description="A made-up shop by seed, whose truth is known: lived as it is, all treated and"
        " all held out. What ClickHouse's v_lift estimates of the first is held against the"
        " difference of the others.",
        epilog=EXAMPLE,
    )
    parser.add_argument("--seeds", type=positive, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first seed (0)")
    parser.add_argument(
        "--jobs", type=positive, default=2, metavar="N", help="processes side by side (2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser


def estimates(seeds: Sequence[int], jobs: int, design: Design) -> Iterator[Found]:
    """Each seed's truth beside what the view says of it."""
    with tempfile.TemporaryDirectory(prefix="laike-lift-") as folder, start(Path(folder)) as server:
        client = connect(server.url)
        migrate(client)
        with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
            for one in pool.imap_unordered(partial(trial, design=design), seeds):
                yield _asked(client, one, design)
        client.close()


def _asked(client: Client, one: Trial, design: Design) -> Found:
    """What an analyst would read of this seed, against its truth."""
    for table in TABLES:
        client.command(f"TRUNCATE TABLE {table}")
        if one.rows[table]:
            insert(client, table, one.rows[table])
    until = dt.datetime.fromtimestamp(design.counted / 1000, dt.UTC)
    (row,) = client.query(
        f"SELECT * FROM v_lift(days = {design.window}, until = '{until:%Y-%m-%d}')"  # noqa: S608
    ).named_results()
    half = row["half_width_fixed_n"]
    return {
        "seed": one.seed, "events": one.events, "n1": row["n1"], "n0": row["n0"],
        "entered": one.entered, "lift": row["lift"], "low": row["lift_low"],
        "high": row["lift_high"], "true_lift": one.lift,
        "covered": _within(one.lift, row["lift_low"], row["lift_high"]),
        "covered_fixed": abs(row["lift"] - one.lift) <= half,
        "true_revenue": one.revenue, "revenue": row["revenue_a_customer"],
        "covered_revenue": _within(one.revenue, row["revenue_low"], row["revenue_high"]),
    }  # fmt: skip


def _within(truth: float, low: float | None, high: float | None) -> bool:
    """Whether the interval is there and holds the truth."""
    return low is not None and high is not None and low <= truth <= high


def summary(found: Sequence[Found]) -> Found:
    """What many seeds come to."""
    many = len(found)

    def share(name: str) -> float:
        return float(sum(one[name] for one in found)) / many

    known = [one for one in found if one["low"] is not None]
    return {
        "seeds": many, "covered": sum(one["covered"] for one in found),
        "coverage": share("covered"), "coverage_revenue": share("covered_revenue"),
        "coverage_fixed_n": share("covered_fixed"), "no_interval": many - len(known),
        "true_lift": share("true_lift"), "estimated_lift": share("lift"),
        "half_width": sum(one["high"] - one["low"] for one in known) / 2 / max(len(known), 1),
        "customers_counted": round(share("n1") + share("n0")),
        "not_covered": [one["seed"] for one in found if not one["covered"]],
    }  # fmt: skip


def watched(seeds: int) -> Found:
    """How often a rule that does nothing, watched at 200 looks, is taken for one that does."""
    found = [looks(seed, share=0.1, buys=0.05) for seed in range(seeds)]
    sequential, usual = (sum(kind) / seeds for kind in zip(*found, strict=True))
    return {"error_watched": sequential, "error_watched_fixed_n": usual, "watched_seeds": seeds}


def _show(report: Found, console: Console) -> None:
    table = Table(show_header=False, box=None)
    for name, value in report.items():
        told = f"{value:.4f}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " "), told)
    console.print(table)
