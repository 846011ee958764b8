"""One customer with half of a shard's traffic costs what many do: his memory here is bounded."""

import sys
import time

import pytest

from rules.load import load_book
from tests.memory_engine import MemoryEngine
from tests.unit.test_house import ROOT

EVENTS = 12_000
COST_RATIO_MAX = 3.0  # generous: two cores are shared with other tests; measured about 1


def campaigns() -> dict[str, str]:
    """The rules that ship, as a publisher would have stored them."""
    return dict(load_book(ROOT / "rules").sources)


def fill(world: MemoryEngine, start: int, *, hot: bool) -> None:
    """A shop's afternoon; with `hot`, every second event is one bot's, of ever new things."""
    names = (
        "Product Viewed",
        "Product Added",
        "Products Searched",
        "Checkout Started",
        "Order Paid",
    )
    for n in range(start, start + EVENTS):
        user = "bot" if hot and n % 2 else f"u{n % 997}"
        world.send(
            n * 100, names[n % 5], userId=user, product_id=f"p{n}", cart_id=f"c{n % 5000}",
            order_id=f"o{n}", query=f"q{n}", category=f"k{n % 300}", price=10, quantity=1, total=10,
        )  # fmt: skip
        if n % 600 == 0:
            world.tick(n * 100)


async def cost(world: MemoryEngine, start: int, *, hot: bool) -> float:
    """CPU seconds for one afternoon, with nothing else in them."""
    fill(world, start, hot=hot)
    began = time.process_time()
    await world.run()
    return time.process_time() - began


async def test_a_hot_customer_does_not_stall_his_shard(capsys: pytest.CaptureFixture) -> None:
    rules = campaigns()
    many, one = (MemoryEngine(rules, shards=1, batch=1000, record=False) for _ in range(2))
    even = await cost(many, 0, hot=False)
    first = await cost(one, 0, hot=True)
    blob = len(one.store.shard(0).customers["u:bot"])
    second = await cost(one, EVENTS, hot=True)
    later = len(one.store.shard(0).customers["u:bot"])
    assert later < blob * 1.5  # it has reached its bounds, however much still comes
    assert later < 256_000
    assert first / even < COST_RATIO_MAX
    assert second / even < COST_RATIO_MAX
    assert one.counts()["processed"] == 2 * EVENTS
    with capsys.disabled():
        told = f"{first / even:.2f} and {second / even:.2f} times an even shard's"
        cost_us = even / EVENTS * 1e6
        sys.stderr.write(f"\nhot customer: {told} {cost_us:.0f} us; blob {blob}, {later} bytes\n")
