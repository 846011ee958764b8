"""What came after a decision within a time: the order, or the visit, that it is judged by.

Must live here: a customer's open watches, what closes them, the example each becomes. Must not: who
opens one (the bandit's lot, uplift's holdouts), learning. A watch closes at the first of its events
after the moment it was opened, or at its deadline with a reward of 0; nothing later is heard, so a
reward is never known before it happened. A customer has so many open of a model at most: one more
is not watched, whatever was decided, so that what is learned leans to no side. They move with a
merge (uniting.py), which finds what the other id paid meanwhile, and go with an erasure.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from engine.effects import Effects
from engine.journal import OPEN_WATCHES_MAX, Watch, memory, write
from features.customer import Customer
from features.events import Event
from features.fold import major
from features.vocabulary import NOT_BY_CUSTOMER, PAID

Row = dict[str, Any]


def watch(
    customer: Customer,
    model: str,
    opened: int,
    within_ms: int,
    events: Iterable[str],
    example: Row,
    *,
    money: bool = False,
) -> bool:
    """Wait for one of `events` (none: whatever he does) up to `within_ms` after `opened` (ms).

    `example` is what the learner gets, beside model, cid, at, reward and after_ms. The reward of an
    event is 1, or with `money` its `total`. False when too many of this model are open.
    """
    journey = write(customer).journey
    if sum(one.model == model for one in journey.watches) >= OPEN_WATCHES_MAX:
        return False
    kept = orjson.dumps(example)
    deadline = opened + within_ms
    journey.watches.append(Watch(model, opened, deadline, sorted(events), money, kept))
    journey.arm(deadline)
    return True


def heard(customer: Customer, event: Event, effects: Effects) -> None:
    """An event of the customer's closes the watches that wait for it."""
    watches = memory(customer).journey.watches
    if answered := [one for one in watches if _answers(one, event)]:
        for one in answered:
            total = event.properties.get("total")
            worth = float(total) if isinstance(total, int | float) else 0.0
            _close(customer, one, worth if one.money else 1.0, event.at, effects)
        write(customer).journey.watches = [one for one in watches if one not in answered]


def expire(customer: Customer, until: int, effects: Effects) -> None:
    """Close the watches whose deadline is at or before `until` (ms), with nothing."""
    watches = memory(customer).journey.watches
    if any(one.deadline <= until for one in watches):
        for one in watches:
            if one.deadline <= until:
                _close(customer, one, 0.0, one.deadline, effects)
        write(customer).journey.watches = [one for one in watches if one.deadline > until]


def united(customer: Customer, effects: Effects) -> None:
    """Two have become one: what the one paid while the other waited to see it has come."""
    orders = customer.state("orders")
    watches = memory(customer).journey.watches
    paid = [
        one
        for one in watches
        if one.opened < orders.last <= one.deadline and not PAID.isdisjoint(one.events)
    ]
    for one in paid:
        worth = major(orders.last_total) if one.money else 1.0
        _close(customer, one, worth, orders.last, effects)
    if paid:
        write(customer).journey.watches = [one for one in watches if one not in paid]


def next_deadline(customer: Customer) -> int:
    """When the first open watch closes by itself (ms), 0 for none."""
    return min((one.deadline for one in memory(customer).journey.watches), default=0)


def _answers(one: Watch, event: Event) -> bool:
    if not one.opened < event.at <= one.deadline:
        return False
    return event.name in one.events if one.events else event.name not in NOT_BY_CUSTOMER


def _close(customer: Customer, one: Watch, reward: float, at: int, effects: Effects) -> None:
    effects.examples.append({
        **orjson.loads(one.example), "model": one.model, "cid": customer.cid, "at": one.opened,
        "reward": reward, "after_ms": at - one.opened,
    })  # fmt: skip
