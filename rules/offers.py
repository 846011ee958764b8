"""A file of offers/: a kind of coupon, with what every coupon of it has in common.

Must live here: its keys. Must not: a rule's coupons (actions_money.py), codes, ledgers.
"""

import re
from collections.abc import Mapping
from typing import Final

from rules.actions_money import MOST_KEY, OFF_KEY, OVER_KEY, amount, lives, off
from rules.document import Fields, Node
from rules.entering import BUDGET, budget
from rules.errors import BadText, near, one_of
from rules.forms import Form, Key
from rules.model import Offer, OffKind
from rules.reading import Reader
from rules.scope import Scope
from rules.values import Rate, Value, percent, rate

OFFER: Final = Form(
    "offer",
    "an offer",
    {
        "offer": Key("name", "its name, as rules call it", "offer: SAVE", needed=True),
        "title": Key("text", "what people read", "title: 购物车优惠"),
        "off": OFF_KEY,
        "over": OVER_KEY,
        "most": MOST_KEY,
        "valid": Key("duration", "how long a coupon of it lives", "valid: 48h"),
        "codes": Key(
            "hmac* | #codes",
            "where codes come from; a pool is imported",
            "codes: {pool: vip-codes}",
        ),
        "stacks": Key(
            "[name]", "offers it may be used with: none, any, or names", "stacks: [FREESHIP]"
        ),
        "returns": Key(
            "#returns",
            "whether the coupon comes back with the order",
            "returns: {cancel: back, refund: lost}",
        ),
        "cost": Key("values", "who pays, as shares", "cost: {shop: 60%, merchant: 40%}"),
        "limit": Key("rate", "how many a customer may have, over all rules", "limit: 2 per month"),
        "budget": Key(
            "#budget", "what all its coupons may come to", "budget: {coupons: 5000 per day}"
        ),
    },
    meant={"name": "offer", "stack": "stacks", "max_per_customer": "limit", "refund": "returns"},
)
CODES: Final = Form(
    "codes",
    "codes",
    {
        "pool": Key(
            "name", "imported codes, each to one; back only if its message never left", needed=True
        )
    },
)
RETURNS: Final = Form(
    "returns",
    "returns",
    {
        "cancel": Key("back*/lost", "the order is cancelled before it is sent"),
        "refund": Key("back/lost*", "all of the order is refunded"),
    },
)
ANY: Final = "*"
_POOL: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
__all__ = ["BUDGET", "CODES", "OFFER", "RETURNS", "check_offers", "offer"]


def offer(
    reader: Reader, node: Node, scope: Scope, currency: str, exchange: Mapping[str, float]
) -> Offer:
    """The offer of one file."""
    found = reader.fields(node, OFFER)
    name = reader.text(found["offer"], "an offer's name", 64) if "offer" in found else ""
    value: Value | None = None
    kind: OffKind = "money"
    if "off" in found:
        value, kind = off(reader, found["off"], scope, currency, exchange)
    over, most = (
        amount(reader, found[key], scope, currency, exchange) if key in found else None
        for key in ("over", "most")
    )
    default = Offer(name)
    return Offer(
        name=name,
        title=reader.text(found["title"], "a title") if "title" in found else name,
        off=value,
        off_kind=kind,
        over=over,
        most=most,
        valid_ms=reader.parse(found["valid"], lives, None) if "valid" in found else None,
        pool=_pool(reader, found["codes"]) if "codes" in found else "",
        stacks=_stacks(reader, found["stacks"]) if "stacks" in found else frozenset(),
        returns=_returns(reader, found["returns"], default)
        if "returns" in found
        else default.returns,
        cost=_cost(reader, found["cost"]) if "cost" in found else default.cost,
        limits=tuple(
            reader.parse(item, rate, Rate(1, 0, "ever"))
            for item in (reader.items(found["limit"]) if "limit" in found else ())
        ),
        budget=budget(reader, found["budget"], currency, exchange) if "budget" in found else None,
    )


def _pool(reader: Reader, node: Node) -> str:
    if not isinstance(node, Fields):
        reader.choice(node, "source of codes", ("hmac",))
        return ""
    found = reader.fields(node, CODES)
    return reader.parse(found["pool"], _pool_name, "") if "pool" in found else ""


def _pool_name(text: str) -> str:
    if not _POOL.fullmatch(text):
        raise BadText(f"`{text}`: a pool's name is like vip-codes, a-z 0-9 - _, 64 at most")
    return text


def _stacks(reader: Reader, node: Node) -> frozenset[str]:
    names = frozenset(reader.text(item, "an offer's name", 64) for item in reader.items(node))
    if names & {"none", "any"} and len(names) > 1:
        reader.error(node, "stacks is none, any, or names of offers")
    return frozenset({ANY}) if names == {"any"} else names - {"none"}


def _returns(reader: Reader, node: Node, default: Offer) -> dict[str, bool]:
    found = reader.fields(node, RETURNS)
    return {
        key: reader.choice(found[key], "way to return", ("back", "lost")) == "back"
        if key in found
        else default.returns[key]
        for key in RETURNS.keys
    }


def _cost(reader: Reader, node: Node) -> dict[str, float]:
    if not isinstance(node, Fields):
        reader.error(node, "cost is a mapping of shares, such as {shop: 60%, merchant: 40%}")
        return {"shop": 1.0}
    shares = {key.value: reader.parse(value, percent, 0.0) / 100 for key, value in node.pairs}
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        reader.error(node, f"the shares of cost add up to 100%, not to {total * 100:g}%")
    return shares


def check_offers(offers: dict[str, tuple[Reader, Node, Offer]]) -> None:
    """Whether the offers that an offer stacks with are there."""
    for reader, node, one in offers.values():
        for name in sorted(one.stacks - {ANY} - offers.keys()):
            hint = near(name, offers) or f"; there are {one_of(sorted(offers))}"
            reader.error(node, f"there is no offer `{name}` for `stacks`{hint}")
