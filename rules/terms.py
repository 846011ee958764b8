"""The pieces of a checked expression, and what the operators make of them.

A Term is Python code for a value (NaN or None when unknown) or, for a flag, two pieces of code:
`yes` is true only when the flag is surely true, `no` only when it is surely false. So unknown is
neither, `not` swaps the two, and Kleene's tables hold under any nesting.
Must live here: code and kinds. Must not: names, the syntax tree's walk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rules.scope import Kind


class Nothing:
    """No constant (None would be one)."""


NOTHING: Final = Nothing()
ORDERINGS: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Term:
    """A typed piece of code; `shown` is how the marketer wrote it."""

    kind: Kind
    shown: str
    code: str = ""
    yes: str = ""
    no: str = ""
    constant: Any = NOTHING
    cast: Callable[[Kind], "Term"] | None = None
    name: str = ""
    exact: bool = True
    """Whether a number's code surely gives a double (a feature may read an int)."""

    @property
    def is_constant(self) -> bool:
        """Whether it was written as a literal."""
        return not isinstance(self.constant, Nothing)

    def described(self) -> str:
        """Such as: `cart.value` is a number."""
        kinds = {"number": "a number", "text": "text", "flag": "yes or no", "list": "a list"}
        return f"`{self.shown}` is {kinds.get(self.kind, 'of any type')}"


def flag_term(shown: str, yes: str, no: str) -> Term:
    """A flag by its two codes."""
    code = f"(True if {yes} else False if {no} else None)"
    return Term("flag", shown, code=code, yes=yes, no=no)


def flag_value(shown: str, code: str, name: str = "") -> Term:
    """A flag read as a value: True, False or None."""
    return Term(
        "flag", shown, code=code, yes=f"({code} is True)", no=f"({code} is False)", name=name
    )


def double(term: Term) -> str:
    """A number's code as a double for arithmetic."""
    return term.code if term.exact else f"double({term.code})"


def both(shown: str, left: Term, right: Term) -> Term:
    """`and`."""
    return flag_term(shown, f"({left.yes} and {right.yes})", f"({left.no} or {right.no})")


def either(shown: str, left: Term, right: Term) -> Term:
    """`or`."""
    return flag_term(shown, f"({left.yes} or {right.yes})", f"({left.no} and {right.no})")


def negated(shown: str, term: Term) -> Term:
    """`not`: yes and no change places; unknown stays unknown."""
    return flag_term(shown, term.no, term.yes)


def ordered(shown: str, left: Term, operator: str, right: Term) -> Term:
    """`<` and its kin over numbers: NaN makes both codes false."""
    opposite = ORDERINGS[operator]
    return flag_term(
        shown,
        f"({left.code} {operator} {right.code})",
        f"({left.code} {opposite} {right.code})",
    )


def equal(shown: str, left: Term, right: Term) -> Term:
    """`==` of two terms of one kind."""
    if left.kind == "flag":
        yes = f"({left.yes} and {right.yes} or {left.no} and {right.no})"
        no = f"({left.yes} and {right.no} or {left.no} and {right.yes})"
        return flag_term(shown, yes, no)
    if left.kind == "number":
        differs = f"({left.code} < {right.code} or {left.code} > {right.code})"
        return flag_term(shown, f"({left.code} == {right.code})", differs)
    if left.kind == "text" and (left.is_constant or right.is_constant):
        found = right if left.is_constant else left
        yes = f"({left.code} == {right.code})"
        return flag_term(shown, yes, f"({found.code} not in (None, {_other(left, right).code}))")
    return _asked(shown, f"same({left.code}, {right.code})")


def among(shown: str, item: Term, choices: tuple[Any, ...]) -> Term:
    """`in` a written list."""
    known = f"{item.code} is not None" if item.kind == "text" else f"{item.code} == {item.code}"
    listed = "{" + ", ".join(repr(choice) for choice in choices) + "}"
    return flag_term(
        shown, f"({item.code} in {listed})", f"({known} and {item.code} not in {listed})"
    )


def held(shown: str, item: Term, holder: Term) -> Term:
    """`in` a list or a text that is read."""
    return _asked(shown, f"contains({holder.code}, {item.code})")


def chosen(shown: str, condition: Term, then: Term, otherwise: Term) -> Term:
    """`a if c else b`: unknown when c is."""
    if then.kind == "flag":
        yes = f"({condition.yes} and {then.yes} or {condition.no} and {otherwise.yes})"
        no = f"({condition.yes} and {then.no} or {condition.no} and {otherwise.no})"
        return flag_term(shown, yes, no)
    number = then.kind == "number"
    first, second = (double(then), double(otherwise)) if number else (then.code, otherwise.code)
    unknown = "NAN" if number else "None"
    code = f"({first} if {condition.yes} else {second} if {condition.no} else {unknown})"
    return Term(then.kind, shown, code=code)


def every(shown: str, words: tuple[str, str], items: str, term: Term) -> Term:
    """`any`/`all` over an event's list; `words` are (any, all) or (all, any)."""
    yes, no = (
        f"(({items}) is not None and {word}({code} for item in {items}))"
        for word, code in zip(words, (term.yes, term.no), strict=True)
    )
    return flag_term(shown, yes, no)


def _other(left: Term, right: Term) -> Term:
    return left if left.is_constant else right


def _asked(shown: str, code: str) -> Term:
    return flag_term(shown, f"({code} is True)", f"({code} is False)")
