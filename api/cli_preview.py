"""`laike rules preview`: a template's text, as a customer would read it.

Must live here: the command's words. Must not: what is shown (preview.py).
"""

# ruff: noqa: PLC0415 - an import inside a command is what keeps `laike --help` quick

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

RULES: Final = Path(__file__).resolve().parent.parent / "rules"
rules = typer.Typer()


@rules.command("preview")
def preview(
    template: str,
    channel: Annotated[str, typer.Option(help="push, wechat, sms, email or page.")] = "push",
    language: Annotated[str, typer.Option(help="zh or en; the shop's first if left out.")] = "",
    given: Annotated[
        list[str] | None, typer.Option("--with", help="A value it reads: coupon.off=20.")
    ] = None,
    folder: Annotated[Path, typer.Option("--rules", help="The folder of the rule files.")] = RULES,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line.")
    ] = False,
) -> None:
    """Print the text of a template; its coupon is the rule's, as far as that is written there.

    Example: laike rules preview cart_coupon --channel sms --language zh --with coupon.off=20
    """
    from api.preview import shown
    from rules.errors import near, one_of
    from rules.load import load_book
    from rules.templates import PLACES, CannotRender

    book = load_book(folder)
    known = book.templates.places()
    if template not in known:
        hint = f"{near(template, known)}; there are: {one_of(known)}"
        raise typer.BadParameter(f"no template is called {template!r}{hint}")
    if channel not in PLACES:
        raise typer.BadParameter(f"channel {channel!r}: it is one of {one_of(PLACES)}")
    try:
        made = shown(book, template, channel, language, dict(map(_pair, given or ())))
    except CannotRender as wrong:
        sys.stderr.write(f"{wrong}\n")
        raise typer.Exit(1) from None
    if as_json:
        told = {"language": made.language, "subject": made.subject, "text": made.text}
        sys.stdout.write(json.dumps({**told, "characters": len(made.text)}, ensure_ascii=False))
        sys.stdout.write("\n")
        return
    sys.stdout.write(f"{made.subject}\n\n" if made.subject else "")
    sys.stdout.write(f"{made.text}\n")


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise typer.BadParameter(f"--with {text!r}: NAME=VALUE is expected, like coupon.off=20")
    try:
        return name, float(value)
    except ValueError:
        return name, value
