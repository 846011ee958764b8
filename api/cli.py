"""The command `laike`: names, options and exit codes; what a command does is imported inside it.

Must live here: the command line's words. Must not: work. `laike --help` imports none of the engine.
Exit codes: 0 done, 1 failed, 2 used wrongly. With `--json` the last line is one JSON object.
"""

# ruff: noqa: PLC0415 - an import inside a command is what keeps `laike --help` quick

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api import (
    cli_access,
    cli_approval,
    cli_coupons,
    cli_kill,
    cli_learn,
    cli_preview,
    cli_rejected,
    cli_rights,
    cli_rules_tools,
    cli_sources,
)
from api.cli_values import duration

if TYPE_CHECKING:
    from rich.console import Console

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="laike",
    help="Laike (来客): events stream in, rules decide, act and learn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
rules_app = typer.Typer(no_args_is_help=True, help="The marketers' rule files.")
app.add_typer(rules_app, name="rules")
app.add_typer(cli_rejected.quarantine, name="quarantine")
app.add_typer(cli_access.users, name="users")
app.add_typer(cli_access.tokens, name="tokens")
app.add_typer(cli_sources.sources, name="sources")
app.add_typer(cli_rights.rights)
app.add_typer(cli_kill.kill)
app.add_typer(cli_rights.keys, name="keys")
app.add_typer(cli_learn.learn, name="learn")
app.add_typer(cli_approval.audit, name="audit")
app.add_typer(cli_coupons.coupons, name="coupons")
rules_app.registered_commands += cli_approval.rules.registered_commands
rules_app.registered_commands += cli_rules_tools.rules.registered_commands
rules_app.registered_commands += cli_preview.rules.registered_commands


class ClockChoice(StrEnum):
    """Whose time a data folder lives in."""

    wall = "wall"
    record = "record"


