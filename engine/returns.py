"""Examples of who comes back: a buyer is looked at every 30 days, at times of his own.

Must live here: when he is looked at, what is kept of that, what it became. Must not: learning.
Looks are laid over time by his birth id, whatever he does then, so that those who stay away count
as often as those who come; every third also asks about the next 90 days. They fall on whole hours:
in record time each moment at which something is due is a step of its own. Inputs are as they were;
nothing is known before its deadline, a yes no earlier than a no, else the quick ones would be
learned first. What comes late, after its deadline, is not in a label. Who has not ordered for
400 days is no longer looked at, until he orders again.
"""

from typing import Any, Final

from engine.effects import Effects, Moment
from engine.journal import Look, Returning, memory, write
from features.customer import Customer
from features.fold import DAY_MS, HOUR_MS, major
from features.models.returning import (
    CHURN,
    MONTH_DAYS,
    PURCHASE,
    QUARTER_DAYS,
    VALUE,
    horizon_days,
    pack,
    unpack,
    vector,
)

PERIOD_MS: Final = MONTH_DAYS * DAY_MS
IDLE_MS: Final = 400 * DAY_MS
THIRD: Final = 3
_BITS: Final = {PURCHASE: 1, CHURN: 2, VALUE: 4}
_ALL: Final = 7
_QUARTERLY: Final = _BITS[CHURN] | _BITS[VALUE]


def begin(customer: Customer, moment: Moment) -> None:
    """He has ordered: from now on he is looked at, if he was not."""
    mine = memory(customer)
    if mine.returning.next:
        return
    phase = int.from_bytes(mine.identity.birth[:6]) % (THIRD * PERIOD_MS) // HOUR_MS * HOUR_MS
    periods = (moment.log_time - phase) // PERIOD_MS + 1
    mine.returning.next = phase + periods * PERIOD_MS
    write(customer).journey.arm(mine.returning.next)


def next_look(returning: Returning) -> int:
    """When something of his is known or he is looked at next (ms), 0 for never."""
    if not returning.looks:
        return returning.next
    known = min(map(_due, returning.looks))
    return min(known, returning.next) if returning.next else known


def look(customer: Customer, until: int, effects: Effects) -> None:
    """Do all that is due at or before `until` (ms), in order, each as of its time."""
    while 0 < (due := next_look(memory(customer).returning)) <= until:
        returning = write(customer).returning
        for one in returning.looks:
            if _due(one) <= due:
                _tell(customer, one, due, effects)
        returning.looks = [one for one in returning.looks if one.told != _ALL]
        if 0 < returning.next <= due:
            _look(customer, returning, due)


def _look(customer: Customer, returning: Returning, now: int) -> None:
    orders = customer.states["orders"]
    inputs = vector(customer, now)
    if inputs is None or now - orders.last > IDLE_MS:
        returning.next = 0
        return
    quarterly = now // PERIOD_MS % THIRD == 0
    returning.looks.append(
        Look(
            opened=now,
            inputs=pack(inputs),
            net=orders.total - orders.refunded,
            days=horizon_days(customer) if quarterly else 0,
            told=0 if quarterly else _QUARTERLY,
        )
    )
    returning.next = now + PERIOD_MS


def _deadlines(one: Look) -> tuple[tuple[str, int], ...]:
    """Of the models that have not been told yet."""
    every = ((PURCHASE, MONTH_DAYS), (CHURN, one.days), (VALUE, QUARTER_DAYS))
    return tuple(
        (model, one.opened + days * DAY_MS) for model, days in every if not one.told & _BITS[model]
    )


def _due(one: Look) -> int:
    return min(deadline for _, deadline in _deadlines(one))


def _tell(customer: Customer, one: Look, now: int, effects: Effects) -> None:
    """Give what is known by now to the models that asked."""
    orders = customer.states["orders"]
    for model, deadline in _deadlines(one):
        if deadline > now:
            continue
        came = int(orders.last > one.opened)
        row: dict[str, Any] = {
            "cid": customer.cid, "at": one.opened, "known": deadline, "label": came,
            "features": unpack(one.inputs),
        }  # fmt: skip
        if model == CHURN:
            rows = [row | {"model": CHURN, "days": 0, "label": 1 - came}]
        else:  # what is known of one horizon tells of the other
            paid = max(0.0, major(orders.total - orders.refunded - one.net))
            days = MONTH_DAYS if model == PURCHASE else QUARTER_DAYS
            rows = [row | {"model": PURCHASE, "days": days}]
            rows += [row | {"model": VALUE, "days": days, "paid": paid}]
        for each in rows:
            each["id"] = f"{customer.cid}:{one.opened}:{each['days']}"
        effects.examples.extend(rows)
        one.told |= _BITS[model]


def unite(customer: Customer, other: Customer, moment: Moment) -> None:
    """Two are one: looks at the known user go on, looks at the other end.

    What the other had paid before a look is no part of what comes of it; if he has ordered since,
    how much of it that was is not known, and the value is not learned. Call it before the merge.
    """
    orders, returning = other.states["orders"], memory(customer).returning
    for one in returning.looks:
        if orders.last <= one.opened:
            one.net += orders.total - orders.refunded
        else:
            one.told |= _BITS[VALUE]
    returning.looks = [one for one in returning.looks if one.told != _ALL]
    if orders.count:
        begin(customer, moment)
