"""The rows of an order's fact: one a line, whose amounts add up to what was paid or refunded.

Must live here: how an order's money is shared among its lines. Must not: a customer's state.
"""

from typing import Any, Final

from features.events import Event
from features.fold import lines, major, minor

FACTS: Final = {
    "Order Placed": "placed",
    "Order Completed": "paid",
    "Order Paid": "paid",
    "Order Delivered": "delivered",
    "Order Refunded": "refunded",
    "Order Cancelled": "cancelled",
}
SHIPMENT_FACTS: Final = {"shipped": "shipped", "delivered": "delivered"}


def _gross(products: list[dict[str, Any]]) -> list[int]:
    return [minor(product.get("price", 0) * product.get("quantity", 1)) for product in products]


def paid_amount(event: Event) -> int:
    """What was paid, in minor units: total, else revenue, else value, else the lines' sum."""
    for name in ("total", "revenue", "value"):
        if name in event.properties:
            return max(0, minor(event.properties[name]))
    return sum(_gross(lines(event)))


def refund_amount(event: Event) -> int | None:
    """What was refunded, in minor units; None when the event does not say."""
    for name in ("amount", "total", "revenue", "value"):
        if name in event.properties:
            return max(0, minor(event.properties[name]))
    return sum(_gross(lines(event))) or None


def shared(amount: int, weights: list[int]) -> list[int]:
    """`amount` split by weight into whole minor units that add up to it exactly.

    >>> shared(100, [1, 1, 1])
    [34, 33, 33]
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == amount:
        return weights
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    size, sign = abs(amount), 1 if amount >= 0 else -1
    parts = [size * weight // whole for weight in weights]
    parts[0] += size - sum(parts)
    return [sign * part for part in parts]


def rows(event: Event, fact: str, order_id: str, amount: int) -> list[dict[str, Any]]:
    """The rows of `order_facts`, money in major units; `amount` in minor ones, signed."""
    properties = event.properties
    products = (lines(event) if fact in {"paid", "refunded"} else []) or [{}]
    gross = _gross(products)
    discounts = shared(minor(properties.get("discount", 0)) if amount > 0 else 0, gross)
    amounts = shared(amount, gross)
    return [
        {
            "order_id": order_id,
            "fact": fact,
            "line": number,
            "at": event.at,
            "message_id": event.message_id if fact == "refunded" else order_id,
            "product_id": product.get("product_id", ""),
            "category": product.get("category", ""),
            "merchant_id": product.get("merchant_id") or properties.get("merchant_id", ""),
            "channel": event.channel,
            "quantity": product.get("quantity", 1) if product else 0,
            "amount": major(amounts[number]),
            "discount": major(discounts[number]),
            "cost": product.get("cost", 0.0) * product.get("quantity", 1) if amount > 0 else 0.0,
            "coupon_id": product.get("coupon") or properties.get("coupon", ""),
            "promised_at": properties.get("promised_ship_at")
            or properties.get("promised_delivery_at"),
        }
        for number, product in enumerate(products)
    ]
