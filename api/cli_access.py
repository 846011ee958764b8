"""`laike users …` and `laike tokens …`: words; what a user or a token is stands elsewhere.

Must live here: these commands' names and options. Must not: the work. Who runs these on the machine
itself may do all; the audit log names him `cli:` and the system's name.
"""

# ruff: noqa: PLC0415 - as in cli

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.access.roles import Role
from api.cli_store import (
    HERE,
    DataOption,
    JsonOption,
    listed,
    local_user,
    say,
    shown_time,
    store_of,
)

if TYPE_CHECKING:
    from api.access.accounts import Accounts

Name = Annotated[str, typer.Argument(help="The name.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from a pipe, not a prompt.")
]

users = typer.Typer(no_args_is_help=True, help="Who may use the API.")
tokens = typer.Typer(no_args_is_help=True, help="Programs' way in, each for a user.")


@users.command("add")
def users_add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What he may do.")] = Role.viewer,
    password_stdin: FromStdin = False,
    data: DataOption = HERE,
) -> None:
    """Add a user; his password is asked for.

    Example: laike users add anna --role approver
    """
    with _accounts(data) as accounts:
        accounts.add(local_user(), name, role, _password(password_stdin))
    say(f"{name} is {role} now")


@users.command("list")
def users_list(data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """List the users and their roles.

    Example: laike users list --json
    """
    with _accounts(data) as accounts:
        found = [{"name": name, "role": user.role} for name, user in accounts.users().items()]
    listed("users", found, as_json)


@users.command("remove")
def users_remove(name: Name, data: DataOption = HERE) -> None:
    """Remove a user, with his sessions and tokens.

    Example: laike users remove anna
    """
    with _accounts(data) as accounts:
        accounts.remove(local_user(), name)
    say(f"{name} is no user any more")


@users.command("role")
def users_role(name: Name, role: Role, data: DataOption = HERE) -> None:
    """Give a user another role; his sessions end.

    Example: laike users role anna viewer
    """
    with _accounts(data) as accounts:
        accounts.set_role(local_user(), name, role)
    say(f"{name} is {role} now")


@users.command("password")
def users_password(name: Name, password_stdin: FromStdin = False, data: DataOption = HERE) -> None:
    """Give a user another password; his sessions end.

    Example: laike users password anna
    """
    with _accounts(data) as accounts:
        accounts.set_password(local_user(), name, _password(password_stdin))
    say(f"the password of {name} is changed")


@tokens.command("create")
def tokens_create(
    name: Name,
    user: Annotated[str, typer.Option(help="For whom it acts.")],
    role: Annotated[Role, typer.Option(help="At most its user's.")] = Role.viewer,
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90,
    data: DataOption = HERE,
) -> None:
    """Create a token and show it, this once.

    Example: laike tokens create ci --user anna --role author --days 30
    """
    with _accounts(data) as accounts:
        told = accounts.create_token(local_user(), user, name, role, days)
    say(told)


@tokens.command("list")
def tokens_list(data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """List the tokens: whose, as what, until when; not the tokens themselves.

    Example: laike tokens list
    """
    with _accounts(data) as accounts:
        found = [
            {"name": t.name, "user": t.user, "role": t.role, "expires": shown_time(t.expires_at)}
            for t in accounts.tokens()
        ]
    listed("tokens", found, as_json)


@tokens.command("revoke")
def tokens_revoke(
    name: Name,
    user: Annotated[str, typer.Option(help="Whose it is.")],
    data: DataOption = HERE,
) -> None:
    """Make a token of no use, at once.

    Example: laike tokens revoke ci --user anna
    """
    with _accounts(data) as accounts:
        accounts.revoke_token(local_user(), user, name)
    say(f"the token {name} of {user} is revoked")


@contextmanager
def _accounts(data: Path) -> "Iterator[Accounts]":
    from api.access.accounts import Accounts

    with store_of(data) as (store, settings):
        yield Accounts(store, settings.secret)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    told: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return told
