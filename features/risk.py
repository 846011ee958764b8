"""Risk: signs of coupon abuse, of made-up orders (刷单), of rings of referrals; and their sum.

What is counted is of his last 20 orders, so that who behaves is trusted again; of accounts,
referrals, addresses and means of payment the last few are kept, as six-byte hashes. The engine
tells two things that no event of his says: what he had looked at before an order (`seen_before`),
and which other accounts signed in on his devices (`neighbours`). risk_signs.py weighs the signs.
Not seen here: an address written in another way (shops send `address_id`, `payment_id`), a device
whose storage was cleared, a ring of three or more, whatever a shop's own server does not say.
"""

import math
from bisect import insort
from collections.abc import Callable
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import HOUR_MS, ID_BYTES, hashed
from features.orders import order_id
from features.risk_signs import abuse, signs
from features.vocabulary import PAID

ORDERS_MAX: Final = 20
IDS_MAX: Final = 16
FAST_MS: Final = 30 * 60_000  # paid, sent and received within this: no parcel travels so fast
COUPON, BACK, FAST, REVIEWED, BACK_AFTER_REVIEW = 1, 2, 4, 8, 16
VIEWS_MAX: Final = 255
BACK_EVENTS: Final = frozenset(("Order Refunded", "Order Cancelled"))
REFERRALS: Final = frozenset(("Referral Sent", "Referral Accepted"))


class Order(msgspec.Struct, array_like=True, order=True):
    """One paid order: when (ms), which, what of it, whose; `views` before it, -1 for unknown."""

    at: int
    id: bytes
    flags: int = 0
    merchant: bytes = b""
    views: int = -1


class Risk(msgspec.Struct, array_like=True):
    """Orders by time; the rest are hashes behind one another, the latest last."""

    orders: list[Order] = []
    devices: bytes = b""
    addresses: bytes = b""
    payments: bytes = b""
    friends: bytes = b""  # whom he referred
    referrers: bytes = b""
    neighbours: bytes = b""  # accounts on his devices


def account(user: str) -> bytes:
    """What stands for an account, by its user id or its key `u:...`."""
    return hashed("account", user.removeprefix("u:"))


