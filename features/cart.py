"""The cart: what is in it, what it is worth, how old it is, and the id of its run.

A run begins with the first add and ends when the cart is paid, emptied or 30 days idle; its id,
given once, is the cart_id, else the messageId of the event that began it. At most 50 lines.
"""

import math
from typing import Any, Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import (
    COUNT_MAX,
    DAY_MS,
    HOUR_MS,
    age,
    earlier,
    lines,
    major,
    minor,
    newest,
    short,
)
from features.vocabulary import PAID

LINES_MAX: Final = 50
IDLE_MS: Final = 30 * DAY_MS


class Line(msgspec.Struct, array_like=True, gc=False):
    """One product; price in minor units when it was added, None when nobody said."""

    at: int
    quantity: int = 1
    price: int | None = None


class Cart(msgspec.Struct, array_like=True):
    """The open run, if any; `emptied` is when the one before it ended."""

    run: str = ""
    cart_id: str = ""
    started: int = 0
    last: int = 0
    emptied: int = 0
    lines: dict[str, Line] = {}

    def end(self, at: int) -> None:
        """Close the run; what is stamped up to `at` belongs to it and comes too late."""
        self.run = self.cart_id = ""
        self.started = self.last = 0
        self.emptied = max(self.emptied, at)
        self.lines = {}


def fold(cart: Cart, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Put in, take out, show, empty."""
    at = event.at
    cart_id = short(event.properties.get("cart_id", ""))
    if at <= cart.emptied:
        return
    if event.name in PAID or event.name == "Cart Emptied":
        if not cart.run:
            cart.emptied = at
        elif at >= cart.started and (not cart_id or cart_id in {cart.run, cart.cart_id}):
            cart.end(at)
        return
    if cart.run and at - cart.last > IDLE_MS:
        cart.end(cart.last)
    if cart_id and cart.cart_id and cart_id != cart.cart_id:
        if at < cart.last or event.name == "Product Removed":
            return
        cart.end(cart.last)
    _change(cart, event)
    if cart.run:
        cart.last = max(cart.last, at)
        cart.cart_id = cart.cart_id or cart_id


def _change(cart: Cart, event: Event) -> None:
    if event.name == "Product Removed":
        for product in lines(event):
            _take_out(cart, product, event.at)
        return
    if event.name == "Cart Viewed":
        if event.at < cart.last or not event.properties.get("products"):
            return
        cart.lines = {}  # the shop shows us the whole cart: that is what is in it
    for product in lines(event):
        _put_in(cart, product, event.at)
    if not cart.run and cart.lines:
        cart.run = short(event.properties.get("cart_id", "") or event.message_id)
        cart.started = event.at
    elif cart.run:
        cart.started = min(cart.started, event.at)


def _put_in(cart: Cart, product: dict[str, Any], at: int) -> None:
    product_id = short(product.get("product_id", ""))
    quantity = product.get("quantity", 1)
    if not product_id or not quantity:
        return
    price = minor(product["price"]) if "price" in product else None
    line = cart.lines.get(product_id)
    if line is None:
        if len(cart.lines) >= LINES_MAX:
            del cart.lines[min(cart.lines, key=lambda name: (cart.lines[name].at, name))]
        cart.lines[product_id] = Line(at, quantity, price)
    else:
        line.quantity = min(line.quantity + quantity, COUNT_MAX)
        if price is not None and (at >= line.at or line.price is None):
            line.price = price
        line.at = max(line.at, at)


def _take_out(cart: Cart, product: dict[str, Any], at: int) -> None:
    product_id = short(product.get("product_id", ""))
    line = cart.lines.get(product_id)
    if line is None or at < line.at:
        return
    line.quantity -= product.get("quantity", line.quantity)
    if line.quantity <= 0:
        del cart.lines[product_id]


def merge(mine: Cart, theirs: Cart) -> Cart:
    """One cart of both; the known user's run survives, and what either paid for is out."""
    emptied = max(mine.emptied, theirs.emptied)
    united = Cart(emptied=emptied)
    open_runs = [cart for cart in (mine, theirs) if cart.run and cart.last > emptied]
    if not open_runs:
        return united
    united.run = open_runs[0].run
    united.cart_id = open_runs[0].cart_id
    for cart in open_runs:
        united.started = earlier(united.started, cart.started)
        united.last = max(united.last, cart.last)
        for name, line in cart.lines.items():
            if line.at > emptied:
                _unite(united.lines, name, line)
    kept = newest(((name, line.at) for name, line in united.lines.items()), LINES_MAX)
    united.lines = {name: line for name, line in united.lines.items() if name in kept}
    return united


def _unite(lines_: dict[str, Line], name: str, line: Line) -> None:
    known = lines_.get(name)
    if known is None:
        lines_[name] = Line(line.at, line.quantity, line.price)
        return
    known.quantity = min(known.quantity + line.quantity, COUNT_MAX)
    if line.price is not None and (known.price is None or line.at > known.at):
        known.price = line.price
    known.at = max(known.at, line.at)


def is_open(cart: Cart, now: int) -> bool:
    """Whether there is something in it that was not left for 30 days."""
    return bool(cart.lines) and now - cart.last <= IDLE_MS


def value(cart: Cart, now: int) -> float:
    """Quantity times price over the lines whose price is known; nan when none is."""
    if not is_open(cart, now):
        return 0.0
    prices = [line.price * line.quantity for line in cart.lines.values() if line.price is not None]
    return major(sum(prices)) if prices else math.nan


def items(cart: Cart, now: int) -> float:
    """Pieces in the cart."""
    return sum(line.quantity for line in cart.lines.values()) if is_open(cart, now) else 0


def products(cart: Cart, now: int) -> list[str] | None:
    """Product ids, the last added first; None for an empty cart."""
    if not is_open(cart, now):
        return None
    return newest(((name, line.at) for name, line in cart.lines.items()), LINES_MAX)


FACET: Final = Facet(
    name="cart",
    version=1,
    state=Cart,
    doc="What is in the cart now; emptied by paid, Cart Emptied or 30 days idle.",
    events=PAID | {"Product Added", "Product Removed", "Cart Viewed", "Cart Emptied"},
    fold=fold,
    merge=merge,
    features=(
        number(
            "cart.value",
            "money",
            "Worth of the lines whose price is known; 0 when empty, missing if none is known.",
            value,
        ),
        number("cart.items", "pieces", "Pieces in the cart, over all its lines.", items),
        number(
            "cart.lines",
            "products",
            "Different products in the cart, at most 50.",
            lambda cart, now: len(cart.lines) if is_open(cart, now) else 0,
        ),
        number(
            "cart.age_hours",
            "hours",
            "Since the first add of this run of the cart; missing when it is empty.",
            lambda cart, now: age(cart.started, now, HOUR_MS) if is_open(cart, now) else math.nan,
        ),
        number(
            "cart.idle_hours",
            "hours",
            "Since the cart was last changed; missing when it is empty.",
            lambda cart, now: age(cart.last, now, HOUR_MS) if is_open(cart, now) else math.nan,
        ),
        Feature(
            name="cart.id",
            type="text",
            unit="id",
            doc="The id of this run of the cart; missing when it is empty.",
            read=lambda cart, now: cart.run if is_open(cart, now) else None,
        ),
        Feature(
            name="cart.products",
            type="list",
            unit="product ids",
            doc="What is in the cart, the last added first; missing when it is empty.",
            read=products,
        ),
    ),
)
