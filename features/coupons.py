"""Coupons: those issued to him and what became of each, as decisions and the shop tell it.

A decision issues one (the engine calls `issue`), or the shop does (Coupon Issued). It is reserved
for a checkout, redeemed by an order, given back when the order is, and expires by itself. Coupon
Applied and Coupon Removed are a browser's word about a cart: they reserve nothing. At most 50 are
kept; what is finished for longest goes first.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from features import order_lines
from features.coupon_ledger import (
    CANCEL,
    COUPONS_MAX,
    FINISHED,
    REDEEMED,
    REFUND,
    RESERVED,
    Coupon,
    Coupons,
    give_back,
    issue,
    redeem,
    release,
    reserve,
    void,
)
from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import COUNT_MAX, DAY_MS, MINOR_MAX, days, minor, newest, short
from features.orders import order_id
from features.vocabulary import PAID

HOLD_MS: Final = 900_000
HOLD_SECONDS_MAX: Final = 86_400
ID_LENGTH: Final = 26
NAMES: Final = ("code", "coupon", "coupon_id")


def fold(coupons: Coupons, event: Event, emit: Emit) -> None:
    """Take the step that the event tells of, if it is one."""
    _STEPS[event.name](coupons, event, emit)


def _issued(coupons: Coupons, event: Event, emit: Emit) -> None:
    given = event.properties
    code = next((short(given[name]) for name in NAMES if given.get(name)), "")
    expires_at = given.get("expires_at", 0)
    if not code or not expires_at:
        return
    off, kind = _off(given)
    decision = given.get("decision_id", "")
    coupon = Coupon(
        offer=short(given.get("offer", "")), issued_at=event.at, expires_at=expires_at,
        off=off, off_kind=kind, over=minor(given.get("over", 0)), most=minor(given.get("most", 0)),
        decision=decision if len(decision) == ID_LENGTH and decision.isascii() else "",
        ledger_id=short(given.get("coupon_id", "")),
    )  # fmt: skip
    issue(coupons, code, coupon, emit)


def _off(given: dict[str, Any]) -> tuple[float | str, str]:
    """What it takes off, as the shop says it: 30, "30", "10%"; and of which kind."""
    off, kind = given.get("off"), given.get("off_kind")
    if isinstance(off, str) and kind != "gift":
        percent = off.endswith("%")
        try:
            off, kind = float(off.removesuffix("%")), "percent" if percent else kind
        except ValueError:
            off = 0
    if kind == "gift" and isinstance(off, str):
        return short(off), "gift"
    if isinstance(off, bool) or not isinstance(off, int | float) or not 0 <= off <= MINOR_MAX:
        off = 0
    return float(off), kind if kind in {"percent", "free_shipping"} else "money"


def _reserved(coupons: Coupons, event: Event, emit: Emit) -> None:
    code, one = _named(coupons, event)
    if one is None:
        return
    seconds = min(event.properties.get("hold_s", 0), HOLD_SECONDS_MAX)
    hold_ms = int(seconds * 1_000) if seconds > 0 else HOLD_MS
    name, before = _reservation(event) or short(event.message_id), one.seq
    reserve(code, one, name, event.at, hold_ms, emit)
    if one.seq != before and one.state == RESERVED:
        one.order = short(event.properties.get("order_id", ""))


def _reservation(event: Event) -> str:
    given = event.properties
    names = ("reservation_id", "checkout_id", "order_id")
    return short(next((given[name] for name in names if given.get(name)), ""))


def _released(coupons: Coupons, event: Event, emit: Emit) -> None:
    code, one = _named(coupons, event)
    if one is not None and one.state == RESERVED:
        name = _reservation(event)
        if not name or name in {one.reservation, one.order}:
            release(code, one, event.at, emit)


def _redeemed(coupons: Coupons, event: Event, emit: Emit) -> None:
    """The shop says so; under another's reservation it is not his to use."""
    code, one = _named(coupons, event)
    held_by = short(event.properties.get("reservation_id", ""))
    if one is None or (one.state == RESERVED and held_by and held_by != one.reservation):
        return
    redeem(coupons, code, one, event, event.properties.get("discount"), emit)


def _paid(coupons: Coupons, event: Event, emit: Emit) -> None:
    """An order that names coupons, or for which some are reserved, has used them."""
    if not coupons.coupons:
        return
    given, order = event.properties, short(order_id(event))
    named = [given.get("coupon"), *(line.get("coupon") for line in given.get("products", ()))]
    used = dict.fromkeys(short(code) for code in named if code)
    used |= dict.fromkeys(c for c, one in coupons.coupons.items() if one.order == order)
    known = [code for code in used if code in coupons.coupons]
    discount = given.get("discount") if len(known) == 1 else None
    for code in known:
        redeem(coupons, code, coupons.coupons[code], event, discount, emit)


def _cancelled(coupons: Coupons, event: Event, emit: Emit) -> None:
    for code, one in _of_order(coupons, event):
        if one.state == RESERVED:
            release(code, one, event.at, emit)
        elif one.returns & CANCEL:
            give_back(coupons, code, one, event.at, emit)


def _refunded(coupons: Coupons, event: Event, emit: Emit) -> None:
    """Only an order refunded whole gives its coupon back, and only where the offer says so."""
    amount = order_lines.refund_amount(event)
    for code, one in _of_order(coupons, event):
        one.refunded = min(one.refunded + (amount or 0), MINOR_MAX)
        whole = amount is None or (one.paid and one.refunded >= one.paid)
        if whole and one.returns & REFUND:
            give_back(coupons, code, one, event.at, emit)


