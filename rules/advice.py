"""What is legal in a folder of rules and probably not meant: a list beside the errors.

Law: advice never stops a load. Each is one question with its own function, in a table. Must not
live here: errors, the engine's gates.
"""

import ast
import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from features.vocabulary import ITEM_EVENTS, NAMES
from rules.actions_people import KINDS
from rules.book import Book
from rules.errors import RuleError, near
from rules.expressions import Expr
from rules.model import (
    Act,
    Action,
    Choose,
    Coupon,
    EventTrigger,
    InactiveTrigger,
    ItemTrigger,
    Notify,
    Recommend,
    RequestTrigger,
    Rule,
    ScheduleTrigger,
    SequenceTrigger,
    Show,
    Wait,
)
from rules.values import Constant

Range = tuple[float, float]
EVERYTHING: Final[Range] = (-math.inf, math.inf)
ONCE_ANYWAY: Final = frozenset({"customer", "year", "month", "week"})


def advice(book: Book) -> list[RuleError]:
    """Everything worth a second look, in the order of files and lines."""
    found = [
        RuleError(rule.file, rule.line, 1, f"{rule.name}: {told}")
        for rule in book.rules.values()
        for ask in OF_A_RULE
        for told in ask(rule)
    ]
    rules = [rule for rule in book.rules.values() if rule.status in {"live", "shadow"}]
    for first, second in combinations(rules, 2):
        if told := _fight(first, second):
            found.append(RuleError(second.file, second.line, 1, f"{second.name}: {told}"))
    found += _unused(book)
    return sorted(found)


def actions(rule: Rule) -> Iterator[Action]:
    """Every action of a rule."""
    for step in rule.steps:
        yield from step.actions if isinstance(step, Act) else ()


def _owner(rule: Rule) -> Iterator[str]:
    if not rule.owner:
        yield "nobody answers for it: give it an `owner`"


def _tried(rule: Rule) -> Iterator[str]:
    if rule.status == "live" and not rule.examples:
        yield "it is live and has no examples: nothing shows that it does what is meant"


def _measured(rule: Rule) -> Iterator[str]:
    if rule.purpose == "marketing" and not rule.holdout:
        yield "it has no holdout: what it brings cannot be told"


def _bounded(rule: Rule) -> Iterator[str]:
    if rule.purpose == "marketing" and not rule.limits and rule.once_per not in ONCE_ANYWAY:
        yield f"it has no `limit`: a customer gets it for every {rule.once_per}"
    if any(isinstance(one, Coupon) for one in actions(rule)) and rule.budget is None:
        yield "it gives coupons and has no `budget`"


def _fires(rule: Rule) -> Iterator[str]:
    """What can never be: contradictions, and events that cannot be heard so."""
    trigger = rule.trigger
    if _never(rule.condition):
        yield "its `if` can never hold: two of its conditions contradict each other"
    elif _never(trigger.condition):
        yield "the `if` of its trigger can never hold"
    elif _never(rule.condition, trigger.condition):
        yield "its `if` and that of its trigger contradict each other: it never begins"
    if isinstance(trigger, EventTrigger | SequenceTrigger):
        links = trigger.steps if isinstance(trigger, SequenceTrigger) else (trigger,)
        for name in sorted({name for link in links for name in link.names}):
            if name in ITEM_EVENTS:
                yield f"`{name}` is about an item and reaches no customer so: write `item: {name}`"
            elif name not in NAMES:
                yield f"`{name}` is no event of the vocabulary{near(name, NAMES)}"
    if isinstance(trigger, InactiveTrigger) and trigger.of:
        yield from (
            f"`{name}` is no event of the vocabulary" for name in sorted(trigger.of - NAMES)
        )


def _moments(rule: Rule) -> Iterator[str]:
    if isinstance(rule.trigger, ScheduleTrigger) and rule.trigger.moments:
        begins, ends = rule.active_from or 0, rule.active_until or math.inf
        if not any(begins <= at < ends for at in rule.trigger.moments):
            yield "none of its moments lies within `active`"


def _waits(rule: Rule) -> Iterator[str]:
    waits = any(isinstance(step, Wait) for step in rule.steps)
    if rule.stop_on and not waits:
        yield "`stop_on` ends what waits, and it never waits"
    listened = {stop.event for stop in rule.stop_on}
    for step in rule.steps:
        if isinstance(step, Wait):
            listened |= {*step.events, *step.since_last}
        elif isinstance(step, Choose) and any(_never(asked) for asked, _ in step.branches):
            yield "a branch of `choose` is never taken: its `if` cannot hold"
    for name in sorted(listened - NAMES):
        yield f"`{name}` is no event of the vocabulary{near(name, NAMES)}"


