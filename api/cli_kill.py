"""`laike kill`: rules stopped at once, before a file is edited, published or approved.

Must live here: the command's words, which names there are. Must not: the switch (engine/switching).
Whoever may run commands on this machine may throw it, two people or not: it only ever stops, and
lets live what the rules in force say anyway.
"""

# ruff: noqa: PLC0415 - as in cli

import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption, local_user, say, store_of

if TYPE_CHECKING:
    import redis

kill = typer.Typer()


@kill.command("kill")
def kill_rules(
    rules: Annotated[list[str] | None, typer.Argument(help="Rules by name.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every rule there is.")] = False,
    purpose: Annotated[
        list[str] | None, typer.Option(help="All rules of a purpose: marketing, service, …")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let them live again.")] = False,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Stop rules at once: nothing more is decided by them, nothing decided before is sent.

    Alone, it says what is stopped. Example: laike kill cart-rescue --data .laike
    """
    from engine.switches import WANTED, read
    from engine.switching import throw

    with store_of(data) as (store, settings):
        names = _names(store, rules or [], purpose or [], everything=everything, off=off)
        if names:
            killed = throw(store, settings.secret, local_user(), names, on=not off)
        else:
            found = store.get(WANTED)
            killed = read(found if isinstance(found, bytes) else None)
    if as_json:
        say(json.dumps({"killed": killed}, ensure_ascii=False))
    else:
        say(f"stopped: {', '.join(killed) or 'nothing'}")


def _names(
    store: "redis.Redis", rules: list[str], purposes: list[str], *, everything: bool, off: bool
) -> list[str]:
    """What the switch is thrown for; a name that no rule in force has is a mistake."""
    from api.rules_in_force import kept, wanted
    from engine.switches import EVERYTHING
    from rules.errors import near, one_of
    from rules.model import PURPOSES

    book = kept(store, wanted(store))
    for name in rules:
        if book is not None and not off and name not in book.rules:
            known = f"{near(name, book.rules)}; there are: {one_of(book.rules)}"
            raise typer.BadParameter(f"no rule in force is called {name!r}{known}")
    for name in purposes:
        if name not in PURPOSES:
            raise typer.BadParameter(f"{name!r} is no purpose: {one_of(PURPOSES)}")
    found = [f"rule:{name}" for name in rules] + [f"purpose:{name}" for name in purposes]
    return [*found, EVERYTHING] if everything else found