def _reversed(coupons: Coupons, event: Event, emit: Emit) -> None:
    """The shop gives it back, whatever the policy."""
    code, named = _named(coupons, event)
    found = [(code, named)] if named is not None else _of_order(coupons, event)
    for code, one in found:
        give_back(coupons, code, one, event.at, emit)


def _voided(coupons: Coupons, event: Event, emit: Emit) -> None:
    code, one = _named(coupons, event)
    decision = event.properties.get("decision_id")
    if one and not (decision and one.pool and decision != one.decision):  # his a second time
        void(coupons, code, event.at, emit)


def _unsent(coupons: Coupons, event: Event, emit: Emit) -> None:
    """The one message that told him of these could not be sent: nobody has them."""
    codes = event.properties.get("coupons")
    for code in codes if isinstance(codes, list) else ():
        if isinstance(code, str):
            void(coupons, short(code), event.at, emit)


def _of_order(coupons: Coupons, event: Event) -> list[tuple[str, Coupon]]:
    order = short(event.properties.get("order_id", ""))
    return [(code, one) for code, one in coupons.coupons.items() if order and one.order == order]


def _named(coupons: Coupons, event: Event) -> tuple[str, Coupon | None]:
    """The coupon that an event is about: by its code, its id, its reservation."""
    given, known = event.properties, coupons.coupons
    for name in NAMES:
        code = short(given.get(name, ""))
        if code in known:
            return code, known[code]
    ledger_id, held_by = short(given.get("coupon_id", "")), short(given.get("reservation_id", ""))
    for code, one in known.items():
        if (ledger_id and one.ledger_id == ledger_id) or (held_by and one.reservation == held_by):
            return code, one
    return "", None


_STEPS: Final[dict[str, Callable[[Coupons, Event, Emit], None]]] = {
    "Coupon Issued": _issued,
    "Coupon Reserved": _reserved,
    "Coupon Released": _released,
    "Coupon Redeemed": _redeemed,
    "Coupon Reversed": _reversed,
    "Coupon Voided": _voided,
    "Message Failed": _unsent,
    **dict.fromkeys(PAID, _paid),
    "Order Cancelled": _cancelled,
    "Order Refunded": _refunded,
}


def merge(mine: Coupons, theirs: Coupons) -> Coupons:
    """Both one's; of a code both have, the one that went further. `lapse` cuts the open ones."""
    found = dict(mine.coupons)
    for code, one in theirs.coupons.items():
        known = found.get(code)
        if known is None or one.seq > known.seq:
            found[code] = msgspec.structs.replace(one)
    finished = newest(
        ((c, one.at) for c, one in found.items() if one.state in FINISHED), len(found)
    )
    for code in finished[max(0, COUPONS_MAX - (len(found) - len(finished))) :]:
        del found[code]
    return Coupons(
        dict(sorted(found.items(), key=lambda item: (item[1].issued_at, item[0]))),
        min(mine.issued + theirs.issued, COUNT_MAX),
        min(mine.redeemed + theirs.redeemed, COUNT_MAX),
    )


def unused(coupons: Coupons, now: int) -> list[Coupon]:
    """Those he can use now, the first to expire first."""
    found = [one for one in coupons.coupons.values() if one.usable(now)]
    return sorted(found, key=lambda one: (one.expires_at, one.issued_at))


def expires_at(coupons: Coupons, now: int) -> float:
    """When the next of those he can use expires (ms); nan for none."""
    return min((o.expires_at for o in coupons.coupons.values() if o.usable(now)), default=math.nan)


def _offers(coupons: Coupons, now: int) -> list[str] | None:
    return list(dict.fromkeys(one.offer for one in unused(coupons, now) if one.offer)) or None


def _redeemed_at(coupons: Coupons) -> int:
    return max((one.at for one in coupons.coupons.values() if one.state == REDEEMED), default=0)


FACET: Final = Facet(
    name="coupons",
    version=1,
    state=Coupons,
    doc="The coupons issued to him: open, reserved, redeemed, expired; the last 50.",
    events=frozenset(_STEPS),
    fold=fold,
    merge=merge,
    features=(
        number("coupons.count", "coupons", "Coupons issued to him, ever.", lambda s, _: s.issued),
        number(
            "coupons.unused",
            "coupons",
            "Coupons that he can use now.",
            lambda s, now: sum(one.usable(now) for one in s.coupons.values()),
        ),
        number(
            "coupons.redeemed",
            "coupons",
            "Coupons he used, ever, less those given back.",
            lambda s, _: s.redeemed,
        ),
        number(
            "coupons.expiring_days",
            "days",
            "Until the next of those he can use expires; missing when he has none.",
            lambda s, now: (expires_at(s, now) - now) / DAY_MS,
        ),
        number(
            "coupons.expires_at",
            "moment",
            "When the next of those he can use expires; missing when he has none.",
            expires_at,
        ),
        number(
            "coupons.days_since_redeemed",
            "days",
            "Since he last used one; missing when none is known.",
            lambda s, now: days(_redeemed_at(s), now),
        ),
        Feature(
            name="coupons.offers",
            type="list",
            unit="offers",
            doc="Offers of the coupons he can use, the first to expire first; missing for none.",
            read=_offers,
        ),
    ),
)
