"""Numbers that cross a level: each rule that asks for one fires once, until the number was back.

Must live here: on which side of its level a number stands. Must not: when that is asked
(membership.py), what the rule then does.
"""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any

from engine.turn import Turn
from rules.model import CrossesTrigger, Rule
from rules.values import Context


def cross(
    turn: Turn, rules: Iterable[Rule], at: int, extra: Mapping[str, Any] | None
) -> list[Rule]:
    """Note where the numbers stand at `at` (ms); the rules whose number has crossed its level.

    `extra` are the names laid over instead of those that the moment and the rule give.
    """
    crossed, fired = turn.journey.crossed, []
    for rule in rules:
        was = rule.name in crossed
        if stands_beyond(turn, rule, at, extra) == was:
            continue
        if was:
            del crossed[rule.name]
        else:
            crossed[rule.name] = at
            fired.append(rule)
    return fired


def stands_beyond(turn: Turn, rule: Rule, at: int, extra: Mapping[str, Any] | None = None) -> bool:
    """Whether the number is at its level or beyond, or was and did not come back.

    While something is unknown it stands where it stood.
    """
    trigger, was = rule.trigger, rule.name in turn.journey.crossed
    if not isinstance(trigger, CrossesTrigger):
        return was
    turn.about(rule)
    context = Context(turn.customer, None, at, turn.extra if extra is None else extra)
    value = trigger.read.value(*context)
    level, back = trigger.level.get(context), trigger.back.get(context)
    if not all(isinstance(one, int | float) and not isnan(one) for one in (value, level, back)):
        return was
    if not trigger.above:
        value, level, back = -value, -level, -back
    return bool(value >= level or (was and value > back))
