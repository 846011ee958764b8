"""Why a condition says yes or no, in words: each clause, the value it read, the nearest change.

Must live here: taking a rule's condition apart for people. Must not: deciding; what is said here
changes nothing. Every clause is asked by the same compiler that made the condition itself.
"""

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from rules.book import Book
from rules.errors import BadText
from rules.expressions import Expr, condition, expression, parsed
from rules.model import Rule
from rules.scope import Scope, catalog_scope
from rules.surroundings import Surroundings, language_scope, with_segments
from rules.values import Context, tidy

Answer = Literal["yes", "no", "unknown"]
_SIGNS: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_AT: Final = {">=": "at", "<=": "at", "==": "at", ">": "above", "<": "below"}
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Clause:
    """One part of a condition that must hold, as it is now."""

    text: str
    answer: Answer
    values: tuple[tuple[str, str], ...]  # the names it reads, with their values in words
    nearest: str = ""  # what would make it hold, if it does not: "at 200"

    def __str__(self) -> str:
        """Such as: `cart.value >= 200`: no, cart.value is 180; at 200 it would hold."""
        read = ", ".join(f"{name} is {value}" for name, value in self.values)
        told = f"`{self.text}`: {self.answer}{f', {read}' if read else ''}"
        return f"{told}; {self.nearest} it would hold" if self.nearest else told


def scope_of(book: Book, rule: Rule, *, event: bool) -> Scope:
    """The names that a rule's conditions may use, with an event at hand or without."""
    scope = language_scope(catalog_scope(book.shop.timezone), _NONE)
    scope = with_segments(scope, book.segments, _NONE)
    return Surroundings(scope).about(rule.once_per).awaited().scope.with_event(event)


def clauses(expr: Expr | None, context: Context, scope: Scope) -> list[Clause]:
    """Each clause of a condition, in the order in which it is written; all must hold."""
    if expr is None:
        return []
    return [_clause(text, context, scope) for text in _parts(expr.source)]


def _parts(source: str) -> Iterator[str]:
    """The lines of a condition, and what `and` joins in them."""
    for line in source.split("\nand "):
        tree, _ = parsed(line)
        yield from _joined(line.strip(), tree, ast.And)


def _joined(line: str, tree: ast.expr, by: type[ast.boolop]) -> Iterator[str]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, by):
        for value in tree.values:
            yield from _joined(line, value, by)
    else:
        yield ast.get_source_segment(line, tree) or line


def _clause(text: str, context: Context, scope: Scope) -> Clause:
    asked = condition(text, scope)
    answer: Answer = "unknown"
    if asked.test(*context):
        answer = "yes"
    elif asked.refuted(*context):
        answer = "no"
    values = tuple((name, told(value)) for name, value in asked.values(*context).items())
    return Clause(text, answer, values, "" if answer == "yes" else _nearest(text, context, scope))


def _nearest(text: str, context: Context, scope: Scope) -> str:
    """What would make a clause hold; "" where no one change can be named."""
    tree, _ = parsed(text)
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or):
        ways = [_nearest(part, context, scope) for part in _joined(text, tree, ast.Or)]
        names = [_read(part) for part in _joined(text, tree, ast.Or)]
        named = [f"{name} {way}" for name, way in zip(names, ways, strict=True) if way]
        return f"with {' or '.join(named)}" if named else ""
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        return ""
    left, right = tree.left, tree.comparators[0]
    sign = _SIGNS.get(type(tree.ops[0]), "")
    if isinstance(tree.ops[0], ast.In) and isinstance(right, ast.List | ast.Tuple):
        return f"with one of {', '.join(_source(text, one) for one in right.elts)}"
    if isinstance(left, ast.Constant):
        left, right, sign = right, left, _TURNED.get(sign, "")
    bound = _value(_source(text, right), context, scope)
    if sign not in _AT or bound is None:
        return ""
    if isinstance(bound, str):
        return f'with "{bound}"' if sign == "==" else ""
    return f"{_AT[sign]} {told(bound)}"


def _value(text: str, context: Context, scope: Scope) -> Any:
    try:
        found = expression(text, scope).value(*context)
    except BadText:  # a part of an expression may have no kind of its own
        return None
    return None if isinstance(found, float) and math.isnan(found) else found


def _source(text: str, tree: ast.expr) -> str:
    return ast.get_source_segment(text, tree) or ""


def _read(text: str) -> str:
    """What a comparison compares with something written; else the whole."""
    tree, _ = parsed(text)
    if not isinstance(tree, ast.Compare):
        return text
    turned = isinstance(tree.left, ast.Constant)
    return _source(text, tree.comparators[0] if turned else tree.left)


def told(value: Any) -> str:
    """A value in words.

    >>> told(180.0), told(float("nan")), told(["push"]), told(True), told("gold")
    ('180', 'not known', 'push', 'yes', 'gold')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        places = 2 if abs(value) >= 1 else 4  # a score's difference is in the third
        return str(tidy(round(float(value), places)))
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(told(one) for one in value) or "none"
    return str(value) or "empty"
