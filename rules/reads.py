"""What a rule reads: its expressions, and the names its templates may use.

Must live here: the walk over a loaded rule. Must not: reading files, rendering.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rules.expressions import Expr
from rules.model import (
    PAGE,
    Act,
    Action,
    Alert,
    Coupon,
    EventTrigger,
    Notify,
    Points,
    Recommend,
    Rule,
    SequenceTrigger,
    Show,
    Trigger,
)
from rules.scope import Scope
from rules.subjects import ALL_FIELDS
from rules.values import Constant, Lookup, Value

COUPON_NAMES: Final = (
    *("code", "offer", "title", "off", "off_kind", "over", "most", "expires_at"),
)
POINTS_NAMES: Final = ("points", "expires_at", "reason")
MERCHANT: Final = "merchant"
OWN: Final = "email"  # how people of the shop and merchants are told
ITEMS: Final = "items"  # what recommend chose
Told = Notify | Show | Alert


def expressions(thing: Any) -> Iterator[Expr]:
    """Every expression of a rule, or of any part of one."""
    if isinstance(thing, Expr):
        yield thing
    elif isinstance(thing, tuple | list):
        for one in thing:
            yield from expressions(one)
    elif isinstance(thing, Mapping):
        yield from expressions(tuple(thing.values()))
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        for field in dataclasses.fields(thing):
            if field.name != "examples":
                yield from expressions(getattr(thing, field.name))


def laid_over(thing: Any) -> frozenset[str]:
    """The names a rule reads that are no features of the catalog: the engine lays them over."""
    found = frozenset[str]().union(*(one.laid for one in expressions(thing)))
    return found | _merchant(thing) if isinstance(thing, Rule) else found


def _merchant(rule: Rule) -> frozenset[str]:
    """Who tells the merchant something must know whose the rule's subject is."""
    name = f"{rule.once_per}.merchant_id"
    acts = (step for step in rule.steps if isinstance(step, Act))
    tells = any(getattr(one, "to", "") == MERCHANT for step in acts for one in step.actions)
    return frozenset({name}) if tells and name in ALL_FIELDS else frozenset()


def at_hand(trigger: Trigger | None) -> bool:
    """Whether an event begins the rule, which its values and templates may then read."""
    if isinstance(trigger, SequenceTrigger):
        return trigger.then_not is None
    return isinstance(trigger, EventTrigger)


def of_event(name: str) -> bool:
    """Whether it is a property of the event: they are one deep."""
    return name.startswith("event.") and name.count(".") == 1


def heard(laid: frozenset[str]) -> frozenset[str]:
    """The properties of the event among the names that are laid over."""
    return frozenset(name.partition(".")[2] for name in laid if of_event(name))


def told(rule: Rule) -> Iterator[tuple[Told, tuple[str, ...]]]:
    """The actions with a template, each with its channels."""
    for step in rule.steps:
        for action in step.actions if isinstance(step, Act) else ():
            if isinstance(action, Notify) and action.to != MERCHANT:
                yield action, action.via
            elif isinstance(action, Show):
                yield action, (PAGE,)
            elif isinstance(action, Alert | Notify):
                yield action, (OWN,)


def templates_named(action: Told) -> frozenset[str]:
    """The templates an action may use: one, or every case of a look-up."""
    looked = action.looked.get("template")
    return frozenset({action.template} if looked is None else written(looked))


def written(value: Value) -> Iterator[str]:
    """Every text that a looked-up value may give."""
    if isinstance(value, Lookup):
        for one in (*value.cases.values(), value.otherwise):
            yield from written(one)
    elif isinstance(value, Constant) and value.value:
        yield str(value.value)


def template_names(rule: Rule, action: Told, scope: Scope) -> frozenset[str]:
    """What the template of an action may use; `event.*` of the event that began the rule."""
    names = {*scope.features, *scope.laid_over, *action.with_, "language"}
    if at_hand(rule.trigger):
        names.add("event.*")
    for step in rule.steps:
        for other in step.actions if isinstance(step, Act) else ():
            names |= _made(other)
    return frozenset(names)


def _made(action: Action) -> set[str]:
    """The names of what an action makes: by its kind, and by its own name."""
    own = {action.name} if action.name.isidentifier() else set()
    if isinstance(action, Coupon):
        parts = COUPON_NAMES
        return {word for name in ("coupon", *own) for word in (name, *_under(name, parts))}
    if isinstance(action, Points):
        return {word for name in ("points", *own) for word in (name, *_under(name, POINTS_NAMES))}
    return {ITEMS, *own} if isinstance(action, Recommend) else set()


def _under(name: str, parts: tuple[str, ...]) -> list[str]:
    return [f"{name}.{part}" for part in parts]
