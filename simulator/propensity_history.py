"""The past of a shop's buyers, gone through by the engine itself: examples, and looks at cut days.

Must live here: streaming a file of orders through decide, what is known at a cut day and what came
after it. Must not: learning, judging (learning_propensity.py). What came after is read from the
file's own events, never from the engine's state, so that a leak in the engine would show.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.decide import decide, wake_up
from engine.effects import Effects, Moment, Settings
from engine.journal import REGISTRY, memory
from features.customer import Customer
from features.events import Event
from features.events import decode as decode_event
from features.fold import DAY_MS, major
from features.models.returning import CHURN, PURCHASE, VALUE, horizon_days, vector
from features.order_lines import paid_amount, refund_amount
from features.vocabulary import PAID
from rules.load import book_from_sources
from simulator.backtest_history import FileHistory

ONE_SHARD: Final = 1
MODELS: Final = frozenset((PURCHASE, CHURN, VALUE))
BOOK: Final = book_from_sources({"shop.yaml": "currency: GBP\n"})


class Bought(NamedTuple):
    """What a buyer did, by the file: orders and their money less refunds, in order of time."""

    orders: Sequence[int]
    flows: Sequence[tuple[int, int]]  # when, minor units, below 0 for a refund

    def orders_in(self, since: int, until: int) -> int:
        """How many at or after `since`, before `until` (ms)."""
        return bisect_left(self.orders, until) - bisect_left(self.orders, since)

    def paid_in(self, since: int, until: int) -> float:
        """Money of that time, less refunds, at least 0."""
        return max(0.0, major(sum(money for at, money in self.flows if since <= at < until)))


class Buyer(NamedTuple):
    """One who has ordered before a cut day, as the engine knew him then."""

    inputs: list[float]
    horizon_days: int
    plain: tuple[float, float, float, float]  # days since last and first, orders, money
    bought: Bought


class Replayed(NamedTuple):
    """Every example, in the order in which it was known, and the buyers at each cut day."""

    examples: list[dict[str, Any]]
    buyers: Mapping[int, list[Buyer]]
    ends: int


@lru_cache(maxsize=1)
def replayed(file: Path, cuts: tuple[int, ...]) -> Replayed:
    """Go through the file; `cuts` are in order, in ms."""
    by_customer: dict[str, list[Event]] = defaultdict(list)
    ends = 0
    for past in FileHistory(file).records(ONE_SHARD):
        event = decode_event(past.append.value)
        ends = max(ends, event.at)
        if event.user_id:
            by_customer[f"u:{event.user_id}"].append(event)
    found = Replayed([], {cut: [] for cut in cuts}, ends)
    for cid, events in by_customer.items():
        stream(cid, events, cuts, found)
    found.examples.sort(key=lambda example: (example["known"], example["id"]))
    return found


def stream(cid: str, events: list[Event], cuts: Sequence[int], found: Replayed) -> None:
    """One customer's records by the engine, into `found`: nothing of his depends on another's."""
    settings = Settings(shard=0, shards=ONE_SHARD, secret=b"")
    customer = Customer.decode(cid, None, REGISTRY)
    effects, bought, number = Effects(), _bought(events), 0
    for cut in (*cuts, found.ends):
        while number < len(events) and events[number].at < cut:
            event = events[number]
            decide(customer, event, Moment(settings, BOOK, event.at, number), effects)
            number += 1
        if 0 < memory(customer).alarm <= cut:
            wake_up(customer, Moment(settings, BOOK, cut, number), effects)
        inputs = vector(customer, cut)
        if cut in found.buyers and inputs:
            buyer = Buyer(inputs, horizon_days(customer), _plain(customer, cut), bought)
            found.buyers[cut].append(buyer)
    found.examples.extend(example for example in effects.examples if example["model"] in MODELS)


def _plain(customer: Customer, now: int) -> tuple[float, float, float, float]:
    orders = customer.state("orders")
    since_last, since_first = (now - orders.last) / DAY_MS, (now - orders.first) / DAY_MS
    return since_last, since_first, float(orders.count), major(orders.total)


def _bought(events: Sequence[Event]) -> Bought:
    orders = sorted(event.at for event in events if event.name in PAID)
    flows = [(event.at, paid_amount(event)) for event in events if event.name in PAID]
    flows += [
        (event.at, -(refund_amount(event) or 0))
        for event in events
        if event.name == "Order Refunded"
    ]
    return Bought(orders, sorted(flows))
