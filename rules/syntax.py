"""The walk from Python's syntax tree to checked terms: what is not named here does not exist.

Law: a whitelist. Every node, name, function and operator is looked up in a table of this module or
in the scope; anything else is refused with its column and what was allowed.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from rules import terms
from rules.errors import BadText, near, one_of
from rules.scope import Kind, Known, Scope
from rules.terms import Term

FUNCTIONS: Final = ("min", "max", "round", "len", "has", "days", "lower", "any", "all")
TRUTHS: Final = {"true": True, "false": False, "True": True, "False": False}
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
        self.scope = scope
        self.overlay = overlay
        self.reads: dict[str, Term] = {}
        self.asking = False
        self.features: dict[str, Known] = {}
        self.item = ""
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
        self.calls: dict[str, Callable[[ast.Call, str], Term]] = {
            "min": lambda call, shown: self.extreme(call, shown, "least"),
            "max": lambda call, shown: self.extreme(call, shown, "greatest"),
            "round": self.round,
            "len": self.length,
            "has": self.has,
            "days": self.days,
            "lower": self.lower,
            "any": lambda call, shown: self.each(call, shown, ("any", "all")),
            "all": lambda call, shown: self.each(call, shown, ("all", "any")),
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
        if node.id == self.item and self.item:
            return self.property(node.id, "any", "item", readable=False)
        return self.known(node, node.id)

    def attribute(self, node: ast.Attribute) -> Term:
        """A dotted name: a feature, `event.x`, or a property of the item of any/all."""
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.refuse(node, f"`{self.shown(node)}`: a dot may only follow a name")
        if inner.id == "event" or (self.item and inner.id == self.item):
            return self.of_event(node, inner.id, parts)
        return self.known(node, ".".join([inner.id, *parts]))

    def of_event(self, node: ast.AST, root: str, parts: Sequence[str]) -> Term:
        """`event.x`, or `p.x` inside any/all."""
        shown = f"{root}.{'.'.join(parts)}"
        if len(parts) > 1:
            self.refuse(node, f"`{shown}`: an event's properties are one deep: {root}.NAME")
        if root == "event" and not self.scope.event:
            self.refuse(
                node,
                f"`{shown}`: there is no event here, this is read again before every step; "
                "conditions on the event belong under `when:` in its own `if:`",
            )
        kind = self.scope.properties.get(parts[0], "any")
        function = "raw(event" if root == "event" else "field(item"
        code = f"{function}, {parts[0]!r})"
        return self.property(shown, kind, code, readable=root == "event")

    def property(self, shown: str, kind: Kind, code: str, *, readable: bool) -> Term:
        """A JSON value, read as `kind`; of any kind, it waits for what it meets."""
        name = shown if readable else ""
        readers = {"number": "number", "text": "text", "list": "listed"}

        def read(wanted: Kind) -> Term:
            if wanted == "flag":
                term = terms.flag_value(shown, f"flag({code})", name)
            elif wanted == "any":
                term = Term("any", shown, code=code, cast=read, name=name)
            else:
                term = Term(wanted, shown, code=f"{readers[wanted]}({code})", name=name)
            self.note(name, term)
            return term

        return read(kind)

    def known(self, node: ast.AST, name: str) -> Term:
        """A feature of the catalog or a name laid over."""
        scope = self.scope
        if name in scope.features:
            known = scope.features[name]
            self.features[name] = known
            code = f"read_{list(self.features).index(name)}(customer.state({known.facet!r}), now)"
            if self.overlay:
                code = f"(extra[{name!r}] if {name!r} in extra else {code})"
            kind = known.kind
        elif name in scope.laid_over:
            kind = scope.laid_over[name]
            code = f"extra.get({name!r}{', NAN' if kind == 'number' else ''})"
        else:
            self.refuse(node, self.unknown(name))
        if kind == "flag":
            term = terms.flag_value(name, code, name)
        else:
            cast = (lambda _: term) if kind == "any" else None
            term = Term(kind, name, code=code, cast=cast, name=name, exact=False)
        self.note(name, term)
        return term

    def note(self, name: str, term: Term) -> None:
        """Remember what is read, but for what has() only asks about."""
        if name and not self.asking:
            self.reads[name] = term

    def unknown(self, name: str) -> str:
        """What to say of a name that is not in the catalog."""
        names = [*self.scope.features, *self.scope.laid_over]
        missed = near(name, [*names, *TRUTHS, *(("event",) if self.scope.event else ())])
        facet = name.partition(".")[0]
        siblings = sorted(other for other in names if other.startswith(facet + "."))
        if "." not in name and not siblings:
            hint = missed or f': a text is written in quotes, "{name}"'
            return f"`{name}` is not a name here{hint}"
        if siblings:
            return f"`{name}` is not in the catalog{missed or ''}; {facet} has {one_of(siblings)}"
        facets = sorted({other.partition(".")[0] for other in names if "." in other})
        return f"`{name}` is not in the catalog{missed or f'; it has {one_of(facets)}'}"

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
        if not isinstance(node.func, ast.Name):
            self.refuse(
                node,
                f"`{self.shown(node.func)}` cannot be called; the functions are "
                f"{', '.join(FUNCTIONS)}",
            )
        found = self.calls.get(node.func.id)
        if found is None:
            self.refuse(
                node,
                f"`{node.func.id}` is not a function here{near(node.func.id, FUNCTIONS)}; "
                f"the functions are {', '.join(FUNCTIONS)}",
            )
        if node.keywords:
            self.refuse(node.keywords[0].value, f"{node.func.id}() takes no named arguments")
        return found(node, self.shown(node))

    def arguments(self, node: ast.Call, least: int, most: int) -> list[ast.expr]:
        """The arguments, their number checked."""
        count = len(node.args)
        if not least <= count <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            self.refuse(node, f"{self.shown(node.func)}() takes {wanted} values, not {count}")
        return node.args

    def extreme(self, node: ast.Call, shown: str, function: str) -> Term:
        """The smallest or the largest (min, max)."""
        numbers = [
            terms.double(self.typed(argument, "number", f"{self.shown(node.func)}() takes numbers"))
            for argument in self.arguments(node, 2, 20)
        ]
        return Term("number", shown, code=f"{function}({', '.join(numbers)})")

    def round(self, node: ast.Call, shown: str) -> Term:
        """Rounding, half to even: of x, or of x to some digits."""
        first, *rest = self.arguments(node, 1, 2)
        code = terms.double(self.typed(first, "number", "round() takes a number"))
        digits = 0
        if rest:
            written = self.walk(rest[0])
            if not written.is_constant or written.constant not in range(7):
                self.refuse(rest[0], "round()'s digits are a written number from 0 to 6")
            digits = int(operator.index(int(written.constant)))
        return Term("number", shown, code=f"rounded({code}, {digits})")

    def length(self, node: ast.Call, shown: str) -> Term:
        """The length of a list or a text (len)."""
        (argument,) = self.arguments(node, 1, 1)
        term = self.walk(argument)
        if term.kind not in {"list", "text", "any"}:
            self.refuse(argument, f"len() takes a list or a text; {term.described()}")
        return Term("number", shown, code=f"length({term.code})")

    def has(self, node: ast.Call, shown: str) -> Term:
        """Whether a value is known: never unknown itself."""
        (argument,) = self.arguments(node, 1, 1)
        self.asking = True
        try:
            term = self.walk(argument)
        finally:
            self.asking = False
        if not isinstance(argument, ast.Name | ast.Attribute) or term.is_constant:
            self.refuse(argument, "has() takes a feature or a property of the event")
        known = (
            f"({term.code} == {term.code})"
            if term.kind == "number"
            else (f"({term.code} is not None)")
        )
        return terms.flag_term(shown, known, f"(not {known})")

    def days(self, node: ast.Call, shown: str) -> Term:
        """Days since a moment."""
        (argument,) = self.arguments(node, 1, 1)
        term = self.walk(argument)
        if term.kind not in {"number", "text", "any"} or term.is_constant:
            self.refuse(argument, f"days() takes a moment of the event; {term.described()}")
        return Term("number", shown, code=f"days_since({term.code}, now, zone)")

    def lower(self, node: ast.Call, shown: str) -> Term:
        """A text in lower case."""
        (argument,) = self.arguments(node, 1, 1)
        term = self.typed(argument, "text", "lower() takes a text")
        return Term("text", shown, code=f"lowered({term.code})")

    def each(self, node: ast.Call, shown: str, words: tuple[str, str]) -> Term:
        """One or every item of a list of the event (any, all)."""
        (argument,) = self.arguments(node, 1, 1)
        form = f"{words[0]}(p.price > 100 for p in event.products)"
        if not isinstance(argument, ast.GeneratorExp):
            self.refuse(argument, f"{words[0]}() is written {form}")
        loop, *more = argument.generators
        if more or loop.ifs or loop.is_async or not isinstance(loop.target, ast.Name) or self.item:
            self.refuse(argument, f"{words[0]}() has one plain loop, as in {form}")
        variable = loop.target.id
        taken = {"event", "customer", *TRUTHS, *FUNCTIONS}
        taken |= {name.partition(".")[0] for name in self.scope.features}
        if variable in taken or not re.fullmatch(r"[a-z]\w{0,9}", variable):
            self.refuse(loop.target, f"`{variable}` cannot name the item: take a short new name")
        items = self.cast(self.walk(loop.iter), "list")
        if items.kind != "list" or not items.name.startswith("event."):
            self.refuse(loop.iter, f"{words[0]}() goes over a list of the event, as in {form}")
        self.item = variable
        try:
            term = self.flag(argument.elt)
        finally:
            self.item = ""
        return terms.every(shown, words, items.code, term)
