"""Expressions: a small part of Python's syntax over the catalog, compiled once.

Law: `parse` with `ast`, walk by a whitelist, write new code from checked terms, compile that. The
marketer's own text is never compiled, so there is no attribute, call or name to escape to.
Unknown values make a condition neither yes nor no: `test` is true only when it is surely yes.
"""

import ast
import functools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rules import runtime, terms
from rules.errors import FULL_WIDTH, BadText, full_width
from rules.scope import Kind, Scope
from rules.syntax import Walker
from rules.terms import Term

SOURCE_MAX: Final = 1_000
NODES_MAX: Final = 200
DEPTH_MAX: Final = 40
CODE_MAX: Final = 50_000
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_HINTS: Final = (
    (re.compile(r"&&?"), "write `and`"),
    (re.compile(r"\|\|?"), "write `or`"),
    (re.compile(r"!(?!=)"), "write `not`"),
    (re.compile(r"=>"), "write `>=`"),
    (re.compile(r"=<"), "write `<=`"),
    (re.compile(r"<>"), "write `!=`"),
    (re.compile(r"(?<![=<>!])=(?!=)"), "write `==` to compare"),
    (re.compile(r"\b(?:AND|OR|NOT|IN)\b"), "write and, or, not, in in small letters"),
    (re.compile(r"\d%"), "a share is a plain number here, 10% is 0.1"),
    (re.compile(r"\b\d+(?:s|m|h|d|w)\b"), "numbers have no unit here; a feature's name has it"),
    (re.compile(r"\d,\d{3}"), "a number is written without commas"),
    (re.compile(r"[¥￥$]"), "an amount is a plain number, without a sign"),
)
_LIBRARY: Final[dict[str, Any]] = {
    name: getattr(runtime, name)
    for name in (
        *("NAN", "raw", "field", "number", "text", "flag", "listed", "double", "divide"),
        *("least", "greatest", "rounded", "length", "lowered", "contains", "same", "days_since"),
    )
} | {"any": any, "all": all, "__builtins__": {}}

Test = Callable[..., bool]
_EMPTY: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Expr:
    """A compiled expression.

    Every function takes (customer, event=None, now=0, extra={}); `extra` is laid over the
    catalog by name (an example's presets, `arrived`).
    test     true when surely yes; a condition only
    refuted  true when surely no; neither: unknown
    value    the value: a double (NaN when unknown), text, flag or list (None when unknown)
    missing  the names that make it unknown; nothing when it is surely yes or no
    values   all names it reads, with their values now
    `laid` are the names it reads that are no features: the engine gives them in `extra`.
    """

    source: str
    kind: Kind
    features: frozenset[str]
    laid: frozenset[str]
    test: Test = field(compare=False, repr=False)
    refuted: Test = field(compare=False, repr=False)
    value: Callable[..., Any] = field(compare=False, repr=False)
    missing: Callable[..., list[str]] = field(compare=False, repr=False)
    values: Callable[..., dict[str, Any]] = field(compare=False, repr=False)


def condition(source: str | Sequence[str], scope: Scope) -> Expr:
    """A condition, or several that must all hold; raises BadText."""
    lines = [source] if isinstance(source, str) else list(source)
    return compiled(lines, scope, conditions=True)


def expression(source: str, scope: Scope) -> Expr:
    """An expression of any kind; raises BadText."""
    return compiled([source], scope, conditions=False)


def compiled(lines: Sequence[str], scope: Scope, *, conditions: bool) -> Expr:
    """Check the lines, write their code twice (plain, and with names laid over), compile it."""
    if not lines:
        raise BadText("an empty list of conditions: leave `if` out, or write one")
    plain, walker = _terms(lines, scope, conditions, overlay=False)
    laid, over = _terms(lines, scope, conditions, overlay=True)
    names = dict(_LIBRARY) | {"zone": scope.zone, "EMPTY": _EMPTY}
    for index, known in enumerate(walker.names.features.values()):
        names[f"read_{index}"] = known.read
    code = _code(plain, laid, over.names.reads)
    if len(code) > CODE_MAX:
        raise BadText("this condition is too entangled: write it as a list of simpler ones")
    space: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a written text compared with a written text
        made = compile(code, "<rule expression>", "exec")
    exec(made, names, space)  # noqa: S102 - code of our own, made from checked terms
    return Expr(
        source="\nand ".join(lines),
        kind=plain.kind,
        features=frozenset(walker.names.features),
        laid=frozenset(walker.names.laid),
        **{name: space[name] for name in ("test", "refuted", "value", "missing", "values")},
    )


