"""The steps of a rule's instance: it goes on through them until it waits or none is left.

Must live here: the way from one wait to the next, and waiting. Must not: what an act decides
(acting.py), what opens an instance (triggers.py), what wakes it (timers.py), the program's form
(rules/program.py, which also walks it).
"""

from engine.acting import act, hold
from engine.dates import moment_of
from engine.journal import SEPARATOR, Instance
from engine.lots import Lot
from engine.subjects import concerns
from engine.turn import Turn
from rules.model import Act, Rule, Wait
from rules.program import passage


def advance(turn: Turn, rule: Rule, instance: Instance, at: int) -> None:
    """Go on from the step it stands at, as of `at`: one decision, then a wait or the end."""
    turn.about(rule, instance.subject, instance)
    instance.again, before = 0, instance.step
    lot = Lot(turn, rule, instance, at)
    found = passage(
        rule.steps, instance.step + 1, lambda asked: turn.holds(asked, None, at), lot.draw
    )
    instance.due = at
    instance.step = found.end
    drawn = lot.bandit.step if lot.bandit else ""
    decides = found.actions or drawn
    step = Act(found.actions, drawn or found.step)
    if decides and not act(turn, rule, instance, step, found.split, lot):
        if instance.again:  # the whole of it is decided anew, choices and all
            instance.step = before
            turn.journey.arm(instance.again)
        else:
            close(turn, instance)
        return
    wait = rule.steps[found.end] if found.end < len(rule.steps) else None
    if isinstance(wait, Wait) and _waits(turn, rule, instance, wait, at):
        instance.place = wait.step
        turn.journey.arm(instance.due)
    else:
        close(turn, instance)


def close(turn: Turn, instance: Instance) -> None:
    """The instance is over."""
    journey = turn.journey
    journey.open = [other for other in journey.open if other is not instance]


def _waits(turn: Turn, rule: Rule, instance: Instance, wait: Wait, at: int) -> bool:
    """Set when the wait ends; False when that cannot be known: the instance is over."""
    instance.arrived = 0
    instance.anchor = max(at, _last(turn, rule, instance, wait, at))
    if wait.until is not None:
        instance.due = max(at, until := moment_of(turn, wait.until, at))
        known = until > 0
    else:
        wanted = duration(turn, wait, at)
        instance.due = instance.anchor + (wanted or 0)
        known = wanted is not None
    if not known:
        hold(turn, rule, instance, "missing_value", at)
    return known


def duration(turn: Turn, wait: Wait, at: int) -> int | None:
    """How long to wait, in ms; None when it is looked up and unknown."""
    looked = wait.looked.get("for_ms")
    if looked is None:
        return wait.for_ms
    found = looked.get(turn.context(at))
    return max(0, int(found)) if isinstance(found, int | float) else None


def _last(turn: Turn, rule: Rule, instance: Instance, wait: Wait, at: int) -> int:
    """When the customer last did one of the wait's `since_last` events, up to `at`; else 0."""
    latest = 0
    if wait.since_last:
        for key, time in reversed(turn.journey.recent.items()):
            if latest < time <= at:
                name, *subjects = key.split(SEPARATOR)
                if name in wait.since_last and concerns(rule, instance.subject, subjects):
                    latest = time
    return latest
