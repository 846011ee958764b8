"""`laike erase`, `laike export`, `laike keys rotate`: words; the work is cli_privacy's.

Must live here: these commands' names and options. Must not: the work.
"""

# ruff: noqa: PLC0415 - as in cli

import json
from pathlib import Path
from typing import Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption
from api.cli_values import duration

Customer = Annotated[str, typer.Argument(help="His id, as u:alice, a:visitor-1, or alice.")]

rights = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="The keys that contacts are sealed with.")


@rights.command("erase")
def erase(
    customer: Customer,
    proof: Annotated[
        str, typer.Option(help="How it was made sure that he wants it; kept as a hash.")
    ],
    wait: Annotated[
        float, typer.Option(parser=duration, metavar="TIME", help="How long to wait for its end.")
    ] = "10m",  # type: ignore[assignment]
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Erase all that is held of a customer, in every store, and say what was erased where.

    Example: laike erase u:alice --proof "ticket 4711, identity checked by phone"
    """
    from api.cli_privacy import erase as run

    told = run(data, customer, proof, wait)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.echo(f"erasure {told['erasure_id']}: {told['status']}")
        if waits := told.get("waits_for"):
            typer.echo(f"  it waits for: {waits}; it goes on by itself while the relay runs")
        for where, count in told.get("erased", {}).items():
            typer.echo(f"  {where:24} {count:>8,}")
        if remains := told.get("remains"):
            typer.echo(f"  what remains: {remains}")
    raise typer.Exit(int(told["status"] != "done"))


@rights.command("export")
def export(
    customer: Customer,
    out: Annotated[Path | None, typer.Option(help="A file, for its owner alone.")] = None,
    data: DataOption = HERE,
) -> None:
    """Write all that is held of a customer as JSON, contacts in plain.

    Example: laike export u:alice --out alice.json
    """
    from api.cli_privacy import export as run

    raise typer.Exit(run(data, customer, out))


@keys.command("rotate")
def rotate(data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """Wrap every customer's key under a new master key; nothing is restarted.

    Example: laike keys rotate --data .laike
    """
    from api.cli_privacy import rotate as run

    told = run(data)
    if as_json:
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{told['keys']:,} keys are wrapped anew; keep a copy of {told['master_key']}")
