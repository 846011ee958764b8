"""Which rules an event may concern: of hundreds that hear it most ask what does not hold just now.

Law: what is asked here is asked again by the engine, in its order; a no here is a no there, at a
small part of the cost. So only conditions that read the customer and the event stand here, none
whose names the engine lays over. Rules that ask the same feature for different values are found by
one reading of it and a search. Must not live here: what a rule does.
"""

import ast
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from features import catalog
from features.customer import Customer
from features.events import Event
from rules.expressions import Expr
from rules.model import EventTrigger, Rule

GROUP_MIN: Final = 2  # rules that ask the same feature, before it is read for all of them
WRITTEN: Final = frozenset(
    ("coupons", "points", "tags")
)  # facets that a rule heard before may change
_RISING: Final = (ast.GtE, ast.Gt)
_FALLING: Final = (ast.LtE, ast.Lt)


class _Group(NamedTuple):
    """Rules that need a feature to reach, not to exceed, or to be one of these values."""

    feature: str
    way: str  # equal, rising, falling
    values: tuple[float, ...]  # in order; none when equal
    rules: tuple[int, ...]  # beside them
    by_text: Mapping[str, tuple[int, ...]]


class Sieve:
    """Rules that hear one event, in the order in which they do."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        conditions = [_conditions(rule) for rule in rules]
        self._tests = tuple(tuple(one.test for one in asked) for asked in conditions)
        self._groups, self._others = _grouped(conditions)
        self._asks = any(self._tests)

    def rules(self, customer: Customer, event: Event, presets: Mapping[str, Any]) -> Iterable[Rule]:
        """Those that it may concern; one whose condition fails is looked at, to say why."""
        return self._concerned(customer, event, presets) if self._asks else self._rules

    def _concerned(
        self, customer: Customer, event: Event, presets: Mapping[str, Any]
    ) -> Iterator[Rule]:
        at = event.at
        for number in self._asked(customer, at) if not presets else range(len(self._rules)):
            try:
                for test in self._tests[number]:
                    if not test(customer, event, at, presets):
                        break
                else:
                    yield self._rules[number]
            except Exception:  # noqa: BLE001 - a rule's fault is that rule's alone
                yield self._rules[number]

    def _asked(self, customer: Customer, at: int) -> Sequence[int]:
        """The rules that no group rules out."""
        if not self._groups:
            return self._others
        found = list(self._others)
        for feature, way, values, rules, by_text in self._groups:
            value = catalog.value(customer, feature, at)
            if way == "equal":
                found += by_text.get(value, ())
            elif value != value:  # noqa: PLR0124 - NaN: unknown, so it does not hold
                continue
            elif way == "rising":
                found += rules[: bisect_right(values, value)]
            else:
                found += rules[bisect_left(values, value) :]
        found.sort()
        return found


def _conditions(rule: Rule) -> list[Expr]:
    """What must hold; an event that only counts is counted whatever the rule's own `if` says."""
    trigger = rule.trigger
    if not isinstance(trigger, EventTrigger):
        return []
    both = [trigger.condition, rule.condition if trigger.count <= 1 else None]
    return [
        one
        for one in both
        if one is not None
        and not one.laid
        and WRITTEN.isdisjoint(name.partition(".")[0] for name in one.features)
    ]


def _grouped(
    conditions: Sequence[Sequence[Expr]],
) -> tuple[tuple[_Group, ...], tuple[int, ...]]:
    """Groups of rules by one comparison of each, and the rules in none."""
    found = [[key for one in asked for key in _comparisons(one)] for asked in conditions]
    often = Counter((feature, way) for each in found for feature, way, _ in each)
    keys: dict[tuple[str, str], list[tuple[Any, int]]] = {}
    others: list[int] = []
    for number, each in enumerate(found):
        if each:  # what many ask is read for many at once
            feature, way, value = max(each, key=lambda key: (often[key[:2]], key[:2]))
            keys.setdefault((feature, way), []).append((value, number))
        else:
            others.append(number)
    groups = []
    for (feature, way), members in sorted(keys.items()):
        if len(members) < GROUP_MIN:
            others += [number for _, number in members]
            continue
        members.sort()
        by_text: dict[str, tuple[int, ...]] = {}
        if way == "equal":
            for text, number in members:
                by_text[text] = (*by_text.get(text, ()), number)
        values = () if by_text else tuple(float(value) for value, _ in members)
        groups.append(_Group(feature, way, values, tuple(n for _, n in members), by_text))
    return tuple(groups), tuple(sorted(others))


def _comparisons(condition: Expr) -> Iterator[tuple[str, str, Any]]:
    """Comparisons of a feature with a written value that must all hold: feature, way, value."""
    for line in condition.source.split("\nand "):
        tree = ast.parse(line.strip(), mode="eval").body
        both = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
        for part in tree.values if both and isinstance(tree, ast.BoolOp) else [tree]:
            if isinstance(part, ast.Compare) and len(part.ops) == 1:
                yield from _comparison(part)


def _comparison(part: ast.Compare) -> Iterator[tuple[str, str, Any]]:
    feature, value = ast.unparse(part.left), part.comparators[0]
    known = catalog.FEATURES.get(feature)
    if known is None or not isinstance(value, ast.Constant):
        return
    number = isinstance(value.value, int | float) and not isinstance(value.value, bool)
    if known.type == "number" and number:
        if isinstance(part.ops[0], _RISING):
            yield feature, "rising", value.value
        elif isinstance(part.ops[0], _FALLING):
            yield feature, "falling", value.value
    elif known.type == "text" and isinstance(value.value, str) and isinstance(part.ops[0], ast.Eq):
        yield feature, "equal", value.value
