"""The functions of the language: a table of names, each with the check of what it takes.

To add a function: a total helper in runtime.py, a reader here, a line in FUNCTIONS.
Must not live here: operators, names.
"""

import ast
import re
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from rules import terms
from rules.names import Names
from rules.scope import Kind
from rules.terms import Term


class Walk(Protocol):
    """What a function's reader needs of the walk over the tree."""

    names: Names

    def walk(self, node: ast.AST) -> Term:
        """The term of a node."""

    def typed(self, node: ast.AST, kind: Kind, because: str) -> Term:
        """The term of a node that must be of `kind`."""

    def cast(self, term: Term, kind: Kind) -> Term:
        """A property of unknown kind, read as `kind`."""

    def flag(self, node: ast.AST) -> Term:
        """The term of a node that must be a condition."""

    def refuse(self, node: ast.AST, message: str) -> NoReturn:
        """Stop, with the node's place."""


def arguments(walk: Walk, node: ast.Call, least: int, most: int) -> list[ast.expr]:
    """The arguments, their number checked."""
    count = len(node.args)
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        walk.refuse(node, f"{_named(node)}() takes {wanted} values, not {count}")
    return node.args


def extreme(walk: Walk, node: ast.Call, shown: str, function: str) -> Term:
    """The smallest or the largest (min, max)."""
    numbers = [
        terms.double(walk.typed(argument, "number", f"{_named(node)}() takes numbers"))
        for argument in arguments(walk, node, 2, 20)
    ]
    return Term("number", shown, code=f"{function}({', '.join(numbers)})")


def rounded(walk: Walk, node: ast.Call, shown: str) -> Term:
    """Rounding, half to even: of x, or of x to some digits."""
    first, *rest = arguments(walk, node, 1, 2)
    code = terms.double(walk.typed(first, "number", "round() takes a number"))
    digits = 0
    if rest:
        written = walk.walk(rest[0])
        if written.kind != "number" or written.constant not in range(7):
            walk.refuse(rest[0], "round()'s digits are a written number from 0 to 6")
        digits = int(written.constant)
    return Term("number", shown, code=f"rounded({code}, {digits})")


def length(walk: Walk, node: ast.Call, shown: str) -> Term:
    """The length of a list or a text (len)."""
    (argument,) = arguments(walk, node, 1, 1)
    term = walk.walk(argument)
    if term.kind not in {"list", "text", "any"}:
        walk.refuse(argument, f"len() takes a list or a text; {term.described()}")
    return Term("number", shown, code=f"length({term.code})")


def has(walk: Walk, node: ast.Call, shown: str) -> Term:
    """Whether a value is known: never unknown itself."""
    (argument,) = arguments(walk, node, 1, 1)
    walk.names.asking = True
    try:
        term = walk.walk(argument)
    finally:
        walk.names.asking = False
    if not isinstance(argument, ast.Name | ast.Attribute) or term.is_constant:
        walk.refuse(argument, "has() takes a feature or a property of the event")
    known = (
        f"({term.code} == {term.code})" if term.kind == "number" else (f"({term.code} is not None)")
    )
    return terms.flag_term(shown, known, f"(not {known})")


def days(walk: Walk, node: ast.Call, shown: str) -> Term:
    """Days since a moment."""
    (argument,) = arguments(walk, node, 1, 1)
    term = walk.walk(argument)
    if term.kind not in {"number", "text", "any"} or term.is_constant:
        walk.refuse(argument, f"days() takes a moment of the event; {term.described()}")
    return Term("number", shown, code=f"days_since({term.code}, now, zone)")


def lower(walk: Walk, node: ast.Call, shown: str) -> Term:
    """A text in lower case."""
    (argument,) = arguments(walk, node, 1, 1)
    term = walk.typed(argument, "text", "lower() takes a text")
    return Term("text", shown, code=f"lowered({term.code})")


def each(walk: Walk, node: ast.Call, shown: str, words: tuple[str, str]) -> Term:
    """One or every item of a list of the event (any, all)."""
    (argument,) = arguments(walk, node, 1, 1)
    form = f"{words[0]}(p.price > 100 for p in event.products)"
    if not isinstance(argument, ast.GeneratorExp):
        walk.refuse(argument, f"{words[0]}() is written {form}")
    loop, *more = argument.generators
    if (
        more
        or loop.ifs
        or loop.is_async
        or not isinstance(loop.target, ast.Name)
        or walk.names.item
    ):
        walk.refuse(argument, f"{words[0]}() has one plain loop, as in {form}")
    variable = loop.target.id
    if variable in walk.names.roots | FUNCTIONS.keys() or not re.fullmatch(
        r"[a-z]\w{0,9}", variable
    ):
        walk.refuse(loop.target, f"`{variable}` cannot name the item: take a short new name")
    items = walk.cast(walk.walk(loop.iter), "list")
    if items.kind != "list" or not items.name.startswith("event."):
        walk.refuse(loop.iter, f"{words[0]}() goes over a list of the event, as in {form}")
    walk.names.item = variable
    try:
        term = walk.flag(argument.elt)
    finally:
        walk.names.item = ""
    return terms.every(shown, words, items.code, term)


def _named(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else "it"


Function = Callable[[Walk, ast.Call, str], Term]
FUNCTIONS: Final[dict[str, Function]] = {
    "min": lambda walk, node, shown: extreme(walk, node, shown, "least"),
    "max": lambda walk, node, shown: extreme(walk, node, shown, "greatest"),
    "round": rounded,
    "len": length,
    "has": has,
    "days": days,
    "lower": lower,
    "any": lambda walk, node, shown: each(walk, node, shown, ("any", "all")),
    "all": lambda walk, node, shown: each(walk, node, shown, ("all", "any")),
}
