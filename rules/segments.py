"""A file of segments/: a named condition over the catalog, or a ladder of them.

Must live here: its keys. Must not: who is in (the engine keeps that).
"""

import re
from typing import Final

from rules.document import Node
from rules.errors import BadText
from rules.expressions import Expr
from rules.forms import Form, Key
from rules.model import EVERYONE, Segment, Tier
from rules.reading import Reader
from rules.scope import Scope

SEGMENT: Final = Form(
    "segment",
    "a segment",
    {
        "segment": Key(
            "name",
            "its name, as rules call it; in a condition a - is a _: segment.brand_fans",
            "segment: high_value",
            needed=True,
        ),
        "title": Key("text", "what people read", "title: 高价值"),
        "owner": Key("text", "who answers for it", "owner: growth"),
        "if": Key("condition", "who is in", "if: orders.net >= 5000"),
        "stay": Key(
            "condition",
            "who is in stays while this holds (as long as `if`)",
            "if: orders.net >= 5000\nstay: orders.net >= 4000",
        ),
        "tiers": Key(
            "[#tier]",
            "instead of `if`: the first that holds is the customer's",
            "tiers:\n  - tier: gold\n    if: orders.net >= 5000\n  - tier: silver\n"
            "    if: orders.net >= 1000",
        ),
    },
    meant={"name": "segment", "where": "if", "condition": "if", "leave": "stay", "levels": "tiers"},
)
TIER: Final = Form(
    "tier",
    "a tier",
    {
        "tier": Key("name", "its name", needed=True),
        "title": Key("text", "what people read"),
        "if": Key("condition", "who is in", needed=True),
        "stay": Key("condition", "who is in stays while this holds"),
    },
    meant={"name": "tier"},
)
_NAME = re.compile(r"[^\W\d_][\w-]{0,63}")  # of any script
TIERS_MAX: Final = 30


def segment(reader: Reader, node: Node, scope: Scope) -> Segment | None:
    """The segment of one document; None when nothing of it can be used."""
    found = reader.fields(node, SEGMENT)
    if found and ("if" in found) == ("tiers" in found):
        reader.error(node, "a segment needs `if` or `tiers`, one of them")
    if "tiers" in found and "stay" in found:
        reader.error(found["stay"], "`stay` goes with `if`; each tier has its own")
    name = reader.parse(found["segment"], _name, "") if "segment" in found else ""
    title = reader.text(found["title"], "a title") if "title" in found else name
    tiers: list[Tier] = []
    if "tiers" in found:
        items = reader.items(found["tiers"])[:TIERS_MAX]
        tiers = [one for item in items if (one := _tier(reader, item, scope)) is not None]
        if len({one.name for one in tiers}) < len(tiers):
            reader.error(found["tiers"], "two tiers have the same name")
    elif "if" in found:
        condition, stay = _conditions(reader, node, found, scope)
        tiers = [Tier(name, condition, stay, title)] if condition is not None else []
    if not name or not tiers:
        return None
    return Segment(
        name,
        tuple(tiers),
        title,
        reader.text(found["owner"], "owner", 64) if "owner" in found else "",
        "tiers" in found,
        reader.file,
        node.line,
    )


def _tier(reader: Reader, node: Node, scope: Scope) -> Tier | None:
    found = reader.fields(node, TIER)
    name = reader.parse(found["tier"], _name, "") if "tier" in found else ""
    condition, stay = _conditions(reader, node, found, scope)
    title = reader.text(found["title"], "a title") if "title" in found else name
    return Tier(name, condition, stay, title) if name and condition is not None else None


def _conditions(
    reader: Reader, node: Node, found: dict[str, Node], scope: Scope
) -> tuple[Expr | None, Expr | None]:
    condition, stay = (
        reader.condition(node, found[key], scope) if key in found else None
        for key in ("if", "stay")
    )
    return condition, stay


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or text == EVERYONE:
        allowed = "letters, digits, - and _, 64 at most"
        raise BadText(f"`{text}`: a segment's name is like high_value, {allowed}")
    return text
