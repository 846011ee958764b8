"""What can become of a coupon, step by step, and the row of `coupon_ledger` that each step is.

Must live here: the coupon, its steps, what it costs, what time does to it. Must not: which event
takes which step (coupons.py). A step is numbered in the order of the log and taken once: of every
coupon issued exactly one of redeemed, expired, voided and open is true. Money is in minor units.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit
from features.fold import COUNT_MAX, major, minor, short

COUPONS_MAX: Final = 50
GRACE_MS: Final = 600_000  # an event of before the expiry may still be on its way for so long
ISSUED, RESERVED, REDEEMED, EXPIRED, VOIDED = "issued", "reserved", "redeemed", "expired", "voided"
FINISHED: Final = frozenset((REDEEMED, EXPIRED, VOIDED))
CANCEL, REFUND = 1, 2  # bits of `returns`


class Coupon(msgspec.Struct, array_like=True):
    """One coupon, by its code. Times in ms; `over`, `most`, `cost` in minor units.

    `off` is in the unit of `off_kind` (percent, money in major units, free_shipping, gift: the
    product). Released or given back it is `issued` again.
    """

    offer: str = ""
    issued_at: int = 0
    expires_at: int = 0
    off: float | str = 0.0
    off_kind: str = "money"
    over: int = 0
    most: int = 0
    state: str = ISSUED
    at: int = 0  # of the last step
    seq: int = 0  # of the last step in the ledger
    rule: str = ""
    decision: str = ""
    returns: int = CANCEL  # whether it comes back with an order cancelled, refunded
    share: float = 1.0  # of its cost that the shop bears
    reservation: str = ""
    held_until: int = 0
    order: str = ""
    paid: int = 0  # for the order
    refunded: int = 0
    cost: int = 0
    ledger_id: str = ""  # where it has another id than its code: the shop's, or of a later life
    pool: str = ""  # of imported codes that it came from

    @property
    def face(self) -> int:
        """What it can cost at most, in minor units; 0 when nothing says."""
        if self.off_kind == "money" and not isinstance(self.off, str):
            return minor(self.off)
        return self.most

    @property
    def life(self) -> int:
        """How many had the code of a pool, this one included; 1 of any other."""
        return int(self.ledger_id.rpartition(" ")[2]) if self.pool and self.ledger_id else 1

    def usable(self, now: int) -> bool:
        """Whether he can use it."""
        return self.state not in FINISHED and now < self.expires_at


class Coupons(msgspec.Struct, array_like=True):
    """Code -> coupon, in the order of issue; counts over all time."""

    coupons: dict[str, Coupon] = {}
    issued: int = 0
    redeemed: int = 0

    def code_of(self, coupon_id: str) -> str:
        """The code of a coupon that the ledger knows by this id: most have no other."""
        named = (code for code, one in self.coupons.items() if one.ledger_id == coupon_id)
        return next(named, coupon_id)


def issue(coupons: Coupons, code: str, coupon: Coupon, emit: Emit) -> bool:
    """Put a new coupon in; False when the code is known."""
    if code in coupons.coupons:
        return False
    coupon.at = coupon.issued_at
    coupons.coupons[code] = coupon
    coupons.issued = min(coupons.issued + 1, COUNT_MAX)
    _tell(code, coupon, ISSUED, emit)
    _trim(coupons, emit)
    return True


def due(coupons: Coupons) -> int:
    """When the next of them changes by itself (ms), 0 for never."""
    if not coupons.coupons:
        return 0
    if len(coupons.coupons) > COUPONS_MAX:
        return 1
    return min((at for one in coupons.coupons.values() if (at := _due(one))), default=0)


def lapse(coupons: Coupons, until: int, emit: Emit) -> None:
    """Release what was held for long enough, and expire what nobody used, up to `until` (ms)."""
    while 0 < (at := due(coupons)) <= until:
        if at == 1:
            _trim(coupons, emit)
            continue
        code = min(name for name, one in coupons.coupons.items() if _due(one) == at)
        one = coupons.coupons[code]
        if one.state == RESERVED:
            release(code, one, one.held_until, emit)
        else:
            _step(code, one, EXPIRED, one.expires_at, emit)


def _due(coupon: Coupon) -> int:
    if coupon.state == RESERVED:
        return coupon.held_until
    return coupon.expires_at + GRACE_MS if coupon.state == ISSUED else 0


def void(coupons: Coupons, code: str, at: int, emit: Emit) -> bool:
    """Take back a coupon that was not used: its message never left, or it was an error."""
    one = coupons.coupons.get(code)
    if one is None or one.state in FINISHED:
        return False
    _step(code, one, VOIDED, at, emit)
    return True


def reserve(code: str, one: Coupon, name: str, at: int, hold_ms: int, emit: Emit) -> bool:
    """Keep it for one checkout, the first that asks; the same one asking again changes nothing."""
    if one.state in FINISHED or at >= one.expires_at:
        return False
    if one.state == RESERVED:
        if one.reservation == name or at < one.held_until:
            return one.reservation == name
        release(code, one, one.held_until, emit)
    one.reservation, one.held_until = name, at + hold_ms
    _step(code, one, RESERVED, at, emit)
    return True


def release(code: str, one: Coupon, at: int, emit: Emit) -> None:
    """It is reserved no more."""
    _step(code, one, "released", at, emit)
    one.state, one.reservation, one.order, one.held_until = ISSUED, "", "", 0


def redeem(
    coupons: Coupons, code: str, one: Coupon, event: Event, discount: float | None, emit: Emit
) -> None:
    """It was used with the event's order; `discount` is what the shop says it took off."""
    if one.state in FINISHED:
        return
    one.order = short(event.properties.get("order_id", "") or event.message_id)
    one.paid, one.refunded = minor(event.properties.get("total", 0)), 0
    one.cost = round(_taken_off(one, event, discount) * one.share)
    coupons.redeemed = min(coupons.redeemed + 1, COUNT_MAX)
    _step(code, one, REDEEMED, event.at, emit)


