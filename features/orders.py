"""Orders: how many, how much, how long ago, what came back; and their facts for the tables.

Order Completed and Order Paid are one fact, `paid`, once per order_id; a refund counts once per
refund_id, else messageId. The last 1,000 such ids are kept as six-byte hashes. `total` is paid.
"""

import math
from typing import Final

import msgspec

from features import order_lines
from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import (
    DAY_MS,
    IDS_MAX,
    MINOR_MAX,
    days,
    earlier,
    hashed,
    major,
    remember,
    remembers,
    short,
)
from features.vocabulary import PAID

ONCE: Final = PAID | {"Order Refunded", "Order Cancelled"}


class Orders(msgspec.Struct, array_like=True):
    """Counts and minor units of paid orders; `ids` of paid, refunds and cancels seen."""

    count: int = 0
    total: int = 0
    first: int = 0
    last: int = 0
    last_id: str = ""
    last_total: int = 0
    ids: bytes = b""
    refunds: int = 0
    refunded: int = 0
    cancelled: int = 0


def order_id(event: Event) -> str:
    """The order an event is about; one without an id is an order of its own."""
    return str(event.properties.get("order_id") or event.message_id)


def _once(event: Event) -> bytes:
    """The hash under which this event counts once."""
    if event.name in PAID:
        return hashed("paid", order_id(event))
    if event.name == "Order Refunded":
        return hashed("refunded", event.properties.get("refund_id") or event.message_id)
    return hashed("cancelled", order_id(event))


def is_repeat(orders: Orders, event: Event) -> bool:
    """Whether a paid, refunded or cancelled event tells of a fact that is known already."""
    return event.name in ONCE and remembers(orders.ids, _once(event))


def fold(orders: Orders, event: Event, emit: Emit) -> None:
    """Count the fact, once, and emit its rows."""
    if event.name in ONCE:
        once = _once(event)
        if remembers(orders.ids, once):
            return
        orders.ids = remember(orders.ids, once)
    fact, amount = order_lines.FACTS.get(event.name, ""), 0
    if event.name in PAID:
        amount = _paid(orders, event)
    elif event.name == "Order Refunded":
        amount = -_refunded(orders, event)
    elif event.name == "Order Cancelled":
        orders.cancelled += 1
    elif event.name == "Shipment Status Updated":
        fact = order_lines.SHIPMENT_FACTS.get(event.properties.get("status", ""), "")
    if fact:
        for row in order_lines.rows(event, fact, order_id(event), amount):
            emit("order_facts", row)


def _paid(orders: Orders, event: Event) -> int:
    amount = order_lines.paid_amount(event)
    orders.count += 1
    orders.total = min(orders.total + amount, MINOR_MAX)
    orders.first = earlier(orders.first, event.at)
    if event.at >= orders.last:
        orders.last = event.at
        orders.last_id = short(order_id(event))
        orders.last_total = amount
    return amount


def _refunded(orders: Orders, event: Event) -> int:
    amount = order_lines.refund_amount(event)
    if amount is None:  # no amount, no lines: all of it, where we still know how much that was
        amount = orders.last_total if short(order_id(event)) == orders.last_id else 0
    orders.refunds += 1
    orders.refunded = min(orders.refunded + amount, MINOR_MAX)
    return amount


def merge(mine: Orders, theirs: Orders) -> Orders:
    """Both one's orders; the last is the later of the two."""
    later = mine if mine.last >= theirs.last else theirs
    return Orders(
        count=mine.count + theirs.count,
        total=min(mine.total + theirs.total, MINOR_MAX),
        first=earlier(mine.first, theirs.first),
        last=later.last,
        last_id=later.last_id,
        last_total=later.last_total,
        ids=_united(mine.ids, theirs.ids),
        refunds=mine.refunds + theirs.refunds,
        refunded=min(mine.refunded + theirs.refunded, MINOR_MAX),
        cancelled=mine.cancelled + theirs.cancelled,
    )


def _united(mine: bytes, theirs: bytes) -> bytes:
    """Both lists, cut fairly: each keeps its latest half at least."""
    half = IDS_MAX // 2 * 6
    spare = max(0, half - len(mine))
    return remember(theirs[-(half + spare) :], mine)


def average(orders: Orders, now: int) -> float:  # noqa: ARG001 - a reader's shape
    """Paid per order."""
    return major(orders.total) / orders.count if orders.count else math.nan


def average_gap_days(orders: Orders, now: int) -> float:  # noqa: ARG001 - a reader's shape
    """Days between one order and the next."""
    if orders.count < 2:
        return math.nan
    return (orders.last - orders.first) / DAY_MS / (orders.count - 1)


FACET: Final = Facet(
    name="orders",
    version=1,
    state=Orders,
    doc="Paid orders: recency, frequency, money, gap, refunds; `paid` counts once per order_id.",
    events=ONCE | {"Order Placed", "Order Delivered", "Shipment Status Updated"},
    fold=fold,
    merge=merge,
    features=(
        number("orders.count", "orders", "Paid orders, ever.", lambda s, _: s.count),
        number(
            "orders.total", "money", "Paid, over all orders, ever.", lambda s, _: major(s.total)
        ),
        number(
            "orders.net",
            "money",
            "Paid less refunded, ever.",
            lambda s, _: major(s.total - s.refunded),
        ),
        number("orders.average", "money", "Paid per order; missing before the first.", average),
        number(
            "orders.average_gap_days",
            "days",
            "Mean time from one order to the next; missing before the second.",
            average_gap_days,
        ),
        number(
            "orders.days_since_last",
            "days",
            "Since the last paid order; missing before the first.",
            lambda s, now: days(s.last, now),
        ),
        number(
            "orders.days_since_first",
            "days",
            "Since the first paid order; missing before it.",
            lambda s, now: days(s.first, now),
        ),
        number("orders.refunds", "refunds", "Refunds, ever.", lambda s, _: s.refunds),
        number("orders.refunded", "money", "Refunded, ever.", lambda s, _: major(s.refunded)),
        number("orders.cancelled", "orders", "Orders cancelled, ever.", lambda s, _: s.cancelled),
        Feature(
            name="orders.last_id",
            type="text",
            unit="id",
            doc="The last paid order; missing before the first.",
            read=lambda s, _: s.last_id or None,
        ),
    ),
)