def _terms(
    lines: Sequence[str], scope: Scope, conditions: bool, *, overlay: bool
) -> tuple[Term, Walker]:
    walker = Walker("", scope, overlay=overlay)
    found: Term | None = None
    for line in lines:
        tree, indent = parsed(line)
        walker.source = line.strip()
        try:
            term = walker.flag(tree) if conditions else walker.walk(tree)
        except BadText as bad:
            raise BadText(bad.message, bad.column + indent) from None
        found = term if found is None else terms.both("", found, term)
    assert found is not None  # noqa: S101 - the caller refused an empty list
    if found.kind == "any" and found.cast:
        found = found.cast("any")
    return found, walker


def parsed(source: str) -> tuple[ast.expr, int]:
    """The syntax tree and how far the text was indented; bounded; raises BadText."""
    if len(source) > SOURCE_MAX:
        raise BadText(f"a condition of {len(source)} characters: at most {SOURCE_MAX}")
    line = re.sub(r"[\r\n\t]", " ", source)
    indent = len(line) - len(line.lstrip())
    line = line.strip()
    if not line:
        raise BadText("a condition is empty; to let everybody in, leave the key out")
    _refuse_signs(line, indent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        raise _complaint(line, indent, error) from None
    except (ValueError, MemoryError, RecursionError):
        raise BadText("this cannot be read as an expression", indent) from None
    _bound(tree)
    return tree, indent


def _bound(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    nodes = depth = 0
    while level:
        nodes += len(level)
        depth += 1
        if nodes > NODES_MAX or depth > DEPTH_MAX:
            raise BadText("this condition is too long: write it as a list of shorter ones")
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.expr_context)
        ]


def _blanked(line: str) -> str:
    return _QUOTED.sub(lambda found: found[0][0] * len(found[0]), line)


def _refuse_signs(line: str, indent: int) -> None:
    for column, sign in enumerate(_blanked(line)):
        if sign in FULL_WIDTH:
            raise BadText(full_width(sign), indent + column)
        if sign == "#":
            raise BadText("a `#` begins a comment: leave it out", indent + column)


def _complaint(line: str, indent: int, error: SyntaxError) -> BadText:
    bare = _blanked(line)
    for pattern, hint in _HINTS:
        found = pattern.search(bare)
        if found:
            message = f"`{found[0]}` is not part of the language: {hint}"
            return BadText(message, indent + found.start())
    reason = str(error.msg or "").partition(".")[0].partition(" Perhaps")[0]
    column = indent + max((error.offset or 1) - 1, 0)
    return BadText(f"this cannot be read as an expression ({reason})", column)


def _code(plain: Term, laid: Term, reads: Mapping[str, Term]) -> str:
    """Five functions; the plain ones hand over when names are laid over."""
    missing = ", ".join(
        f"*(({name!r},) if {_unknown(term)} else ())" for name, term in reads.items()
    )
    values = ", ".join(f"{name!r}: {term.code}" for name, term in reads.items())
    yes, no, laid_yes, laid_no = (
        code or "False" for code in (plain.yes, plain.no, laid.yes, laid.no)
    )
    signature = "(customer, event=None, now=0, extra=EMPTY)"
    return f"""
def over_test(customer, event, now, extra): return {laid_yes}
def over_refuted(customer, event, now, extra): return {laid_no}
def over_value(customer, event, now, extra): return {laid.code}
def make(over_test, over_refuted, over_value):
    def test{signature}:
        if extra: return over_test(customer, event, now, extra)
        return {yes}
    def refuted{signature}:
        if extra: return over_refuted(customer, event, now, extra)
        return {no}
    def value{signature}:
        if extra: return over_value(customer, event, now, extra)
        return {plain.code}
    def missing{signature}:
        if test(customer, event, now, extra) or refuted(customer, event, now, extra): return []
        return [{missing}]
    def values{signature}:
        return {{{values}}}
    return test, refuted, value, missing, values
test, refuted, value, missing, values = make(over_test, over_refuted, over_value)
"""


def _unknown(term: Term) -> str:
    return f"({term.code} != {term.code})" if term.kind == "number" else f"({term.code} is None)"


@functools.cache
def constant(answer: bool) -> Expr:
    """A condition that always answers the same; for callers that need one."""
    return condition("true" if answer else "false", Scope({}))
