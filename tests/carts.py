"""Carts that wait, the three rules that tests tell of them, and what came of it in order."""

from tests.memory_engine import MINUTE, START, MemoryEngine

RESCUE = """
rule: rescue
title: t
owner: o
status: live
when: {event: Product Added}
if: cart.value >= 200
once_per: cart
holdout: 0%
stop_on: [Order Paid, Order Completed, Cart Emptied]
do:
  - wait: {for: 30m, since_last: [Product Added, Product Removed, Cart Viewed]}
  - notify: {via: [push], template: cart_waiting}
  - wait: 1d
  - coupon: {offer: SAVE, off: 10%, most: 50, valid: 48h}
"""
BACK = """
rule: back
title: t
owner: o
status: live
when: {inactive: 45d, of: Order Completed}
if: orders.count >= 1
once_per: lapse
holdout: 0%
do:
  - notify: {via: [push], template: miss_you}
  - wait: {event: Product Viewed, for: 3d}
  - coupon: {offer: BACK, off: 40, over: 100, valid: 72h}
"""
NUDGE = """
rule: nudge
title: t
owner: o
status: live
when: {event: Product Viewed, count: 3, within: 24h}
once_per: product
holdout: 0%
limit: 1 per 7d
do:
  - notify: {via: [push], template: nudge}
"""


def engine(*rules: str, **options) -> MemoryEngine:
    return MemoryEngine({f"campaigns/r{i}.yaml": text for i, text in enumerate(rules)}, **options)


def add(world: MemoryEngine, at: int, price: float = 260, **who) -> None:
    world.send(
        at, "Product Added", cart_id="c1", product_id=f"p{price}", price=price, quantity=1, **who
    )


def timeline(world: MemoryEngine) -> list[tuple[int, str]]:
    return [
        ((row["at"] - START) // MINUTE, action["name"])
        for row in world.decisions()
        for action in row["actions"]
    ]