HERE, REPLAYS = Path(".laike"), Path(".laike-replay")
RULES = Path(__file__).resolve().parent.parent / "rules"
DataOption = Annotated[Path, typer.Option("--data", help="The data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]
RulesOption = Annotated[Path, typer.Option("--rules", help="The folder of the rule files.")]
RulesFolder = Annotated[Path, typer.Argument(help="The folder of the rule files.")]


@app.command()
def up(
    seconds: Annotated[
        float | None,
        typer.Option("--for", parser=duration, metavar="TIME", help="End by itself: 30s, 2m, 1h."),
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Made-up events a second.")] = None,
    no_simulate: Annotated[
        bool, typer.Option("--no-simulate", help="No made-up shop; a new folder gets wall time.")
    ] = False,
    clock: Annotated[
        ClockChoice | None, typer.Option(help="A new folder's time: record (a day in 4 s) or wall.")
    ] = None,
    data: DataOption = HERE,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The API's port.")] = None,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Run a whole engine on this machine, with a made-up shop; Ctrl-C drains and ends it.

    Example: laike up --for 30s --json
    """
    from api.up import up as run
    from api.up_stack import Plan

    plan = Plan(
        data=data,
        rules=rules,
        command="laike up",
        port=port,
        clock=clock.value if clock else None,
        default_clock="wall" if no_simulate else "record",
        simulate=not no_simulate,
        rate=rate,
    )
    summary = run(plan, seconds, _console(as_json), quiet=as_json)
    _end(summary, as_json, good=summary["clean"])


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file of history.")],
    data: DataOption = REPLAYS,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop before: 2011-06-01[T12:00].")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="How columns become events: a name that ships, or a YAML.")
    ] = None,
    pace: Annotated[
        float | None, typer.Option(min=0.001, help="So many times true pace; else flat out.")
    ] = None,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Replay history through an engine, started on the folder if none runs there; then end.

    Example: laike replay taobao_2h_stream.csv.gz --data .laike-replay --json
    """
    from api.up_replay import replay as run

    summary = run(file, data, rules, _console(as_json), until=until, mapping=mapping, pace=pace)
    _end(summary, as_json, good=summary["drained"] or summary["stopped"])


@app.command()
def worker() -> None:
    """Run a worker of the engine that the LAIKE_* variables name.

    Example: LAIKE_LOG=kafka://kafka:9092 LAIKE_REDIS=redis://redis:6379 laike worker
    """
    from engine.settings import Settings
    from engine.worker import main as run

    raise typer.Exit(run(Settings.load()))


@app.command()
def api(
    no_background: Annotated[
        bool, typer.Option("--no-background", help="The door alone, no relay and learner.")
    ] = False,
) -> None:
    """Run the HTTP door, with relay, archiver and learner beside it.

    Example: LAIKE_LOG=kafka://kafka:9092 laike api --no-background
    """
    from api import cli_parts
    from engine.settings import Settings

    cli_parts.log_to_stderr()
    cli_parts.api(Settings.load(), background=not no_background)


@app.command()
def relay() -> None:
    """Run the relay and the archiver alone.

    Example: LAIKE_CLICKHOUSE=http://clickhouse:8123 laike relay
    """
    from api import cli_parts
    from engine.settings import Settings

    cli_parts.log_to_stderr()
    cli_parts.relay(Settings.load())


@app.command()
def learner() -> None:
    """Run the learner alone.

    Example: LAIKE_REDIS=redis://redis:6379 laike learner
    """
    from api import cli_parts
    from engine.settings import Settings

    cli_parts.log_to_stderr()
    cli_parts.learner(Settings.load())


@app.command()
def migrate(rules: RulesOption = RULES) -> None:
    """Put the tables, the topic and the rules in place, once, before the other parts start.

    Example: LAIKE_CLICKHOUSE=http://clickhouse:8123 laike migrate
    """
    from api import cli_parts
    from engine.settings import Settings

    cli_parts.log_to_stderr()
    cli_parts.put_in_place(Settings.load(rules=rules))


@app.command()
def simulate(
    data: DataOption = HERE,
    url: Annotated[str | None, typer.Option("--api", help="Another API than the folder's.")] = None,
    write_key: Annotated[str | None, typer.Option(help="Another key than the folder's.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Events a second; 0 flat out.")] = None,
    customers: Annotated[int, typer.Option(min=1, help="How many people, in a new world.")] = 1000,
    days: Annotated[int, typer.Option(min=0, help="Days of history, in a new world.")] = 60,
    seed: Annotated[int, typer.Option(help="Which world, if it is a new one.")] = 1,
) -> None:
    """Send made-up traffic into a running engine, until Ctrl-C; started again it goes on.

    Example: laike simulate --data .laike --rate 500
    """
    from api.cli_settings import engine_settings, with_api
    from api.sources import ensure_sources
    from simulator.simulate import run

    settings = engine_settings(data)
    key = write_key or ensure_sources(settings.data).get("server", "")
    if not key:
        raise typer.BadParameter("the folder's keys are not known any more", param_hint="write-key")
    named = with_api(settings, url)
    typer.echo(f"sending to http://{named.host}:{named.port}; Ctrl-C ends it", err=True)
    done = run(named, key, rate=rate, customers=customers, days=days, seed=seed)
    typer.echo(f"{done.events_in:,} events sent; the next start goes on from there", err=True)


@app.command()
def query(
    sql: str,
    data: DataOption = HERE,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV; a text that begins like a formula gets a ' before.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask ClickHouse: the running engine's, or the folder's when none runs there.

    Example: laike query "SELECT rule, result, count() FROM decisions FINAL GROUP BY ALL"
    """
    from api.cli_settings import clickhouse_of
    from sinks.query import query as run

    if as_csv and as_json:
        raise typer.BadParameter("either --csv or --json", param_hint="--csv")
    address = clickhouse_of(data)
    raise typer.Exit(run(sql, url=address, data=data, as_json=as_json, as_csv=as_csv))


@app.command()
def bench(
    only: Annotated[str | None, typer.Option(metavar="NAME", help="One bench alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this is, beside a plain Faust agent.

    Example: laike bench --only throughput --json
    """
    from simulator.bench import bench as run

    found = run(only, _console(as_json))
    _end(found, as_json, good=True)


@app.command()
def doctor(
    data: DataOption = HERE,
    reach: Annotated[
        bool, typer.Option("--reach", help="Whether the engine's log and stores answer.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at this machine, the folder and, if one runs, the engine: what is wrong and what to do.

    Example: laike doctor --data .laike
    """
    from api.cli_doctor import look, show

    checks = look(data, reach=reach)
    if as_json:
        _print_json({"checks": [vars(check) for check in checks]})
    else:
        show(checks, _console(as_json))
    raise typer.Exit(int(any(check.verdict == "fail" for check in checks)))


@rules_app.command("check")
def rules_check(folder: RulesFolder = RULES, as_json: JsonOption = False) -> None:
    """Read every rule file and say everything that is wrong, each with file:line:column.

    Example: laike rules check rules
    """
    from api.cli_rules import check

    raise typer.Exit(check(folder, as_json))


@rules_app.command("test")
def rules_test(
    rule: Annotated[
        list[str] | None, typer.Argument(help="Rules by name, or a file or folder.")
    ] = None,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Run the `examples:` of the rule files through the real decisions.

    Example: laike rules test cart-rescue
    """
    from api.cli_rules import test

    raise typer.Exit(test(rules, rule or [], as_json))


def _console(as_json: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=as_json)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)  # noqa: T201 - the answer


def _end(summary: dict[str, Any], as_json: bool, *, good: bool) -> None:
    if as_json:
        _print_json(summary)
    raise typer.Exit(int(not good))


def main() -> None:
    """Run the command line; an expected error is a message, an unexpected one a traceback."""
    try:
        app(prog_name="laike")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from api.cli_errors import code_of

        code = code_of(error)
        if code is None:
            raise
        sys.stderr.write(f"laike: {error}\n")
        sys.exit(code)


if __name__ == "__main__":
    main()