def _taken_off(one: Coupon, event: Event, discount: float | None) -> int:
    """What it took off, in minor units: as the shop says, else by what the coupon promises."""
    given = event.properties
    if discount is not None:
        found = minor(discount)
    elif one.off_kind == "percent" and not isinstance(one.off, str):
        found = round(minor(given.get("subtotal", given.get("total", 0))) * one.off / 100)
    elif one.off_kind == "free_shipping":
        found = minor(given.get("shipping", 0))
    else:
        found = one.face
    return min(found, one.face) if one.face else found


def give_back(coupons: Coupons, code: str, one: Coupon, at: int, emit: Emit) -> None:
    """It was used and is his again, as long as it lives."""
    if one.state != REDEEMED:
        return
    _step(code, one, "reversed", at, emit)
    coupons.redeemed = max(0, coupons.redeemed - 1)
    one.state, one.reservation, one.order, one.held_until = ISSUED, "", "", 0
    one.paid = one.refunded = one.cost = 0


def _step(code: str, one: Coupon, fact: str, at: int, emit: Emit) -> None:
    one.state, one.seq, one.at = fact, one.seq + 1, max(at, one.at)
    _tell(code, one, fact, emit)


def _tell(code: str, one: Coupon, fact: str, emit: Emit) -> None:
    emit("coupon_ledger", {
        "coupon_id": one.ledger_id or code, "seq": one.seq, "fact": fact, "at": one.at,
        "decision_id": one.decision, "rule": one.rule, "offer": one.offer,
        "face": major(one.face), "cost": major(one.cost), "order_id": one.order,
        "expires_at": one.expires_at,
    })  # fmt: skip


def _trim(coupons: Coupons, emit: Emit) -> None:
    """Finished ones go first; if he has 50 open, the one that expires first is voided."""
    known = coupons.coupons
    while len(known) > COUPONS_MAX:
        finished = [(one.at, code) for code, one in known.items() if one.state in FINISHED]
        _, code = min(finished or [(one.expires_at, code) for code, one in known.items()])
        void(coupons, code, known[code].at, emit)
        del known[code]
