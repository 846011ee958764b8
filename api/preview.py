"""A template's text as a customer would read it, with a made-up coupon where it tells of one.

Must live here: what the preview shows in place of what a decision would give. Must not: the
command, how a text is made.
"""

import time
from typing import Any, Final

from rules.book import Book
from rules.model import Act, Coupon, Notify
from rules.values import Constant
from sinks.channels import Message
from sinks.rendering import rendered

CODE: Final = "LK7Q-2M4X-9PTD"


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
