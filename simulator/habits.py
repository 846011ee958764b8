"""What a person does on a day: visits by the hour, and the funnel from a search to a refund.

Must live here: `day_of`, a function of the seed, the person and the day, and of nothing else, so
that any day can be made again. What follows from the day (a parcel, a review, a return to the
cart) is part of it, up to `TAIL_DAYS` later. Must not: the population, the clock, IO.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from simulator.catalogue import Catalogue, Product
from simulator.opinions import opinion
from simulator.people import Device, Kind, Person

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ZONE_MS = 8 * HOUR  # the shop is in China, which knows no summer time
TAIL_DAYS = 12

_EARLY = tuple(accumulate((2, 1, 1, 1, 1, 2, 5, 8, 10, 12, 13, 14, 15, 13, 11, 11, 11, 12, 14,
                           18, 20, 16, 9, 4)))  # fmt: skip
_LATE = tuple(accumulate((12, 8, 4, 2, 1, 1, 2, 3, 5, 7, 8, 9, 11, 11, 9, 9, 9, 10, 12,
                          15, 19, 22, 22, 18)))  # fmt: skip
_HOURS = range(24)

# what he came for: chance of another view, of an add a view, of a checkout with a full cart
_AIMS = {"browse": (0.62, 0.06, 0.08), "hunt": (0.55, 0.22, 0.25), "buy": (0.45, 0.5, 0.7)}
# chance of coming back by himself to a cart that he left
_COMES_BACK = {Kind.SURE: 0.5, Kind.PERSUADABLE: 0.04, Kind.LOST: 0.02, Kind.SLEEPING: 0.15}


class Happening(NamedTuple):
    """One Segment item and when; `order` keeps what a person does in the same ms in its order."""

    at: int
    number: int
    order: int
    item: dict[str, Any]


def iso(at: int) -> str:
    """`at` (ms UTC) as the SDKs write it.

    >>> iso(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    minute, rest = divmod(at, MINUTE)
    return f"{_minute(minute)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=8_192)
def _minute(number: int) -> str:
    """A shop's day has few minutes and many events."""
    return f"{datetime.fromtimestamp(number * 60, UTC):%Y-%m-%dT%H:%M}"


class Diary:
    """Writes down what one person does; message ids count up from `prefix`."""

    def __init__(self, person: Person, prefix: str, rng: Random) -> None:
        self.person = person
        self.prefix = prefix
        self.rng = rng
        self.happenings: list[Happening] = []
        self.device = person.devices[0]
        self.known = False

    def on(self, device: Device, *, known: bool) -> None:
        """From here on he is at `device`, signed in or not."""
        self.device, self.known = device, known

    def call(self, kind: str, at: int, **fields: object) -> None:
        """One call of the storefront's SDK."""
        person, order = self.person, len(self.happenings)
        item: dict[str, Any] = {"type": kind, "messageId": f"{self.prefix}-{order}"}
        if self.known:
            item["userId"] = person.user_id
        item["anonymousId"] = self.device.anonymous_id
        item["timestamp"] = iso(at)
        item["context"] = self.device.context
        item.update(fields)
        self.happenings.append(Happening(at, person.number, order, item))

    def track(self, at: int, event: str, properties: Mapping[str, object]) -> None:
        """A track call."""
        self.call("track", at, event=event, properties=properties)


class Cart:
    """What lies in the cart now; `cart_id` changes when it was paid."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.bought = 0
        self.lines: list[tuple[Product, int]] = []

    @property
    def cart_id(self) -> str:
        """The id that the storefront puts on every add."""
        return f"c{self.prefix}-{self.bought}"

    def renew(self) -> None:
        """An empty cart with a new id."""
        self.lines = []
        self.bought += 1


def day_of(person: Person, day: int, midnight: int, seed: int, shop: Catalogue) -> list[Happening]:
    """All that `person` does because of `day`, whose local midnight is `midnight` (ms UTC)."""
    rng = Random((seed * 1_000_003 + person.number) * 100_003 + day)
    must = day in (person.arrives, person.signs_up, person.second_from)
    if not must and (not person.active(day) or rng.random() > person.visits_per_day):
        return []
    visits = 1 + (rng.random() < person.visits_per_day / 3) + (rng.random() < 0.08)
    prefix = f"{person.number}-{day}"
    diary = Diary(person, f"m{seed}-{prefix}", rng)
    cart = Cart(prefix)
    eager = person.intent * rng.uniform(0.4, 1.6)
    aim = "buy" if eager > 0.72 else "hunt" if eager > 0.4 else "browse"
    focus = shop.pick(rng, rng.choice(person.tastes), person.brand)
    hours = _LATE if person.night_owl else _EARLY
    starts = sorted(rng.choices(_HOURS, cum_weights=hours, k=visits))
    free_at = 0
    for number, hour in enumerate(starts):
        start = max(midnight + hour * HOUR + rng.randrange(HOUR), free_at)
        if start >= midnight + DAY:
            break
        free_at = _visit(diary, cart, shop, start, day, aim, focus, number) + 25 * MINUTE
    if cart.lines and rng.random() < _COMES_BACK[person.kind]:
        _come_back(diary, cart, max(free_at + 25 * MINUTE, free_at + rng.randrange(26 * HOUR)))
    elif cart.lines and rng.random() < 0.04:
        diary.track(free_at, "Cart Emptied", {"cart_id": cart.cart_id})
    return diary.happenings


def _enter(diary: Diary, at: int, day: int, number: int) -> None:
    """Choose the device, say hello, and sign up or in when it is the day for it."""
    person, rng = diary.person, diary.rng
    known = person.known(day) or (number > 0 and day == person.signs_up)
    if known and person.tablet is not None and rng.random() < 0.3:
        diary.on(person.tablet, known=True)
        diary.call("identify", at, traits={})
        return
    second = known and person.second_from is not None and day > person.second_from
    device = person.devices[1 if second and rng.random() < 0.5 else 0]
    if known and day == person.second_from and number == 0:
        diary.on(person.devices[1], known=False)
        diary.call("screen", at - MINUTE, name="Home", properties={})
        diary.on(person.devices[1], known=True)
        diary.call("identify", at, traits=person.traits)
        diary.track(at + 10, "Signed In", {"method": "phone"})
        return
    diary.on(device, known=known)
    if known and rng.random() < 0.15:
        diary.call("identify", at, traits=person.traits)
    elif rng.random() < 0.4:
        kind = "page" if device.context["channel"] == "web" else "screen"
        diary.call(kind, at, name="Home", properties={})


def _sign_up(diary: Diary, at: int) -> None:
    """The anonymous visitor becomes known."""
    person = diary.person
    diary.on(diary.device, known=True)
    diary.call("identify", at, traits=person.traits)
    diary.track(at + 10, "Signed Up", {"method": "phone"})
    if person.consent is not None:
        consent = {"purpose": "marketing", "channels": list(person.consent),
                   "text_version": "2026-01", "source": "sign-up"}  # fmt: skip
        diary.track(at + 20, "Consent Updated", consent)


def _visit(diary: Diary, cart: Cart, shop: Catalogue, at: int, day: int, aim: str, focus: Product,
           number: int) -> int:  # fmt: skip
    """One visit from `at` on; returns when it ends."""
    person, rng = diary.person, diary.rng
    random = rng.random
    _enter(diary, at, day, number)
    more, add, checkout = _AIMS[aim]
    category = focus.category if aim == "hunt" else rng.choice(person.tastes)
    at += 5_000 + rng.randrange(40_000)
    if random() < 0.5:
        diary.track(at, "Products Searched", {"query": focus.name if aim == "hunt" else category})
    else:
        diary.track(at, "Product List Viewed", {"list_id": category, "category": category})
    product = focus if aim == "hunt" else shop.pick(rng, category, person.brand)
    for _ in range(12):
        at += 8_000 + rng.randrange(90_000)
        diary.track(at, "Product Viewed", product.properties())
        if random() < 0.06:
            diary.track(at + 4_000, "Product Added to Wishlist", product.properties())
        if random() < add:
            at += 5_000 + rng.randrange(30_000)
            _add(diary, cart, product, at)
        if random() > more:
            break
        product = focus if random() < 0.25 else shop.pick(rng, category, person.brand)
    if person.signs_up == day and not diary.known:
        at += 20_000
        _sign_up(diary, at)
    if cart.lines and random() < 0.45:
        at += 5_000 + rng.randrange(60_000)
        diary.track(at, "Cart Viewed", {"cart_id": cart.cart_id})
        if random() < 0.1:
            product, quantity = cart.lines.pop()
            fields = product.properties() | {"quantity": quantity, "cart_id": cart.cart_id}
            diary.track(at + 6_000, "Product Removed", fields)
    if cart.lines and (diary.known or random() < 0.1) and random() < checkout:
        at = _check_out(diary, cart, at + 10_000 + rng.randrange(60_000))
    return at


def _add(diary: Diary, cart: Cart, product: Product, at: int) -> None:
    quantity = 1 if diary.rng.random() < 0.8 else 2
    cart.lines.append((product, quantity))
    fields = product.properties() | {"quantity": quantity, "cart_id": cart.cart_id}
    diary.track(at, "Product Added", fields)


def _come_back(diary: Diary, cart: Cart, at: int) -> None:
    """He thought about it and buys without being asked."""
    diary.track(at, "Cart Viewed", {"cart_id": cart.cart_id})
    _check_out(diary, cart, at + 40_000 + diary.rng.randrange(MINUTE))


def _check_out(diary: Diary, cart: Cart, at: int) -> int:
    """From checkout to paid, or not; returns when he is done."""
    rng = diary.rng
    total = _worth(cart.lines)
    order: dict[str, object] = {"order_id": f"o{cart.cart_id[1:]}", "cart_id": cart.cart_id}
    diary.track(at, "Checkout Started", {**order, "value": total})
    at += 20_000 + rng.randrange(90_000)
    if rng.random() < 0.15:
        return at
    diary.track(at, "Order Placed", {**order, "total": total})
    if rng.random() < 0.08:
        diary.track(at + 30 * MINUTE, "Payment Expired", order)
        return at
    pay(diary, cart, order, total, at + 3_000 + rng.randrange(20_000))
    cart.renew()
    return at + MINUTE


def pay(diary: Diary, cart: Cart, order: dict[str, object], total: float, at: int) -> None:
    """The payment and all that comes of it: the parcel, a review, a refund."""
    rng = diary.rng
    paid = {**order, "total": total, "currency": "CNY", "products": _lines(cart.lines)}
    web = diary.device.context["channel"] == "web"
    diary.track(at, "Order Completed" if web else "Order Paid", paid)
    if not web and rng.random() < 0.1:  # some shops' servers report the payment as well
        diary.track(at + 5_000, "Order Completed", paid)
    delivered = at + rng.randrange(30 * HOUR, 96 * HOUR)
    diary.track(delivered, "Order Delivered", {"order_id": order["order_id"]})
    if rng.random() < 0.2:
        (rating,) = rng.choices((1, 2, 3, 4, 5), (4, 4, 10, 30, 52))
        of = cart.lines[0][0]
        review = {"order_id": order["order_id"], "product_id": of.product_id, "rating": rating}
        at = delivered + rng.randrange(HOUR, 48 * HOUR)
        said = opinion(str(order["order_id"]), rating, of.brand)
        diary.track(at, "Product Reviewed", review | said)
    if rng.random() < diary.person.refunds:
        back = cart.lines[:1] if rng.random() < 0.6 else cart.lines
        refund = {**order, "amount": _worth(back), "products": _lines(back)}
        diary.track(delivered + rng.randrange(HOUR, 96 * HOUR), "Order Refunded", refund)


def _worth(lines: list[tuple[Product, int]]) -> float:
    """What the lines cost together, summed in fen."""
    return sum(round(product.price * 100) * quantity for product, quantity in lines) / 100


def _lines(lines: list[tuple[Product, int]]) -> list[dict[str, object]]:
    return [product.properties() | {"quantity": quantity} for product, quantity in lines]
