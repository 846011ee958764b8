"""What the readers of several actions share: what stands beside them, recipients, names.

Must not live here: any one action.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from rules.document import Fields, Node
from rules.errors import BadText
from rules.expressions import Expr
from rules.forms import Key
from rules.model import RECIPIENTS, Recipient
from rules.reading import Reader
from rules.scope import Scope
from rules.values import Value

TO: Final = Key("customer*/referrer/friend/merchant", "who gets it: under his caps and consent")
TO_PERSON: Final = Key("customer*/referrer/friend", "who gets it: under his caps and consent")
NAME_MAX: Final = 64


@dataclass(frozen=True)
class Beside:
    """What stands beside any action."""

    name: str = ""
    condition: Expr | None = None
    optional: bool = False


def recipient(
    reader: Reader, found: dict[str, Node], among: Sequence[Recipient] = RECIPIENTS
) -> Recipient:
    """`to`: the customer unless said."""
    if "to" not in found:
        return "customer"
    return cast("Recipient", reader.choice(found["to"], "recipient", among))


def word(reader: Reader, found: dict[str, Node], key: str, what: str) -> str:
    """A short text, "" when it is left out."""
    return reader.text(found[key], what, NAME_MAX) if key in found else ""


def words(reader: Reader, found: dict[str, Node], key: str, what: str) -> tuple[str, ...]:
    """One short text or several."""
    return tuple(
        reader.text(item, what, NAME_MAX)
        for item in (reader.some(found[key]) if key in found else ())
    )


def values(reader: Reader, found: dict[str, Node], key: str, scope: Scope) -> dict[str, Value]:
    """A mapping of own names to values of any kind."""
    if key not in found:
        return {}
    inside = found[key]
    if not isinstance(inside, Fields):
        reader.error(inside, f"{key} is a mapping of names to values")
        return {}
    return {name.value: reader.value(value, scope, "any", str) for name, value in inside.pairs}


def action_name(reader: Reader, node: Node) -> str:
    """An `as`: a step's own name; of an action's a coupon's code is made."""

    def check(text: str) -> str:
        if not text.replace("_", "").replace("-", "").isalnum() or len(text) > NAME_MAX:
            raise BadText(f"`{text}`: a name is made of letters, digits, - and _, 64 at most")
        return text

    return reader.parse(node, check, "")