def _acts(rule: Rule) -> Iterator[str]:
    for one in actions(rule):
        if _never(one.condition):
            yield f"`{one.name}` is never done: its `if` cannot hold"
        if isinstance(one, Coupon) and one.off_kind == "money":
            off, over = one.off, one.over
            if isinstance(off, Constant) and (over is None or isinstance(over, Constant)):
                least = over.value if isinstance(over, Constant) else 0
                if off.value is not None and off.value >= least:
                    yield f"`{one.name}` takes {off.value} off from {least or 0} on: all of it"
        if isinstance(one, Show) and not isinstance(rule.trigger, RequestTrigger):
            yield f"`{one.name}`: no page asks here; show goes with `when: {{request: PLACEMENT}}`"
        if isinstance(one, Recommend) and one.kind not in KINDS:
            yield f"`{one.kind}` is no known way to recommend: there are {', '.join(KINDS)}"


Question = Callable[[Rule], Iterator[str]]
OF_A_RULE: Final[tuple[Question, ...]] = (
    *(_owner, _tried, _measured, _bounded, _fires, _moments, _waits, _acts),
)


def _fight(first: Rule, second: Rule) -> str:
    """Whether two rules answer the same with the same kind of thing."""
    if first.once_per != second.once_per or first.purpose != second.purpose:
        return ""
    kinds = [type(rule.trigger) for rule in (first, second)]
    if kinds[0] is not kinds[1]:
        return ""
    heard = _heard(first) & _heard(second)
    if not heard:
        return ""
    for kind, word in ((Coupon, "a coupon"), (Notify, "a message")):
        if all(any(isinstance(one, kind) for one in actions(rule)) for rule in (first, second)):
            same = first.priority == second.priority
            more = "; their priority is the same, so their names decide" if same else ""
            return f"{first.name} answers {min(heard)} with {word} too{more}"
    return ""


def _heard(rule: Rule) -> frozenset[str]:
    trigger = rule.trigger
    if isinstance(trigger, EventTrigger | ItemTrigger):
        return trigger.names
    if isinstance(trigger, InactiveTrigger):
        return trigger.of or frozenset({"a silence"})
    return frozenset()


def _unused(book: Book) -> Iterator[RuleError]:
    offers = {
        one.offer
        for rule in book.rules.values()
        for one in actions(rule)
        if isinstance(one, Coupon)
    }
    for name in sorted(book.offers.keys() - offers):
        yield RuleError(f"offers/{name}.yaml", 1, 1, f"no rule gives coupons of `{name}`")


def _never(*conditions: Expr | None) -> bool:
    """Whether the plain comparisons of conditions leave no value; others are not looked at."""
    ranges: dict[str, Range] = {}
    texts: dict[str, set[object]] = {}
    sources = [condition.source for condition in conditions if condition is not None]
    for line in (line for source in sources for line in source.split("\nand ")):
        for name, sign, value in _comparisons(ast.parse(line.strip(), mode="eval").body):
            if isinstance(value, str | bool):
                if sign == "==":
                    texts.setdefault(name, set()).add(value)
                continue
            low, high = ranges.get(name, EVERYTHING)
            below, above = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
            least = {">": above, ">=": value, "==": value}.get(sign, -math.inf)
            most = {"<": below, "<=": value, "==": value}.get(sign, math.inf)
            ranges[name] = (max(low, least), min(high, most))
    return any(low > high for low, high in ranges.values()) or any(
        len(values) > 1 for values in texts.values()
    )


Found = Iterator[tuple[str, str, float | str]]  # a yes or no is `==` true or false
SIGNS: Final = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}


def _comparisons(tree: ast.expr) -> Found:
    """`name sign constant` of everything that must hold."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for one in tree.values:
            yield from _comparisons(one)
    wanted = not (isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not))
    flag = tree if wanted else getattr(tree, "operand", tree)
    if isinstance(flag, ast.Attribute):
        yield ast.unparse(flag), "==", wanted
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        return
    sign = SIGNS.get(type(tree.ops[0]))
    right = tree.comparators[0]
    if sign and isinstance(tree.left, ast.Attribute) and isinstance(right, ast.Constant):
        value = right.value
        if isinstance(value, str):
            yield ast.unparse(tree.left), sign, value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield ast.unparse(tree.left), sign, float(value)
