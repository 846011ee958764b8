"""Calls about coupons and points that wait for their commit: was it done, and if not, why not.

Must live here: the answer to each call, read from the customer after its event was folded. Must
not: what the event does (features.coupons, features.points). A call is an event of the customer
with the source `laike api`, which the API alone appends; the storefront's own have no answer. What
was refused has changed nothing: no rule hears of it, and it is no event in the tables.
"""

from collections.abc import Callable
from typing import Final

from engine.answers import Answer, note
from engine.effects import Effects, Moment
from engine.requests import CLAIMED, SHOWN, claimed, shown
from features.coupon_ledger import EXPIRED, ISSUED, REDEEMED, RESERVED, Coupon
from features.customer import Customer
from features.events import Event
from features.fold import short
from features.points_ledger import balance

OURS: Final = "laike api"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"
ANOTHER: Final = "another checkout"


def answer(customer: Customer, event: Event, moment: Moment, effects: Effects) -> bool:
    """Note the answer to a call of the API, which was folded; False when it was refused."""
    if event.name in _PAGES:
        _PAGES[event.name](customer, event, moment, effects)
        return True
    read = _READ.get(event.name)
    if read is None:
        return True
    told = read(customer, event)
    note(customer, event.message_id, told, moment.log_time)
    if not told["ok"]:
        effects.skipped.append((moment.offset, REFUSED))
    return bool(told["ok"])


def refused_by(one: Coupon, reservation: str, at: int) -> str:
    """Why a coupon cannot be had for this reservation at `at` (ms), "" when it can."""
    if one.state == RESERVED and at < one.held_until:
        return "" if one.reservation == reservation else ANOTHER
    if one.state not in {ISSUED, RESERVED}:
        return one.state
    return EXPIRED if at >= one.expires_at else ""


def _reserved(customer: Customer, event: Event) -> Answer:
    one = _coupon(customer, event)
    if one is None:
        return _no(UNKNOWN)
    mine = short(event.properties["reservation_id"])
    if one.state == RESERVED and one.reservation == mine:
        return {"ok": True, "held_until": one.held_until, "expires_at": one.expires_at}
    return _no(refused_by(one, mine, event.at) or one.state)


def _redeemed(customer: Customer, event: Event) -> Answer:
    one = _coupon(customer, event)
    if one is None:
        return _no(UNKNOWN)
    if one.state == REDEEMED and one.order == short(event.properties["order_id"]):
        return {"ok": True, "redeemed_at": one.at}
    return _no(ANOTHER if one.state == RESERVED else one.state)


def _given_back(customer: Customer, event: Event) -> Answer:
    """Release and reverse: whether it is his again."""
    one = _coupon(customer, event)
    if one is None:
        return _no(UNKNOWN)
    if one.state == RESERVED:
        return _no(ANOTHER)
    order = short(event.properties.get("order_id", ""))
    return {"ok": True, "state": one.state, "returned": one.state == ISSUED, "order": order}


def _points(customer: Customer, event: Event) -> Answer:
    points = customer.state("points")
    left = balance(points, event.at)
    if short(event.properties["order_id"]) in points.spent:
        return {"ok": True, "balance": left}
    return {**_no("not enough"), "balance": left}


def _told(_customer: Customer, _event: Event) -> Answer:
    return {"ok": True}


def _coupon(customer: Customer, event: Event) -> Coupon | None:
    found: Coupon | None = customer.state("coupons").coupons.get(short(event.properties["code"]))
    return found


def _no(reason: str) -> Answer:
    return {"ok": False, "reason": reason}


_READ: Final[dict[str, Callable[[Customer, Event], Answer]]] = {
    "Coupon Reserved": _reserved,
    "Coupon Redeemed": _redeemed,
    "Coupon Released": _given_back,
    "Coupon Reversed": _given_back,
    "Points Redeemed": _points,
    "Consent Updated": _told,
}
_PAGES: Final = {SHOWN: shown, CLAIMED: claimed}
