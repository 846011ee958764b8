"""`python -m simulator faults`: its options, its table, its exit code.

Must live here: the words of this command. Must not: the runs. 0 when every seed holds, 1 when one
does not (with its shortest trace), 2 used wrongly.
"""

import argparse
import json
import os
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from simulator.arguments import positive
from simulator.faults.mutations import MUTATIONS
from simulator.faults.run import Outcome
from simulator.faults.seeds import run, summary
from simulator.faults.shrink import shortest
from simulator.progress import bar

EXAMPLE = "example: python -m simulator faults --seeds 1000; python -m simulator faults --seed 42"
SHRUNK_MAX = 2


def main(arguments: list[str]) -> int:
    """Run, show, and say by the exit code whether all held."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=asked.json)
    first = asked.seed if asked.seed is not None else asked.start
    count = asked.seeds if asked.seeds is not None else 1 if asked.seed is not None else 100
    seeds = range(first, first + count)
    began = time.monotonic()
    with bar("faults by seed", console) as told:
        outcomes = run(seeds, asked.jobs, asked.mutate, told)
    report = summary(outcomes) | {"seconds": round(time.monotonic() - began, 1)}
    failed = [outcome for outcome in outcomes if outcome.failures]
    report["failures"] = [
        _shown(outcome, asked.mutate, shrink=number < SHRUNK_MAX)
        for number, outcome in enumerate(failed)
    ]
    _show(report, console, asked.mutate)
    if asked.json:
        print(json.dumps(report), flush=True)
    return int(bool(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator faults",
        description="The real pipeline in a simulated world that breaks at every step boundary, by"
        " a seed; an auditor that knows nothing of the engine judges what came of it.",
        epilog=EXAMPLE,
    )
    add = parser.add_argument
    add("--seeds", type=positive, metavar="N", help="how many seeds (100; 1 with --seed)")
    add("--seed", type=int, metavar="N", help="this seed, or the first of --seeds")
    add("--start", type=int, default=0, metavar="N", help=argparse.SUPPRESS)
    add("--jobs", type=positive, default=os.cpu_count() or 1, metavar="N",
        help="processes side by side (one a core)")  # fmt: skip
    add(
        "--mutate", choices=sorted(MUTATIONS), default="", help="break the engine: it must be found"
    )
    add("--json", action="store_true", help="one JSON object as the last line")
    return parser


def _shown(outcome: Outcome, mutation: str, *, shrink: bool) -> dict[str, Any]:
    """A failure for people and programs, its story made as short as it gets."""
    told: dict[str, Any] = {"seed": outcome.seed, "why": outcome.failures[:10]}
    if shrink:
        allowed, found = shortest(outcome, mutation)
        told |= {
            "shortest": {"events": allowed.events, "faults": found.faults, "steps": found.steps},
            "why_shortest": found.failures[:3],
            "trace": found.trace,
        }
    return told


def _show(report: dict[str, Any], console: Console, mutation: str) -> None:
    table = Table("fault", "times", box=None)
    for kind, times in report["faults"].items():
        table.add_row(kind, f"{times:,}")
    console.print(table)
    for failure in report["failures"]:
        console.print(f"[bold red]seed {failure['seed']} fails[/]")
        for line in [*failure["why"], *failure.get("trace", ())]:
            console.print(f"  {line[:400]}", markup=False, highlight=False, soft_wrap=True)
        if "shortest" in failure:
            console.print(f"  shortest: {failure['shortest']}", markup=False)
    times = report["recovery_ms"]
    bad = "[bold red]" if report["failures"] else "[bold green]"
    console.print(
        f"{report['seeds']:,} seeds{f' with {mutation} broken' if mutation else ''},"
        f" {report['steps']:,} steps, {sum(report['faults'].values()):,} faults,"
        f" {report['workload'].get('events', 0):,} events in {report['seconds']:.0f} s\n"
        f"{bad}lost = {report['lost']}, duplicated = {report['duplicated']},"
        f" failing seeds = {len(report['failures'])}[/]; recovered (simulated, last fault to lag 0)"
        f" p50 {times['p50'] / 1000:.2f} s, p99 {times['p99'] / 1000:.2f} s"
    )
