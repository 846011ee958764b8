"""Whom risk holds: the shop's `risk`, and a rule's own word on it.

Must live here: reading both. Must not: asking them of a customer (engine/gates.py).
"""

from typing import Final, Literal

from rules.document import Fields, Node, Text
from rules.expressions import Expr
from rules.forms import Form, Key
from rules.model import PURPOSES, Risk
from rules.reading import Reader
from rules.scope import Scope

RISK: Final = Form(
    "risk",
    "risk",
    {
        "hold": Key(
            "[condition]",
            "who is held while one of these holds (risk.abuse >= 0.9)",
            "hold: risk.abuse >= 0.8",
        ),
        "purposes": Key(
            f"[{'/'.join(PURPOSES)}]",
            "of which rules (marketing)",
            "purposes: [marketing, service]",
        ),
        "from": Key(
            "gifts*/everything",
            "what he is kept from: decisions with a coupon or points, or messages alone too",
            "from: everything",
        ),
    },
    meant={"if": "hold", "purpose": "purposes"},
)
NOBODY: Final = "none"


def shop_risk(reader: Reader, node: Node, scope: Scope) -> Risk:
    """shop.yaml's `risk`."""
    found = reader.fields(node, RISK)
    default = Risk()
    kept: Literal["gifts", "everything"] = "gifts"
    if "from" in found:
        told = reader.choice(found["from"], "thing to be kept from", ("gifts", "everything"))
        kept = "everything" if told == "everything" else "gifts"
    purposes = frozenset(
        reader.choice(item, "purpose", PURPOSES)
        for item in (reader.items(found["purposes"]) if "purposes" in found else ())
    )
    holds = _conditions(reader, node, found["hold"], scope) if "hold" in found else default.hold
    return Risk(holds, purposes or default.purposes, kept)


def rule_risk(reader: Reader, parent: Node, node: Node, scope: Scope) -> tuple[Expr, ...]:
    """A rule's own: what holds all of it, whatever the shop says; `none`: nothing does."""
    if isinstance(node, Text) and node.value == NOBODY:
        return ()
    return _conditions(reader, parent, node, scope)


def _conditions(reader: Reader, parent: Node, node: Node, scope: Scope) -> tuple[Expr, ...]:
    if isinstance(parent, Fields) and parent.flow:
        reader.condition(parent, node, scope)  # says why not
        return ()
    found = (reader.condition(parent, item, scope) for item in reader.items(node))
    return tuple(one for one in found if one is not None)
