"""Coupons and points at the checkout: validate, reserve, redeem, release, reverse.

Must live here: these calls and the sums of a cart. Must not: what a coupon's steps are (features),
the way of a record and its answer (asking). `validate` and the lists read; all else is a record
keyed to the customer, decided in its commit: of two checkouts one gets the coupon, and a call
whose answer is not known is refused or pending, never a yes.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Header, Path, Response

from api.answering import PENDING, granted, pending, refused
from api.asking import Asking, Looked, cid_of
from api.callers import CALLER_ERRORS, page_or_server, server_only
from api.coupon_forms import (
    Balance,
    Cart,
    CouponShown,
    CouponsShown,
    GivenBack,
    Lot,
    PointsShown,
    Redeem,
    Redeemed,
    Release,
    Reserve,
    Reserved,
    Reverse,
    SpendPoints,
    Valid,
    Validate,
)
from api.decide import Pages
from api.errors import EVERYWHERE, told
from api.refusals import Refused
from api.sources import Sources
from api.tagged import UNCHANGED, Match, tagged
from engine.answers import Answer, answer_about
from engine.ids import is_forged
from engine.redeeming import UNKNOWN, refused_by
from features.coupon_ledger import CANCEL, REDEEMED, REFUND, RESERVED, Coupon
from features.fold import major, minor, short
from features.points_ledger import balance
from rules.offers import ANY

POLICIES: Final = {"cancelled": CANCEL, "refunded": REFUND}
UNDER: Final = "under the threshold"
STACKS: Final = "does not stack"
_Key = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]


class Coupons:
    """The coupons of customers, as the API sees them."""

    def __init__(self, pages: Pages, connect: Callable[[], Client]) -> None:
        self.asking: Asking = pages.asking
        self.tokens = pages.tokens
        self._pages = pages
        self._connect = connect

    async def validate(self, asked: Validate) -> Valid:
        """Read only; whether it could be reserved now."""
        if self._forged(asked.code):  # before anything is read
            return Valid(valid=False, reason=UNKNOWN)
        now = await self.asking.now()
        looked = await self.asking.look(cid_of(asked.customer_id))
        coupons = looked.customer.state("coupons").coupons
        one: Coupon | None = coupons.get(short(asked.code))
        if one is None:
            return Valid(valid=False, reason=UNKNOWN)
        stacks = await self._stacks(looked, one)
        off = discount(one, asked.cart)
        reason = RESERVED if one.state == RESERVED and now < one.held_until else ""
        reason = reason or refused_by(one, "", now) or (UNDER if off is None else "")
        if not reason and beside(coupons, one, asked.cart) - stacks and ANY not in stacks:
            reason = STACKS
        return Valid(
            valid=not reason, reason=reason, discount=0 if reason else major(off or 0),
            stacks_with=sorted(stacks), expires_at=one.expires_at,
        )  # fmt: skip

    def _forged(self, code: str) -> bool:
        return is_forged(self.asking.settings.secret, code)

    async def _stacks(self, looked: Looked, one: Coupon) -> frozenset[str]:
        """The offers that a coupon may be used with, by the rules in force."""
        book = await self._pages.book(looked.state.rules)
        offer = book.offers.get(one.offer) if book else None
        return offer.stacks if offer else frozenset()

    async def reserve(self, asked: Reserve, key: str) -> Any:
        """Have it kept for a checkout."""
        cid, now = cid_of(asked.customer_id), await self.asking.now()
        looked = None if self._forged(asked.code) else await self.asking.look(cid)
        coupons = looked.customer.state("coupons").coupons if looked else {}
        one: Coupon | None = coupons.get(short(asked.code))
        if looked is None or one is None:
            raise Refused(404, UNKNOWN, "he has no coupon of this code")
        off = discount(one, asked.cart)
        if off is None:
            raise refused({"reason": UNDER})
        stacks = await self._stacks(looked, one)
        if beside(coupons, one, asked.cart, asked.checkout_id) - stacks and ANY not in stacks:
            raise refused({"reason": STACKS})
        extra = {
            "reservation_id": self.tokens.sign("reservation", [cid, asked.code, asked.checkout_id]),
            "discount": major(off),
        }
        given = {
            "code": asked.code, "reservation_id": asked.checkout_id, "hold_s": asked.hold_s,
            "checkout_id": asked.checkout_id,
        }  # fmt: skip
        about = f"{cid} {asked.code} {asked.checkout_id}"
        return await self._ask("reserve", cid, "Coupon Reserved", given, extra, key, about, now)

    async def redeem(self, asked: Redeem, key: str) -> Any:
        """An order has used it."""
        cid, code, checkout = self.tokens.read("reservation", asked.reservation_id)
        given = {
            "code": code, "reservation_id": checkout, "order_id": asked.order_id,
            "discount": asked.discount, "total": asked.total,
        }  # fmt: skip
        about, now = f"{cid} {code} {asked.order_id}", await self.asking.now()
        return await self._ask("redeem", cid, "Coupon Redeemed", given, {}, key, about, now)

    async def release(self, asked: Release, key: str) -> Any:
        """The checkout was given up."""
        cid, code, checkout = self.tokens.read("reservation", asked.reservation_id)
        given = {"code": code, "reservation_id": checkout}
        now = await self.asking.now()
        return await self._ask(
            "give_back", cid, "Coupon Released", given, {}, key, f"{cid} {code} {checkout}", now
        )

    async def reverse(self, asked: Reverse, key: str) -> Any:
        """Give the coupon of an order back, if its offer says so."""
        name = asked.customer_id or await asyncio.to_thread(self._whose, asked.order_id)
        cid, order = cid_of(name) if name else "", short(asked.order_id)
        looked = await self.asking.look(cid) if cid else None
        coupons = looked.customer.state("coupons").coupons if looked else {}
        found = [(code, one) for code, one in coupons.items() if one.order == order]
        if not found:
            given_back = answer_about(looked.customer, order) if looked else None
            if given_back is None:
                raise Refused(404, UNKNOWN, "no coupon was used with this order")
            return _given_back(given_back, {})
        code, one = found[0]
        policy = POLICIES.get(asked.reason)
        if one.state != REDEEMED or asked.lines or (policy and not one.returns & policy):
            return GivenBack(state=one.state, returned=False)
        given = {"code": code, "order_id": asked.order_id, "reason": asked.reason}
        about, now = f"{cid} {code} {order}", await self.asking.now()
        return await self._ask("give_back", cid, "Coupon Reversed", given, {}, key, about, now)

    async def spend_points(self, asked: SpendPoints, key: str) -> Any:
        """Pay an order with points: all of them, or none."""
        cid, now = cid_of(asked.customer_id), await self.asking.now()
        if not (await self.asking.look(cid)).blob:
            raise refused({"reason": "not enough"})
        given = {"points": asked.points, "order_id": asked.order_id, "reason": asked.for_}
        about = f"{cid} {asked.order_id}"
        return await self._ask("points", cid, "Points Redeemed", given, {}, key, about, now)

    async def _ask(
        self, call: str, cid: str, what: str, given: dict[str, Any], extra: dict[str, Any],
        key: str, about: str, at: int,
    ) -> Any:  # fmt: skip
        name = self.asking.name(what, key, about)
        answer = await self.asking.ask(cid, what, given, name, at)
        if answer is None:
            return pending(self.tokens, call, cid, name, extra)
        return REPLIES[call](answer, extra)

    def _whose(self, order: str) -> str:
        """Whose coupon an order used, as the tables have it."""
        told_ = (
            "SELECT cid FROM coupon_ledger WHERE order_id = {order:String} AND fact = 'redeemed'"
            " ORDER BY at DESC LIMIT 1"
        )
        client = self._connect()
        try:
            rows = client.query(told_, parameters={"order": short(order)}).result_rows
        finally:
            client.close()
        return str(rows[0][0]) if rows else ""


def beside(
    coupons: Mapping[str, Coupon], one: Coupon, cart: Cart, checkout: str = ""
) -> frozenset[str]:
    """The offers of his other coupons that are used with this cart, or kept for this checkout."""
    told_ = {short(code) for code in cart.coupons}
    if checkout:
        name = short(checkout)
        told_ |= {
            code
            for code, other in coupons.items()
            if other.state == RESERVED and other.reservation == name
        }
    return frozenset(
        other.offer for code, other in coupons.items() if code in told_ and other is not one
    )


def discount(one: Coupon, cart: Cart) -> int | None:
    """What it takes off a cart, in minor units; None below its threshold."""
    subtotal = minor(cart.subtotal)
    if subtotal < one.over:
        return None
    if one.off_kind == "free_shipping":
        off = minor(cart.shipping)
    elif isinstance(one.off, str):
        return 0  # a gift
    elif one.off_kind == "percent":
        off = round(subtotal * one.off / 100)
    else:
        off = min(minor(one.off), subtotal)
    return min(off, one.most) if one.most else off


def _reserved(answer: Answer, extra: dict[str, Any]) -> Reserved:
    yes = granted(answer)
    return Reserved(**extra, expires_at=min(yes["held_until"], yes["expires_at"]))


def _redeemed(answer: Answer, _: dict[str, Any]) -> Redeemed:
    return Redeemed(redeemed_at=granted(answer)["redeemed_at"])


def _given_back(answer: Answer, _: dict[str, Any]) -> GivenBack:
    yes = granted(answer)
    return GivenBack(state=yes["state"], returned=yes["returned"])


def _points(answer: Answer, _: dict[str, Any]) -> Balance:
    return Balance(balance=granted(answer)["balance"])


REPLIES: Final = {
    "reserve": _reserved,
    "redeem": _redeemed,
    "give_back": _given_back,
    "points": _points,
}


def router(coupons: Coupons, sources: Sources) -> APIRouter:
    """The calls."""
    asking = coupons.asking
    routes = APIRouter(prefix="/v1", tags=["coupons"], responses=EVERYWHERE | CALLER_ERRORS)
    page, server = page_or_server(sources), server_only(sources)
    waits = PENDING | told({404: "There is no such coupon.", 409: "It cannot be had: see `code`."})

    @routes.post("/coupons/validate")
    async def validate(asked: Validate, _: Annotated[str, page]) -> Valid:
        """Whether a customer can use a code now. Writes nothing."""
        return await coupons.validate(asked)

    @routes.post("/coupons/reserve", responses=waits, response_model=Reserved)
    async def reserve(asked: Reserve, _: Annotated[str, server], key: _Key = "") -> Any:
        """Keep a coupon for one checkout; the same checkout asking again has the same answer."""
        return await coupons.reserve(asked, key)

    @routes.post("/coupons/redeem", responses=waits, response_model=Redeemed)
    async def redeem(asked: Redeem, _: Annotated[str, server], key: _Key = "") -> Any:
        """An order has used it; once an order."""
        return await coupons.redeem(asked, key)

    @routes.post("/coupons/release", responses=waits, response_model=GivenBack)
    async def release(asked: Release, _: Annotated[str, server], key: _Key = "") -> Any:
        """The checkout was given up. By itself this happens when the time to hold it is over."""
        return await coupons.release(asked, key)

    @routes.post("/coupons/reverse", responses=waits, response_model=GivenBack)
    async def reverse(asked: Reverse, _: Annotated[str, server], key: _Key = "") -> Any:
        """The order was cancelled or refunded: by the offer's `returns` its coupon comes back."""
        return await coupons.reverse(asked, key)

    @routes.post("/points/redeem", responses=waits, response_model=Balance)
    async def points(asked: SpendPoints, _: Annotated[str, server], key: _Key = "") -> Any:
        """Pay an order with points; once an order, all or none."""
        return await coupons.spend_points(asked, key)

    @routes.get("/customers/{name}/coupons", responses=UNCHANGED, response_model=CouponsShown)
    async def listed(
        name: Annotated[str, Path(max_length=200)], _: Annotated[str, server], tag: Match = ""
    ) -> Response:
        """His coupons, the first issued first."""
        found = (await asking.look(cid_of(name))).customer.state("coupons").coupons
        shown = [
            CouponShown(
                code=code, offer=one.offer, state=one.state, off=one.off, off_kind=one.off_kind,
                over=major(one.over), most=major(one.most), issued_at=one.issued_at,
                expires_at=one.expires_at, order_id=one.order,
            )
            for code, one in found.items()
        ]  # fmt: skip
        return tagged(CouponsShown(coupons=shown), tag)

    @routes.get("/customers/{name}/points", responses=UNCHANGED, response_model=PointsShown)
    async def points_of(
        name: Annotated[str, Path(max_length=200)], _: Annotated[str, server], tag: Match = ""
    ) -> Response:
        """His points, the first to expire first."""
        now = await asking.now()
        found = (await asking.look(cid_of(name))).customer.state("points")
        lots = [
            Lot(points=lot.left, expires_at=lot.expires_at) for lot in found.lots if lot.good(now)
        ]
        return tagged(PointsShown(balance=balance(found, now), lots=lots), tag)

    return routes
