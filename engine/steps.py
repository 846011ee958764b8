"""The steps of a rule's instance: it goes on through them until one waits or none is left.

Must live here: what each kind of step does, in a table. Must not: what an act decides (acting.py),
what opens an instance (triggers.py), what wakes it (timers.py).
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from engine.acting import act
from engine.journal import SEPARATOR, Instance
from engine.subjects import concerns
from engine.turn import Turn
from rules.model import Act, Rule, Stop, Wait


class Then(Enum):
    """What comes after a step."""

    next = "the step after it"
    wait = "nothing before the instance's due time, or an event"
    end = "the instance's end"


def advance(turn: Turn, rule: Rule, instance: Instance, at: int) -> None:
    """Go through the steps, as of `at`, until one waits or none is left."""
    while True:
        instance.step += 1
        if instance.step >= len(rule.steps):
            close(turn, instance)
            return
        step = rule.steps[instance.step]
        then = STEPS[type(step)](turn, rule, instance, step, at)
        if then is Then.wait:
            turn.journey.arm(instance.due)
            return
        if then is Then.end:
            close(turn, instance)
            return


def close(turn: Turn, instance: Instance) -> None:
    """The instance is over."""
    journey = turn.journey
    journey.open = [other for other in journey.open if other is not instance]


def _wait(turn: Turn, rule: Rule, instance: Instance, step: Wait, at: int) -> Then:
    instance.anchor = max(at, _last(turn, rule, instance, step, at))
    instance.due = instance.anchor + step.for_ms
    return Then.wait


def _last(turn: Turn, rule: Rule, instance: Instance, wait: Wait, at: int) -> int:
    """When the customer last did one of the wait's `since_last` events, up to `at`; else 0."""
    latest = 0
    if wait.since_last:
        for key, time in turn.journey.recent.items():
            if latest < time <= at:
                name, *subjects = key.split(SEPARATOR)
                if name in wait.since_last and concerns(rule, instance.subject, subjects):
                    latest = time
    return latest


def _stop(turn: Turn, _rule: Rule, _instance: Instance, step: Stop, at: int) -> Then:
    return Then.end if turn.holds(step.condition, None, at) else Then.next


def _act(turn: Turn, rule: Rule, instance: Instance, step: Act, at: int) -> Then:
    instance.due = at
    return Then.next if act(turn, rule, instance, step) else Then.end


STEPS: Final[dict[type, Callable[[Turn, Rule, Instance, Any, int], Then]]] = {
    Wait: _wait,
    Stop: _stop,
    Act: _act,
}