def fold(risk: Risk, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Note what the event says of an order, or of a referral."""
    if event.name in PAID:
        _paid(risk, event)
    elif event.name in REFERRALS:
        _referred(risk, event)
    else:
        one = _order(risk, event)
        if one is None:
            return
        if event.name == "Coupon Redeemed":
            one.flags |= COUPON
        elif event.name == "Product Reviewed":
            one.flags |= REVIEWED
        elif event.name in BACK_EVENTS:
            one.flags |= BACK | (BACK_AFTER_REVIEW if one.flags & REVIEWED else 0)
        elif event.at - one.at <= FAST_MS:
            one.flags |= FAST


def _paid(risk: Risk, event: Event) -> None:
    given = event.properties
    coupon = given.get("coupon") or any(line.get("coupon") for line in given.get("products", ()))
    merchant = given.get("merchant_id") or given.get("shop_id") or ""
    whose = hashed("merchant", merchant) if merchant else b""
    insort(risk.orders, Order(event.at, _id(event), COUPON if coupon else 0, whose))
    del risk.orders[:-ORDERS_MAX]
    if event.anonymous_id:
        risk.devices = _with(risk.devices, hashed("device", event.anonymous_id))
    if given.get("address_id"):
        risk.addresses = _with(risk.addresses, hashed("address", given["address_id"]))
    if given.get("payment_id"):
        risk.payments = _with(risk.payments, hashed("payment", given["payment_id"]))


def _referred(risk: Risk, event: Event) -> None:
    """He is the friend or the referrer; an account is told apart from its own by its user id."""
    me, given = event.user_id, event.properties
    friend, referrer = given.get("friend", ""), str(given.get("referrer", ""))
    if friend and friend.removeprefix("u:") != me:
        risk.friends = _with(risk.friends, account(friend))
    elif referrer:
        risk.referrers = _with(risk.referrers, account(referrer))


def _id(event: Event) -> bytes:
    return hashed("order", order_id(event))


def _order(risk: Risk, event: Event) -> Order | None:
    if not event.properties.get("order_id"):
        return None
    named = _id(event)
    return next((one for one in risk.orders if one.id == named), None)


def _with(known: bytes, more: bytes) -> bytes:
    """With `more` behind, each once, the last 16."""
    found = {known[at : at + ID_BYTES]: None for at in range(0, len(known), ID_BYTES)}
    for at in range(0, len(more), ID_BYTES):
        found.pop(more[at : at + ID_BYTES], None)
        found[more[at : at + ID_BYTES]] = None
    return b"".join(found)[-IDS_MAX * ID_BYTES :]


def seen_before(risk: Risk, event: Event, views: int) -> None:
    """He looked at so many products before this order of his."""
    named = _id(event)
    for one in reversed(risk.orders):
        if one.id == named:
            one.views = min(views, VIEWS_MAX)
            return


def neighbours(risk: Risk, accounts: bytes) -> bool:
    """These accounts use a device of his; whether that is news."""
    known = risk.neighbours
    risk.neighbours = _with(known, accounts)
    return len(risk.neighbours) > len(known)


def merge(mine: Risk, theirs: Risk) -> Risk:
    """Both one's orders, once each, and all that either used or knew."""
    orders = {one.id: msgspec.structs.replace(one) for one in theirs.orders}
    for one in mine.orders:
        other = orders.get(one.id, one)
        orders[one.id] = msgspec.structs.replace(
            one, flags=one.flags | other.flags, views=max(one.views, other.views)
        )
    return Risk(
        sorted(orders.values())[-ORDERS_MAX:],
        *(
            _with(getattr(theirs, name), getattr(mine, name))
            for name in Risk.__struct_fields__
            if name != "orders"
        ),
    )


def facts(s: Risk) -> dict[str, float]:
    """The plain numbers, named as in `NUMBERS`; a share of no orders is missing (nan)."""
    coupons = back = fast = after = blind = 0
    whose: dict[bytes, int] = {}
    most = first = 0
    for last, one in enumerate(s.orders):  # every paid order comes by here: one pass
        if flags := one.flags:
            coupons += flags & COUPON
            back += (flags & (COUPON | BACK)) == COUPON | BACK
            fast += (flags & FAST) > 0
            after += (flags & BACK_AFTER_REVIEW) > 0
        blind += not one.views
        if one.merchant:
            whose[one.merchant] = whose.get(one.merchant, 0) + 1
        while one.at - s.orders[first].at > HOUR_MS:
            first += 1
        if last - first >= most:
            most = last - first + 1
    few = len(s.orders)
    near, friends, referrers = _ids(s.neighbours), _ids(s.friends), _ids(s.referrers)
    return {
        "orders": few,
        "coupon_share": coupons / few if few else math.nan,
        "coupon_returns": back,
        "burst": most,
        "fast": fast,
        "blind": blind,
        "after_review": after,
        "merchant_orders": max(whose.values(), default=0),
        "devices": len(s.devices) // ID_BYTES,
        "addresses": len(s.addresses) // ID_BYTES,
        "payments": len(s.payments) // ID_BYTES,
        "neighbours": len(near),
        "referrals": len(friends),
        "ring": len(friends & referrers),
        "own_referrals": len((friends | referrers) & near),
    }


def _ids(known: bytes) -> set[bytes]:
    if not known:
        return set()
    return {known[at : at + ID_BYTES] for at in range(0, len(known), ID_BYTES)}


_NOTHING: Final = Risk()
NUMBERS: Final[dict[str, tuple[str, str]]] = {
    "orders": ("orders", "Paid orders that are looked at: the last 20."),
    "coupon_share": ("share of 1", "Of these, the share with a coupon; missing before the first."),
    "coupon_returns": ("orders", "Of these, with a coupon and then refunded or cancelled."),
    "burst": ("orders", "The most of these within an hour."),
    "fast": ("orders", "Of these, received within 30 minutes of paying."),
    "blind": ("orders", "Of these, without a product viewed in the day before."),
    "after_review": ("orders", "Of these, given back after he had reviewed them."),
    "merchant_orders": ("orders", "Of these, from the merchant he ordered from most."),
    "devices": ("devices", "Browsers and apps he ordered from, 16 at most."),
    "addresses": ("addresses", "Addresses he ordered to (address_id), 16 at most."),
    "payments": ("means", "Means he paid by (payment_id), 16 at most."),
    "neighbours": ("accounts", "Other accounts that signed in on his devices, 16 at most."),
    "referrals": ("friends", "Friends he referred, 16 at most."),
    "ring": ("accounts", "Friends he referred who also referred him."),
    "own_referrals": ("accounts", "Friends or referrers who use a device of his."),
}


def _abuse(s: Risk, now: int) -> float:  # noqa: ARG001 - a reader's shape
    """Most have done nothing that is looked at, and the gate asks of everybody."""
    return 0.0 if s == _NOTHING else abuse(facts(s))


def _reader(name: str) -> Callable[[Risk, int], float]:
    return lambda s, _: facts(s)[name]


FACET: Final = Facet(
    name="risk",
    version=1,
    state=Risk,
    doc="Signs of coupon abuse, made-up orders and referral rings, in his last 20 orders.",
    events=PAID
    | BACK_EVENTS
    | REFERRALS
    | {"Order Delivered", "Coupon Redeemed", "Product Reviewed"},
    fold=fold,
    merge=merge,
    features=(
        number(
            "risk.abuse",
            "share of 1",
            "How likely he abuses the shop's gifts, 0 to 1: all signs together.",
            _abuse,
        ),
        Feature(
            name="risk.signs",
            type="list",
            unit="signs",
            doc="The signs that speak against him, the strongest first.",
            read=lambda s, _: signs(facts(s)),
        ),
        *(
            number(f"risk.{name}", unit, doc, _reader(name))
            for name, (unit, doc) in NUMBERS.items()
        ),
    ),
)
