"""`python -m simulator kills`: its options, its table, its exit code.

Must live here: the words of this command. Must not: the run. 0 nothing lost or duplicated, 1 not so
or no run could be made, 2 used wrongly.
"""

import argparse
import json
import logging
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.logs import broker
from simulator.arguments import positive
from simulator.kills.run import Plan, run_in_a_folder

EXAMPLE = "example: python -m simulator kills --kills 100 --log redis --seed 7 --json"


def main(arguments: list[str]) -> int:
    """Run, show, and say by the exit code whether it was clean."""
    asked = _parser().parse_args(arguments)
    if asked.log == "kafka" and (why := broker.missing()):
        sys.stderr.write(f"kills: {why}\n")
        return 1
    # It tells every try to reach what was killed.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    plan = Plan(
        kills=asked.kills, log=asked.log, seed=asked.seed, customers_per_second=asked.customers
    )
    report = run_in_a_folder(plan)
    show(report, Console(stderr=asked.json))
    if asked.json:
        print(json.dumps(report), flush=True)
    return int(not report["clean"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator kills",
        description="Kill real workers, Redis, Kafka, ClickHouse and the relay under traffic, by a"
        " seed; then audit every row, commit and message against what was sent.",
        epilog=EXAMPLE,
    )
    add = parser.add_argument
    add("--kills", type=positive, default=100, metavar="N", help="at least so many kill -9 (100)")
    add("--log", choices=("redis", "kafka"), default="redis", help="the log under the engine")
    add("--seed", type=int, default=1, metavar="N", help="which faults, in which order (1)")
    add("--customers", type=positive, default=25, metavar="N", help="new ones a second (25)")
    add("--json", action="store_true", help="one JSON object as the last line")
    return parser


def show(report: dict[str, Any], console: Console) -> None:
    """The report as a person reads it."""
    table = Table("after", "times", "decided p50", "p99", "a row p50", "p99", box=None)
    for kind, told in {
        **report["recovery_by_kind"],
        "all faults": report["recovery_seconds"],
    }.items():
        names = ("decided_p50", "decided_p99", "carried_p50", "carried_p99")
        times = [f"{told[name]:.1f} s" if name in told else "" for name in names]
        table.add_row(kind, str(told["number"]), *times)
    console.print(table)
    console.print(
        f"{report['kills']} kills -9 on the {report['log']} log, seed {report['seed']},"
        f" {report['seconds']:.0f} s: {report['events']:,} events,"
        f" {report['decisions']:,} decisions, {report['coupons']:,} coupons,"
        f" {report['messages']:,} messages"
    )
    bad = "[bold red]" if not report["clean"] else "[bold green]"
    console.print(
        f"{bad}lost = {report['lost']}, duplicated = {report['duplicated']},"
        f" wrong = {report['wrong']}[/], redelivered = {report['redelivered']}"
    )
    for line in report["findings"]:
        console.print(line, markup=False, soft_wrap=True)
    if "folder" in report:
        console.print(f"what was left is in {report['folder']}", soft_wrap=True)
