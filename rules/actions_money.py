"""What is worth money: coupons and points.

Must live here: their keys and readers. Must not: the kinds of coupon (offers.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.actions_parts import NAME_MAX, TO_PERSON, Beside, recipient, word
from rules.document import Fields, Node
from rules.errors import BadText, near, one_of
from rules.forms import Form, Key
from rules.looking import Looked, date_or_moment, is_looked
from rules.model import Action, Coupon, DateFeature, Offer, OffKind, Points, Recipient
from rules.reading import Reader
from rules.scope import Scope
from rules.surroundings import Surroundings
from rules.values import Constant, Value, duration, money, percent

PEOPLE: Final[tuple[Recipient, ...]] = ("customer", "referrer", "friend")  # a merchant has none
OFF_KEY: Final = Key(
    "off | value",
    "what it takes off: 10% (9折), 30, free shipping, gift SKU",
)
OVER_KEY: Final = Key("money | value", "from which amount on")
MOST_KEY: Final = Key("money | value", "at most so much off")
COUPON: Final = Form(
    "coupon",
    "coupon",
    {
        "offer": Key("name", "the kind of coupon, in offers/", needed=True),
        "off": OFF_KEY,
        "over": OVER_KEY,
        "most": MOST_KEY,
        "valid": Key("duration | lookup | #valid", "how long it lives from the decision on"),
        "to": TO_PERSON,
    },
    meant={
        "discount": "off",
        "threshold": "over",
        "min": "over",
        "max": "most",
        "expires": "valid",
    },
)
VALID: Final = Form(
    "valid", "valid", {"until": Key("moment | feature", "until when it lives", needed=True)}
)
POINTS: Final = Form(
    "points",
    "points",
    {
        "add": Key("number | value", "so many points; negative ones are taken"),
        "multiply": Key("number | value", "what he earns is multiplied for a while"),
        "for": Key("duration | lookup", "with multiply: for how long"),
        "expires": Key("duration | lookup", "how long they last"),
        "reason": Key("text | value", "what the customer is told they are for"),
        "to": TO_PERSON,
    },
    meant={"give": "add", "amount": "add", "valid": "expires"},
)
VALID_MIN_MS: Final = 60_000
MULTIPLY_MAX: Final = 100


@dataclass
class _Off:
    """Reads `off` and notes of which kinds its values are."""

    currency: str
    exchange: Mapping[str, float]
    kinds: set[OffKind] = field(default_factory=set)

    def read(self, text: str) -> object:
        if text.endswith(("%", "％")):
            self.kinds.add("percent")
            number = percent(text)
            if not 0 < number <= 100:
                raise BadText(f"`{text}`: a coupon takes off more than 0% (10% is 9折)")
            return number
        if text == "free shipping":
            self.kinds.add("free_shipping")
            return 0
        if text.startswith("gift "):
            self.kinds.add("gift")
            return text.removeprefix("gift ").strip()
        self.kinds.add("money")
        try:
            amount = money(text, self.currency, self.exchange)
        except BadText:
            if text[:1].isdigit() and text[-3:].isupper():
                raise  # an amount, of a currency that the shop does not know
            allowed = "10% (9折), 30, free shipping or gift SKU"
            raise BadText(f"`{text}` is not what a coupon takes off: {allowed}") from None
        if not amount:
            raise BadText("a coupon takes off more than 0")
        return amount


def off(
    reader: Reader, node: Node, scope: Scope, currency: str, exchange: Mapping[str, float]
) -> tuple[Value, OffKind]:
    """What a coupon takes off, and of which kind it is; all cases of a look-up are of one kind."""
    table = _Off(currency, exchange)
    value = reader.value(node, scope, "number", table.read, least=0.01)
    if len(table.kinds) > 1:
        reader.error(node, f"`off` mixes {one_of(sorted(table.kinds))}: all cases of one kind")
    return value, next(iter(sorted(table.kinds)), "money")


def amount(
    reader: Reader, node: Node, scope: Scope, currency: str, exchange: Mapping[str, float]
) -> Value:
    """An amount of money, written or computed."""
    return reader.value(
        node, scope, "number", lambda text: money(text, currency, exchange), least=0
    )


def lives(text: str) -> int:
    """How long a coupon lives, in ms."""
    return duration(text, VALID_MIN_MS)


def coupon(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`coupon: {offer, off, over, most, valid, to}`; what is left out comes from the offer."""
    found = reader.fields(node, COUPON)
    name = word(reader, found, "offer", "an offer's name")
    known = Offer(name)
    if near_by.offers is not None and name:
        if name not in near_by.offers:
            hint = near(name, near_by.offers) or f"; there are {one_of(sorted(near_by.offers))}"
            reader.error(found["offer"], f"there is no offer `{name}` in offers/{hint}")
        known = near_by.offers.get(name, known)
    scope, currency, exchange = near_by.scope, near_by.currency, near_by.exchange
    value, kind = known.off, known.off_kind
    if "off" in found:
        value, kind = off(reader, found["off"], scope, currency, exchange)
    if value is None and name:
        reader.error(node, f"coupon needs `off`: neither it nor the offer `{name}` says how much")
    over, most = (
        amount(reader, found[key], scope, currency, exchange) if key in found else default
        for key, default in (("over", known.over), ("most", known.most))
    )
    looked = Looked(reader, scope, "coupon")
    until: int | DateFeature | None = None
    valid_ms = known.valid_ms
    if "valid" in found and isinstance(found["valid"], Fields) and not is_looked(found["valid"]):
        inside = reader.fields(found["valid"], VALID)
        until = date_or_moment(reader, inside["until"], scope) if "until" in inside else None
        valid_ms = 0
    elif "valid" in found:
        valid_ms = looked.take(
            found, "valid", lives, valid_ms or VALID_MIN_MS, name="valid_ms", kind="duration"
        )
    if valid_ms is None and name:
        reader.error(node, "coupon needs `valid`, such as 48h: whatever leaves expires")
    return Coupon(
        name=beside.name or f"coupon:{name}",
        offer=name,
        off=value or Constant(None),
        off_kind=kind,
        valid_ms=valid_ms or 0,
        over=over,
        most=most,
        condition=beside.condition,
        optional=beside.optional,
        to=recipient(reader, found, PEOPLE),
        valid_until=until,
        looked=looked.values,
    )


