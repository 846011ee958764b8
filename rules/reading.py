"""From a tree of text to typed values, gathering errors: the tools every reader of a file uses.

Law: a wrong value is noted with its place and reading goes on with a stand-in, so that one load
shows every error. What was read is only used when nothing was noted. Must not: know any rule key.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from rules.document import Fields, Items, Node, Text
from rules.errors import BadText, RuleError, full_width, near, one_of
from rules.expressions import Expr, condition, expression
from rules.forms import Form
from rules.scope import Scope
from rules.unbuilt import UNBUILT
from rules.values import Computed, Constant, Lookup, Value

T = TypeVar("T")
NOT_BUILT = "is part of the language but not built yet"


class Reader:
    """Reads one file's nodes; `errors` is shared by all files of a load."""

    def __init__(
        self, file: str, errors: list[RuleError], unbuilt: frozenset[str] = UNBUILT
    ) -> None:
        self.file = file
        self.errors = errors
        self.unbuilt = unbuilt

    def refused(self, node: Node, place: str, shown: str = "") -> bool:
        """Whether the engine does not do this yet; noted if so."""
        if place not in self.unbuilt:
            return False
        self.error(node, f"`{shown or place.rpartition('.')[2]}` {NOT_BUILT}")
        return True

    def error(self, node: Node, message: str, offset: int = 0) -> None:
        """Note an error at a node, `offset` characters into its text."""
        column = node.column
        if offset and isinstance(node, Text) and node.exact:
            column += node.inner + offset
        self.errors.append(RuleError(self.file, node.line, column, message))

    def parse(self, node: Node, function: Callable[[str], T], otherwise: T) -> T:
        """A text through a function that may raise BadText."""
        if not isinstance(node, Text):
            self.error(node, "one plain value is needed here, not a list or a mapping")
            return otherwise
        try:
            return function(node.value)
        except BadText as bad:
            self.error(node, bad.message, bad.column)
            return otherwise

    def fields(self, node: Node, form: Form) -> dict[str, Node]:
        """A mapping's known keys; the others noted, by name or with the near miss."""
        if not isinstance(node, Fields):
            hint = full_width(node.value) if isinstance(node, Text) else ""
            hint = f": {hint}" if hint else ""
            allowed = one_of(form.keys)
            self.error(node, f"{form.what} is a mapping here with the keys {allowed}{hint}")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.pairs:
            if key.value not in form.keys:
                self.error(key, self._stranger(key.value, value, form, node.flow))
            elif self.refused(key, f"{form.place}.{key.value}"):
                continue
            elif isinstance(value, Text) and not value.value and not value.quoted and value.exact:
                self.error(key, f"`{key.value}` has no value: give one, or leave the key out")
            else:
                found[key.value] = value
        given = {key.value for key, _ in node.pairs}
        for name in form.needed:
            if name not in given:
                self.error(node, f"{form.what} needs `{name}`")
        return found

    def _stranger(self, name: str, value: Node, form: Form, flow: bool) -> str:
        if flow and isinstance(value, Text) and not value.value:
            return (
                f"`{name}` has no value: inside {{...}} a comma begins a new key; write the "
                "condition on a line of its own"
            )
        wide = full_width(name)
        if wide:
            return f"`{name}` is not a key of {form.what}: {wide}"
        meant = form.meant.get(name.lower())
        missed = f": did you mean `{meant}`?" if meant else ""
        hint = missed or near(name, form.keys) or f"; allowed are {one_of(form.keys)}"
        return f"`{name}` is not a key of {form.what}{hint}"

    def items(self, node: Node) -> list[Node]:
        """A list's items; one thing stands for a list of one."""
        return node.items if isinstance(node, Items) else [node]

    def some(self, node: Node) -> list[Node]:
        """The items of a list that has any."""
        found = self.items(node)
        if not found:
            self.error(node, "an empty list: name one at least, or leave the key out")
        return found

    def text(self, node: Node, what: str, most: int = 200) -> str:
        """A short text."""

        def short(text: str) -> str:
            if text.startswith("= "):
                raise BadText(f"`{text}`: {what} is written out, it is not computed here")
            if not text.strip() or len(text) > most:
                raise BadText(f"{what} is a text of 1 to {most} characters")
            return text

        return self.parse(node, short, "")

    def choice(self, node: Node, what: str, words: Sequence[str], place: str = "") -> str:
        """One word of a closed list; some may not be built yet at their `place`."""
        allowed = one_of([word for word in words if f"{place}.{word}" not in self.unbuilt])

        def pick(text: str) -> str:
            if text in words and f"{place}.{text}" in self.unbuilt:
                raise BadText(f"`{text}` {NOT_BUILT}; allowed are {allowed}")
            if text in words:
                return text
            wide = full_width(text)
            missed = near(text, words) or (f": {wide}" if wide else "")
            article = "an" if what[0] in "aeiou" else "a"
            raise BadText(f"`{text}` is not {article} {what}{missed}; allowed are {allowed}")

        return self.parse(node, pick, words[0])

    def number(self, node: Node, what: str, least: int, most: int) -> int:
        """A whole number."""

        def whole(text: str) -> int:
            if not (text.isascii() and text.isdigit() and len(text) < 10) or not (
                least <= int(text) <= most
            ):
                raise BadText(f"`{text}`: {what} is a whole number from {least} to {most}")
            return int(text)

        return self.parse(node, whole, least)

    def flag(self, node: Node) -> bool:
        """Either true or false."""
        return self.choice(node, "yes-or-no value", ("true", "false")) == "true"

    # -- expressions

    def condition(self, parent: Node, node: Node, scope: Scope) -> Expr | None:
        """An `if`: one expression or a list of them, on lines of their own."""
        if isinstance(parent, Fields) and parent.flow:
            self.error(
                node,
                "a condition stands on a line of its own, never inside {...}: a comma in it "
                "would begin a new key",
            )
            return None
        lines: list[str] = []
        for item in self.some(node):
            if isinstance(node, Items) and node.flow:
                self.error(node, "conditions stand on lines of their own, each after `- `")
                return None
            checked = self.parse(item, lambda text: condition(text, scope).source, "")
            if checked:
                lines.append(checked)
        if len(lines) != len(self.items(node)) or not lines:
            return None
        try:
            return condition(lines, scope)
        except BadText as bad:
            self.error(node, bad.message)
            return None

    def value(
        self,
        node: Node,
        scope: Scope,
        kind: str,
        parse: Callable[[str], object],
        least: float = -math.inf,
    ) -> Value:
        """A value: written, `= EXPR` (a number at least `least`), or `{by: FEATURE, ...}`."""
        if isinstance(node, Fields):
            return self.lookup(node, scope, lambda one: self.value(one, scope, kind, parse, least))
        if isinstance(node, Text) and node.value.startswith("="):
            nothing: Value = Constant(None)
            return self.parse(node, lambda text: _computed(text, scope, kind, least), nothing)
        return Constant(self.parse(node, parse, None))

    def lookup(self, node: Fields, scope: Scope, case: Callable[[Node], Value]) -> Value:
        """`{by: FEATURE, a: V, else: V}`."""
        cases = {key.value: value for key, value in node.pairs}
        by, otherwise = cases.pop("by", None), cases.pop("else", None)
        if by is None:
            self.error(node, "a value looked up is {by: FEATURE, a: VALUE, else: VALUE}")
            return Constant(None)
        if otherwise is None:
            self.error(node, "a value looked up needs `else`, for every other case")
            return Constant(None)
        read = self.parse(by, lambda text: by_feature(text, scope), None)
        values = {name: case(value) for name, value in cases.items()}
        rest = case(otherwise)
        return Constant(None) if read is None else Lookup(read, values, rest)


def _computed(text: str, scope: Scope, kind: str, least: float) -> Value:
    start = 1 + len(text[1:]) - len(text[1:].lstrip())
    try:
        read = expression(text[start:], scope)
    except BadText as bad:
        raise BadText(bad.message, bad.column + start) from None
    if kind != "any" and read.kind not in {kind, "any"}:
        raise BadText(f"a {kind} is needed here; `{read.source}` is a {read.kind}", start)
    return Computed(read, least)


def by_feature(text: str, scope: Scope) -> Expr:
    """What a look-up asks: one name, a text or yes or no."""
    read = expression(text, scope)
    if read.kind not in {"text", "flag"} or read.features | read.laid != {text}:
        raise BadText(f"`by` takes a feature that is a text or yes/no; `{text}` is a {read.kind}")
    return read
