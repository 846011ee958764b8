"""`laike rules propose|approve …` and `laike audit …`: words; the work is elsewhere.

Must live here: these commands' names and options. Must not: what a proposal or an entry is.
Proposing and approving asks the API, with a token: there it counts who somebody is.
"""

# ruff: noqa: PLC0415 - as in cli

from pathlib import Path
from typing import Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption, listed, local_user, say, store_of

Number = Annotated[int, typer.Argument(min=1, help="The proposal's number.")]
Url = Annotated[str | None, typer.Option("--api", help="Another API than the folder's.")]

rules = typer.Typer()
audit = typer.Typer(no_args_is_help=True, help="Who changed what.")


@rules.command("propose")
def rules_propose(
    folder: Annotated[Path, typer.Argument(help="The folder of the rule files.")],
    note: Annotated[str, typer.Option(help="Why, for who approves.")] = "",
    data: DataOption = HERE,
    url: Url = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a folder's rules, with the token in LAIKE_TOKEN.

    Example: LAIKE_TOKEN=laike_… laike rules propose rules --note "200 is too much"
    """
    from api.cli_proposals import propose

    raise typer.Exit(propose(data, url, folder, note, as_json))


@rules.command("proposals")
def rules_proposals(data: DataOption = HERE, url: Url = None, as_json: JsonOption = False) -> None:
    """List what was proposed, the newest first.

    Example: LAIKE_TOKEN=laike_… laike rules proposals
    """
    from api.cli_proposals import show

    raise typer.Exit(show(data, url, as_json))


@rules.command("approve")
def rules_approve(
    number: Number, data: DataOption = HERE, url: Url = None, as_json: JsonOption = False
) -> None:
    """Approve a proposal: its rules are in force a second later.

    Example: LAIKE_TOKEN=laike_… laike rules approve 3
    """
    from api.cli_proposals import judge

    raise typer.Exit(judge(data, url, number, "approve", as_json))


@rules.command("reject")
def rules_reject(
    number: Number, data: DataOption = HERE, url: Url = None, as_json: JsonOption = False
) -> None:
    """Reject a proposal.

    Example: LAIKE_TOKEN=laike_… laike rules reject 3
    """
    from api.cli_proposals import judge

    raise typer.Exit(judge(data, url, number, "reject", as_json))


@rules.command("approval")
def rules_approval(
    people: Annotated[str, typer.Argument(metavar="two-people|off")], data: DataOption = HERE
) -> None:
    """Ask that another than its author approves a rule; files on this machine then only propose.

    Example: laike rules approval two-people
    """
    from api.rules_in_force import TWO_PEOPLE, ask_two_people, asks_for_a_second

    if people not in {TWO_PEOPLE, "off"}:
        raise typer.BadParameter(f"{people!r}: {TWO_PEOPLE} or off")
    with store_of(data) as (store, settings):
        ask_two_people(store, settings.secret, local_user(), people == TWO_PEOPLE)
        second = asks_for_a_second(store)
    say(f"approval: {people}")
    if people == "off" and second:
        say("shop.yaml of the rules in force says `approval: second`, which holds until it is gone")


@audit.command("list")
def audit_list(
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List who changed what, the oldest first.

    Example: laike audit list --limit 10
    """
    from api.cli_audit import entries

    with store_of(data) as (store, _):
        listed("entries", entries(store, limit), as_json)


@audit.command("verify")
def audit_verify(
    seen: Annotated[
        str | None, typer.Option(metavar="N:SEAL", help="An entry noted before must be there.")
    ] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Whether the log is whole: nothing altered, dropped, moved or cut off. Note what it prints.

    Example: laike audit verify --seen 12:5f0c
    """
    from api.cli_audit import verify

    with store_of(data) as (store, settings):
        raise typer.Exit(verify(store, settings, seen, as_json))
