"""Examples for the models of buying: inputs kept as they were when the score was given.

Must live here: opening the example of the next 24 hours, what it becomes, closing it at its
deadline. Must not: learning (learner.py), longer horizons (returns.py). One open example a model
and customer; a yes is told no earlier than a no, else a new shop's first day, and every rush,
would be learned as if everybody bought.
"""

import math
import struct

from engine import returns
from engine.effects import LATE_EVENT_MS, Effects, Moment
from engine.journal import Example, memory, write
from features.customer import Customer
from features.events import Event
from features.fold import DAY_MS
from features.models.purchase import INPUTS, MODEL, vector

HORIZON_MS = DAY_MS
VERSION_DIGITS = 12  # of the manifest under which the score was given: enough to know it by
_LAYOUT = struct.Struct(f"<{len(INPUTS)}e")
_OLDER = struct.Struct(f"<{len(INPUTS)}f")


def observe(customer: Customer, event: Event, moment: Moment, *, paid: bool) -> None:
    """Note it if this event is the purchase of the open example; else open one if none is."""
    if paid:
        returns.begin(customer, moment)
    example = memory(customer).example
    if example.opened:
        if paid and example.opened < event.at <= example.deadline:
            write(customer).example.label = 1
        return
    if paid or moment.log_time - event.at > LATE_EVENT_MS:
        return
    inputs = vector(customer, event.at)
    example.inputs = _LAYOUT.pack(*inputs).rstrip(b"\0")  # logarithms and shares: two bytes do
    example.opened, example.deadline = event.at, event.at + HORIZON_MS
    scorer = moment.models.get(MODEL)
    example.score = scorer.score(inputs) if scorer else 0.0
    example.version = moment.model[:VERSION_DIGITS]
    customer.dirty = True


def expire(customer: Customer, until: int, effects: Effects) -> None:
    """Close the example whose deadline is at or before `until` (ms), and tell what it became."""
    example = memory(customer).example
    if 0 < example.deadline <= until:
        _close(customer, example, effects)


def united(mine: Example, other: Example) -> Example:
    """Of two who are one, the example that was opened first: what either bought is in its day."""
    first, later = sorted((mine, other), key=lambda one: one.opened or math.inf)
    first.label |= later.label
    return first


def _inputs(data: bytes) -> list[float]:
    """As they were, nearly; four bytes a number, as they once were kept, are read too."""
    layout = _LAYOUT if len(data) <= _LAYOUT.size else _OLDER
    return list(layout.unpack(data.ljust(layout.size, b"\0")))


def _close(customer: Customer, example: Example, effects: Effects) -> None:
    effects.examples.append({
        "model": MODEL, "id": f"{customer.cid}:{example.opened}", "cid": customer.cid,
        "at": example.opened, "features": _inputs(example.inputs), "label": example.label,
        "score": example.score, "model_version": example.version,
    })  # fmt: skip
    write(customer).example = Example()
