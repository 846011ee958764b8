"""`laike quarantine …`: what was rejected, and why; back into the log with it.

Must live here: these commands' names and options. Must not: work (cli_quarantine.py).
"""

# ruff: noqa: PLC0415 - as in cli

from typing import Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption

quarantine = typer.Typer(no_args_is_help=True, help="What was rejected, and why.")


@quarantine.command("list")
def quarantine_list(
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List what was rejected, and why.

    Example: laike quarantine list --reason bad_number
    """
    from api.cli_quarantine import list_rejected

    raise typer.Exit(list_rejected(data, limit, reason, as_json))


@quarantine.command("show")
def quarantine_show(
    quarantine_id: Annotated[str, typer.Argument(help="As `list` gives it.")],
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show one rejected event whole.

    Example: laike quarantine show 01JD3V
    """
    from api.cli_quarantine import show_rejected

    raise typer.Exit(show_rejected(data, quarantine_id, as_json))


@quarantine.command("retry")
def quarantine_retry(
    ids: Annotated[list[str] | None, typer.Argument(help="As `list` gives them.")] = None,
    reason: Annotated[str | None, typer.Option(help="All with this reason.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that did not go back yet.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would.")] = False,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Put rejected events back into the log, by today's rules; what is still bad stays.

    Example: laike quarantine retry --reason bad_number --dry-run
    """
    from api.cli_quarantine import retry_rejected

    if sum([bool(ids), reason is not None, everything]) != 1:
        raise typer.BadParameter("name ids, or a --reason, or --all", param_hint="ids")
    raise typer.Exit(retry_rejected(data, ids or [], reason, dry_run=dry_run, as_json=as_json))
