"""The walk from Python's syntax tree to checked terms: what is not named here does not exist.

Law: a whitelist. Every node, name, function and operator is looked up in a table of this module or
in the scope; anything else is refused with its column and what was allowed.
"""

import ast
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from rules import terms
from rules.errors import BadText, near
from rules.functions import FUNCTIONS
from rules.names import TRUTHS, Names
from rules.scope import Kind, Scope
from rules.terms import Term

ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}
COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
REFUSED: Final[dict[type[ast.AST], str]] = {
    ast.Lambda: "a function of one's own",
    ast.Dict: "a mapping",
    ast.DictComp: "a mapping",
    ast.ListComp: "a list built in place",
    ast.SetComp: "a set built in place",
    ast.Subscript: "an index in [...]",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment (:=)",
    ast.Starred: "a star",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}
ALLOWED: Final = (
    "comparisons, and/or/not, in, + - * /, `a if c else b`, features, event.NAME, texts, numbers, "
    f"true, false and the functions {', '.join(FUNCTIONS)}"
)
TEXT_MAX: Final = 200
CHOICES_MAX: Final = 200


class Walker:
    """Turns the tree of one expression into a Term, and notes which names it reads."""

    def __init__(self, source: str, scope: Scope, *, overlay: bool) -> None:
        self.source = source
        self.names = Names(scope, overlay=overlay)
        self.nodes: dict[type[ast.AST], Callable[[Any], Term]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.Attribute: self.attribute,
            ast.BoolOp: self.boolean,
            ast.UnaryOp: self.unary,
            ast.BinOp: self.arithmetic,
            ast.Compare: self.compare,
            ast.IfExp: self.choice,
            ast.Call: self.call,
        }

    # -- what every node needs

    def walk(self, node: ast.AST) -> Term:
        """The term of a node, or the refusal."""
        found = self.nodes.get(type(node))
        if found is None:
            what = REFUSED.get(type(node), f"`{self.shown(node)}`")
            self.refuse(node, f"{what} is not part of the language; allowed are {ALLOWED}")
        return found(node)

    def shown(self, node: ast.AST) -> str:
        """A node as it was written."""
        if not isinstance(node, ast.expr):
            return "that"
        return ast.get_source_segment(self.source, node) or "that"

    def column(self, node: ast.AST) -> int:
        """The node's column in characters; Python counts bytes."""
        line = self.source.encode()
        return len(line[: getattr(node, "col_offset", 0)].decode(errors="ignore"))

    def refuse(self, node: ast.AST, message: str) -> NoReturn:
        """Stop, with the node's place."""
        raise BadText(message, self.column(node))

    def typed(self, node: ast.AST, kind: Kind, because: str) -> Term:
        """A node's term, which must be (or be readable as) of `kind`."""
        term = self.cast(self.walk(node), kind)
        if term.kind != kind:
            self.refuse(node, f"{because}; {term.described()}")
        return term

    def cast(self, term: Term, kind: Kind) -> Term:
        """A property of unknown kind, read as `kind`."""
        return term.cast(kind) if term.kind == "any" and term.cast else term

    def flag(self, node: ast.AST) -> Term:
        """A node that must be a condition."""
        term = self.cast(self.walk(node), "flag")
        if term.kind != "flag":
            hint = {
                "number": f"compare it, as in `{term.shown} > 0`",
                "text": f'compare it, as in `{term.shown} == "..."`, or ask has({term.shown})',
                "list": f"ask `len({term.shown}) > 0`",
            }.get(term.kind, "compare it")
            self.refuse(node, f"a condition is needed here; {term.described()}: {hint}")
        return term

    # -- leaves

    def constant(self, node: ast.Constant) -> Term:
        """A number, a text, yes or no."""
        value, shown = node.value, self.shown(node)
        if isinstance(value, bool):
            return Term(
                "flag", shown, code=str(value), yes=str(value), no=str(not value), constant=value
            )
        if isinstance(value, int | float):
            try:
                double = float(value)
            except OverflowError:
                double = math.inf
            if not math.isfinite(double):
                self.refuse(node, f"`{shown[:20]}` is too large a number")
            return Term("number", shown, code=repr(double), constant=double)
        if isinstance(value, str):
            if len(value) > TEXT_MAX:
                self.refuse(node, f"a text of {len(value)} characters: at most {TEXT_MAX}")
            return Term("text", shown, code=repr(value), constant=value)
        hint = (
            "ask has(x) or not has(x)" if value is None else "write a number, a text, true, false"
        )
        raise BadText(f"`{shown}` is not a value here: {hint}", self.column(node))

    def name(self, node: ast.Name) -> Term:
        """A bare name: true, false, the item of any/all, a name the engine lays over."""
        if node.id in TRUTHS:
            return self.constant(ast.copy_location(ast.Constant(TRUTHS[node.id]), node))
        return self.named(node, node.id, [])

    def attribute(self, node: ast.Attribute) -> Term:
        """A dotted name: a feature, `event.x`, or a property of the item of any/all."""
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.refuse(node, f"`{self.shown(node)}`: a dot may only follow a name")
        return self.named(node, inner.id, parts)

    def named(self, node: ast.AST, root: str, parts: Sequence[str]) -> Term:
        """What a name stands for, or the refusal at its place."""
        try:
            return self.names.term(root, parts)
        except BadText as bad:
            self.refuse(node, bad.message)

    # -- operators

    def boolean(self, node: ast.BoolOp) -> Term:
        """`and`, `or`."""
        joined = terms.both if isinstance(node.op, ast.And) else terms.either
        term = self.flag(node.values[0])
        for value in node.values[1:]:
            term = joined(self.shown(node), term, self.flag(value))
        return term

    def unary(self, node: ast.UnaryOp) -> Term:
        """`not x`, `-x`."""
        shown = self.shown(node)
        if isinstance(node.op, ast.Not):
            return terms.negated(shown, self.flag(node.operand))
        if not isinstance(node.op, ast.USub | ast.UAdd):
            self.refuse(node, f"`{shown}`: write `not` for no; allowed are {ALLOWED}")
        term = self.typed(node.operand, "number", "a sign needs a number")
        minus = isinstance(node.op, ast.USub)
        if term.is_constant:
            value = -term.constant if minus else term.constant
            return Term("number", shown, code=f"({value!r})", constant=value)
        return Term("number", shown, code=f"({'-' if minus else ''}{terms.double(term)})")

    def arithmetic(self, node: ast.BinOp) -> Term:
        """`+ - * /` over doubles."""
        sign = ARITHMETIC.get(type(node.op))
        if sign is None:
            self.refuse(node, f"`{self.shown(node)}`: the arithmetic here is + - * /")
        because = f"`{sign}` needs numbers on both sides"
        left, right = (
            terms.double(self.typed(side, "number", because)) for side in (node.left, node.right)
        )
        code = f"divide({left}, {right})" if sign == "/" else f"({left} {sign} {right})"
        return Term("number", self.shown(node), code=code)

    def compare(self, node: ast.Compare) -> Term:
        """Comparisons, chained as in Python."""
        shown = self.shown(node)
        sides = [node.left, *node.comparators]
        term: Term | None = None
        for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
            sign = COMPARISONS.get(type(op))
            if sign is None:
                self.refuse(right, f"`{shown}`: write == or != instead of `is`")
            one = self.pair(node, shown, (left, sign, right))
            term = one if term is None else terms.both(shown, term, one)
        if term is None:
            self.refuse(node, "a comparison compares two things")
        return term

    def pair(self, node: ast.AST, shown: str, sides: tuple[ast.expr, str, ast.expr]) -> Term:
        """One comparison."""
        left_node, sign, right_node = sides
        if sign in {"in", "not in"}:
            term = self.member(shown, left_node, right_node)
            return term if sign == "in" else terms.negated(shown, term)
        left, right = self.walk(left_node), self.walk(right_node)
        left, right = self.cast(left, right.kind), self.cast(right, left.kind)
        if sign in terms.ORDERINGS:
            left, right = self.cast(left, "number"), self.cast(right, "number")
            for term, place in ((left, left_node), (right, right_node)):
                if term.kind != "number":
                    allowed = "==, != and in" if term.kind == "text" else "== and !="
                    self.refuse(
                        place, f"`{sign}` compares numbers; {term.described()}: allowed {allowed}"
                    )
            return terms.ordered(shown, left, sign, right)
        if left.kind != right.kind:
            self.refuse(node, self.unlike(left, right))
        if left.kind == "list":
            self.refuse(node, f"`{shown}`: lists are not compared; ask `x in list` or len(list)")
        term = terms.equal(shown, left, right)
        return term if sign == "==" else terms.negated(shown, term)

    def unlike(self, left: Term, right: Term) -> str:
        """Two sides of different kinds."""
        hint = ""
        if "list" in {left.kind, right.kind}:
            hint = ": ask `in`"
        elif {left.kind, right.kind} == {"number", "text"}:
            text = left if left.kind == "text" else right
            bare = str(text.constant)
            if text.is_constant and re.fullmatch(r"-?\d+(\.\d+)?", bare):
                hint = f": write {bare} without quotes"
        return f"{left.described()} and {right.described()}: they can never be equal{hint}"

    def member(self, shown: str, left_node: ast.expr, right_node: ast.expr) -> Term:
        """`in`: a written list of texts or numbers, or a list or text that is read."""
        if isinstance(right_node, ast.List | ast.Tuple | ast.Set):
            choices = [self.walk(choice) for choice in right_node.elts]
            if not choices or len(choices) > CHOICES_MAX:
                self.refuse(right_node, f"a list of 1 to {CHOICES_MAX} values is needed after in")
            kind = choices[0].kind
            for choice, place in zip(choices, right_node.elts, strict=True):
                if not choice.is_constant or choice.kind not in {"text", "number"}:
                    self.refuse(place, "a list after `in` holds written texts or numbers only")
                if choice.kind != kind:
                    self.refuse(place, "a list after `in` holds values of one kind")
            noun = "texts" if kind == "text" else "numbers"
            item = self.typed(left_node, kind, f"the list holds {noun}")
            return terms.among(shown, item, tuple(choice.constant for choice in choices))
        item, holder = self.walk(left_node), self.walk(right_node)
        item = self.cast(item, "text")
        if holder.kind not in {"list", "text", "any"}:
            self.refuse(
                right_node, f"`in` needs a list, as in [1, 2], or a text; {holder.described()}"
            )
        if item.kind not in {"text", "number"} or (holder.kind == "text" and item.kind != "text"):
            self.refuse(left_node, f"`in` looks for a text here; {item.described()}")
        return terms.held(shown, item, holder)

    def choice(self, node: ast.IfExp) -> Term:
        """`a if c else b`."""
        condition = self.flag(node.test)
        then, otherwise = self.walk(node.body), self.walk(node.orelse)
        then, otherwise = self.cast(then, otherwise.kind), self.cast(otherwise, then.kind)
        if then.kind != otherwise.kind:
            self.refuse(
                node.orelse,
                f"both values of an if-else must be of one kind; {then.described()}, "
                f"{otherwise.described()}",
            )
        return terms.chosen(self.shown(node), condition, then, otherwise)

    # -- functions

    def call(self, node: ast.Call) -> Term:
        """A named function of the list."""
        names = ", ".join(FUNCTIONS)
        if not isinstance(node.func, ast.Name):
            self.refuse(
                node, f"`{self.shown(node.func)}` cannot be called; the functions are {names}"
            )
        found = FUNCTIONS.get(node.func.id)
        if found is None:
            hint = near(node.func.id, FUNCTIONS)
            message = f"`{node.func.id}` is not a function here{hint}; the functions are {names}"
            self.refuse(node, message)
        if node.keywords:
            self.refuse(node.keywords[0].value, f"{node.func.id}() takes no named arguments")
        return found(self, node, self.shown(node))
