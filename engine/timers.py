"""A customer's timers: what waits until a time, and what its coming does.

Must live here: the kinds of timers, their one order (due, priority, rule, subject), firing as of
the due time. Must not: what the steps after it do. The shard's sorted set keeps only each
customer's earliest alarm; all the rest is found here, from his own memory.
"""

from typing import Final

from engine.journal import Instance
from engine.steps import advance, close
from engine.triggers import enter, fail
from engine.turn import Turn
from rules.model import InactiveTrigger, Rule

FIRINGS_MAX: Final = 500
LOWER: Final = 50  # the priority of a rule that says nothing; below it a rule waits at a peak
Ripe = tuple[int, int, str, str, Instance | Rule]  # due, -priority, rule, subject, what waits


def wake(turn: Turn, until: int) -> None:
    """Fire the customer's timers due at or before `until`, in due order, as of their due time."""
    for _ in range(FIRINGS_MAX):
        found = _ripest(turn)
        if found is None or found[0] > until:
            return
        due, _, _, _, what = found
        if isinstance(what, Rule):
            _end_silence(turn, what, due)
        else:
            _resume(turn, what, due)


def next_due(turn: Turn) -> int:
    """When the customer's earliest timer is due (ms), 0 for none."""
    found = _ripest(turn)
    return found[0] if found else 0


def _ripest(turn: Turn) -> Ripe | None:
    best: Ripe | None = None
    rules, journey = turn.book.rules, turn.journey
    for instance in journey.open:
        rule = rules.get(instance.rule)
        order = (instance.due, -rule.priority if rule else 0, instance.rule, instance.subject)
        if best is None or order < best[:4]:
            best = (*order, instance)
    for name, last in journey.silent.items():
        rule = rules.get(name)
        if last <= 0 or rule is None or not isinstance(rule.trigger, InactiveTrigger):
            continue
        due = silent_until(turn, rule, last)
        if due:
            due = max(due, journey.met.get(name, 0))
        order = (due, -rule.priority, name, str(last))
        if due and (best is None or order < best[:4]):
            best = (*order, rule)
    return best


def can_wait(turn: Turn, until: int) -> bool:
    """Whether all timers due at or before `until` are of rules that wait at a peak (peak.py)."""
    rules, journey = turn.book.rules, turn.journey
    due = [rules.get(instance.rule) for instance in journey.open if instance.due <= until]
    for name, last in journey.silent.items():
        rule = rules.get(name)
        if last > 0 and rule is not None and 0 < silent_until(turn, rule, last) <= until:
            due.append(rule)
    return bool(due) and all(rule is not None and rule.priority < LOWER for rule in due)


def broke_silence(turn: Turn, rule: Rule, at: int) -> None:
    """The customer did at `at` (ms) what a rule waits for him not to do."""
    silent = turn.journey.silent
    if at > abs(silent.get(rule.name, 0)):
        silent[rule.name] = at
        if due := silent_until(turn, rule, at):
            turn.journey.arm(due)


def silent_until(turn: Turn, rule: Rule, last: int) -> int:
    """When a silence since `last` (ms) is long enough for the rule; 0 when that is unknown."""
    if not isinstance(rule.trigger, InactiveTrigger):
        return 0
    silence = rule.trigger.for_ms.get(turn.context(last))
    return last + int(silence) if isinstance(silence, int | float) else 0


def _end_silence(turn: Turn, rule: Rule, due: int) -> None:
    last = turn.journey.silent[rule.name]
    turn.journey.silent[rule.name] = -last  # this silence has been answered
    turn.journey.met.pop(rule.name, None)
    try:
        enter(turn, rule, str(last), due)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, str(last), due, error)


def _resume(turn: Turn, instance: Instance, due: int) -> None:
    rule = turn.book.rules.get(instance.rule)
    if rule is None:
        close(turn, instance)
        return
    try:
        advance(turn, rule, instance, due)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        close(turn, instance)
        fail(turn, rule, instance.subject, due, error)
