"""Examples for the purchase model: inputs kept as they were when the score was given.

Must live here: opening an example, closing it by a purchase or its deadline. Must not: learning
(learner.py). One open example a model and customer; a label is never known before it happened.
"""

from array import array

from engine.effects import LATE_EVENT_MS, Effects, Moment
from engine.journal import DAY_MS, Example, memory, write
from features.customer import Customer
from features.events import Event
from features.models.purchase import MODEL, vector

HORIZON_MS = DAY_MS


def observe(
    customer: Customer, event: Event, moment: Moment, effects: Effects, *, paid: bool
) -> None:
    """Close the open example if this event is the purchase; else open one if none is."""
    example = memory(customer).example
    if example.opened:
        if paid and example.opened < event.at <= example.deadline:
            _close(customer, example, 1, effects)
        return
    if paid or moment.log_time - event.at > LATE_EVENT_MS:
        return
    inputs = vector(customer, event.at)
    example.inputs = array("f", inputs).tobytes()
    example.opened, example.deadline = event.at, event.at + HORIZON_MS
    scorer = moment.models.get(MODEL)
    example.score = scorer.score(inputs) if scorer else 0.0
    example.version = moment.model
    write(customer).journey.arm(example.deadline)


def expire(customer: Customer, until: int, effects: Effects) -> None:
    """Close the open example without a purchase if its deadline is at or before `until` (ms)."""
    example = memory(customer).example
    if example.opened and example.deadline <= until:
        _close(customer, example, 0, effects)


def deadline(customer: Customer) -> int:
    """When the open example closes by itself (ms), 0 for none."""
    example = memory(customer).example
    return example.deadline


def _close(customer: Customer, example: Example, label: int, effects: Effects) -> None:
    effects.examples.append({
        "model": MODEL, "id": f"{customer.cid}:{example.opened}", "cid": customer.cid,
        "at": example.opened, "features": array("f", example.inputs).tolist(), "label": label,
        "score": example.score, "model_version": example.version,
    })  # fmt: skip
    write(customer).example = Example()
