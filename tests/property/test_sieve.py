"""The sieve lets through whatever the engine would have acted on: deciding with it changes nothing."""

import asyncio
from random import Random

import pytest

from engine.journal import REGISTRY
from features.customer import Customer
from features.events import parse
from rules.load import book_from_sources
from rules.sieve import Sieve
from simulator.benches.rules import sources
from tests.memory_engine import DAY, START, MemoryEngine

NAMES = ("Product Viewed", "Product Added", "Order Paid", "Cart Viewed", "Products Searched")


def _send(engine: MemoryEngine, random: Random) -> None:
    for number in range(400):
        name = random.choice(NAMES)
        engine.send(
            number * DAY // 40, name, userId=f"u{random.randrange(6)}", order_id=f"o{number}",
            total=random.randrange(20, 3_000), product_id=f"p{random.randrange(9)}",
            price=random.randrange(5, 900), quantity=1, category=random.choice(["tea", "toys"]),
            query="tea",
        )  # fmt: skip


def _decided(seed: int) -> list[dict]:
    engine = MemoryEngine(sources(120, seed), shards=1)
    _send(engine, Random(seed))
    engine.tick(20 * DAY)
    asyncio.run(engine.run())
    return [row for entry in engine.entries() for row in entry.get("decisions", ())]


@pytest.mark.parametrize("seed", range(3))
def test_decisions_are_those_of_an_engine_without_it(seed, monkeypatch):
    with_it = _decided(seed)
    assert len(with_it) > 5
    monkeypatch.setattr(Sieve, "rules", lambda self, *_: iter(self._rules))
    assert _decided(seed) == with_it


RULE = """rule: {name}
when: {{event: Cart Viewed}}
if: {condition}
once_per: day
do:
  - notify: {{via: push, template: hello}}
"""


def _asked(conditions: list[str], customer: Customer) -> list[str]:
    files = {f"campaigns/r{n}.yaml": RULE.format(name=f"r{n}", condition=text).replace(
        "rule:", "status: live\nrule:") for n, text in enumerate(conditions)}  # fmt: skip
    files["templates/hello.zh.push.j2"] = files["templates/hello.en.push.j2"] = "hi"
    book = book_from_sources(files)
    item = {"type": "track", "event": "Cart Viewed", "userId": "u1", "messageId": "m1",
            "timestamp": START}  # fmt: skip
    event = parse(item, source="test", received_at=START)
    sieve = Sieve(book.by_event["Cart Viewed"])
    return [rule.name for rule in sieve.rules(customer, event, {})]


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ([f"orders.count >= {n}" for n in range(6)], ["r0"]),
        ([f"orders.count > {n - 2}" for n in range(6)], ["r0", "r1"]),
        ([f"orders.count <= {n - 3}" for n in range(6)], ["r3", "r4", "r5"]),
        ([f"orders.days_since_last >= {n}" for n in range(6)], []),
        (['seen.channel == "app"'] * 5 + ["orders.count == 0"], ["r5"]),
        (["orders.count >= 1 or visits.count >= 0"] * 5, [f"r{n}" for n in range(5)]),
        (["not orders.count >= 1"] * 5, [f"r{n}" for n in range(5)]),
    ],
)
def test_a_condition_that_cannot_hold_keeps_its_rule_out_and_no_other(conditions, left):
    customer = Customer.decode("u:u1", None, REGISTRY)
    assert _asked(conditions, customer) == left
