"""`laike rules preview`: a template's text, as a customer would read it.

Must live here: the command, and the made-up coupon it shows. Must not: how a text is made.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rules.book import Book
from rules.errors import near, one_of
from rules.load import load_book
from rules.model import Act, Coupon, Notify
from rules.templates import PLACES, CannotRender
from rules.values import Constant
from sinks.channels import Message
from sinks.rendering import rendered

RULES: Final = Path(__file__).resolve().parent.parent / "rules"
CODE: Final = "LK7Q-2M4X-9PTD"
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


def shown(book: Book, template: str, channel: str, language: str, given: dict[str, Any]) -> Message:
    """The message with its text, of a customer who is not there; raises CannotRender."""
    message = Message(
        "preview", template, "preview", "u:preview", channel, template,
        values=given, made={"coupon": _coupon(book, template, given)},
    )  # fmt: skip
    return rendered(message, book, language)


def _coupon(book: Book, template: str, given: dict[str, Any]) -> dict[str, Any]:
    """The coupon of the act that tells this template, with what is given in its place."""
    now = int(time.time() * 1000)
    made: dict[str, Any] = {"code": CODE, "off": 10, "off_kind": "percent", "over": 100}
    made |= {"most": 50, "expires_at": now + 172_800_000}
    acts = (step for rule in book.rules.values() for step in rule.steps if isinstance(step, Act))
    for act in acts:
        told = [one for one in act.actions if isinstance(one, Notify) and one.template == template]
        for coupon in act.actions if told else ():
            if isinstance(coupon, Coupon):
                made |= {"offer": coupon.offer, "off_kind": coupon.off_kind}
                for name in ("off", "over", "most"):
                    value = getattr(coupon, name)
                    if value is None or isinstance(value, Constant):
                        made[name] = value.value if value else None
                made["expires_at"] = now + coupon.valid_ms
    inner = {name.removeprefix("coupon."): given.pop(name) for name in list(given)
             if name.startswith("coupon.")}  # fmt: skip
    return made | inner


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise typer.BadParameter(f"--with {text!r}: NAME=VALUE is expected, like coupon.off=20")
    try:
        return name, float(value)
    except ValueError:
        return name, value