def points(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`points: {add, expires, reason, to}` or `{multiply, for}`."""
    found = reader.fields(node, POINTS)
    if ("add" in found) == ("multiply" in found):
        reader.error(node, "points needs `add` or `multiply`, one of them")
    if ("multiply" in found) != ("for" in found):
        reader.error(node, "multiply and for go together, as in {multiply: 2, for: 24h}")
    add, multiply = (
        reader.value(found[key], near_by.scope, "number", parse) if key in found else None
        for key, parse in (("add", _whole), ("multiply", _factor))
    )
    looked = Looked(reader, near_by.scope, "points")
    reason = looked.take(found, "reason", _reason, "")
    return Points(
        name=beside.name or f"points:{reason}",
        add=add,
        multiply=multiply,
        for_ms=looked.take(found, "for", duration, 0, name="for_ms", kind="duration"),
        expires_ms=looked.take(found, "expires", lives, None, name="expires_ms", kind="duration"),
        reason=reason,
        condition=beside.condition,
        optional=beside.optional,
        to=recipient(reader, found, PEOPLE),
        looked=looked.values,
    )


def _reason(text: str) -> str:
    if not text.strip() or len(text) > NAME_MAX:
        raise BadText(f"a reason is a text of 1 to {NAME_MAX} characters")
    return text


def _whole(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9 and int(digits)):
        raise BadText(f"`{text}` is not a number of points like 100")
    return int(text)


def _factor(text: str) -> float:
    try:
        factor = float(text) if text.isascii() and "_" not in text else 0.0
    except ValueError:
        factor = 0.0
    if not 1 < factor <= MULTIPLY_MAX:
        raise BadText(f"`{text}`: points are multiplied by more than 1, at most {MULTIPLY_MAX}")
    return factor
