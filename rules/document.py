"""The only YAML reader: a file's text as a tree of TEXT with lines and columns.

Law: YAML never types anything. Every scalar is its text (007, 1e3, off and 2026-11-11 too), keys
are texts, and what YAML can do besides (anchors, tags, merges, directives) is refused with its
place. Bounded in size and depth. Must not live here: what a key means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from rules.errors import FULL_WIDTH, RuleError, full_width

yaml: Any = import_module("yaml")  # libyaml's parser, 25 times as fast as those in Python; untyped
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BEGINNINGS: Final = (
    *(yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.AliasEvent),
)

FILE_MAX: Final = 200_000
DEPTH_MAX: Final = 20
NODES_MAX: Final = 20_000
DOCUMENTS_MAX: Final = 500
ERRORS_MAX: Final = 100  # told of one document, each at its place; then it is not read on
SHOWN_MAX: Final = 40
_BREAK = re.compile(r"---(?=\s|$)")
_LOST = re.compile(r"\s+(#\S.*)")
_PLAIN_START = re.compile(r"[%@`&*!|>]")


@dataclass(slots=True)
class Node:
    """Something at a place; line and column count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Text(Node):
    """A scalar; `exact` when the columns of `value` are those of the file, from `inner` on."""

    value: str = ""
    quoted: bool = False
    exact: bool = True
    inner: int = 0


@dataclass(slots=True)
class Items(Node):
    """A sequence."""

    items: list[Node] = field(default_factory=list)
    flow: bool = False


@dataclass(slots=True)
class Fields(Node):
    """A mapping: (key, value) in the order written, repeated keys left out."""

    pairs: list[tuple[Text, Node]] = field(default_factory=list)
    flow: bool = False


def plain(node: Node) -> object:
    """What is written, without its places and its form."""
    if isinstance(node, Fields):
        pairs = sorted(node.pairs, key=lambda pair: pair[0].value)
        return [(key.value, plain(value)) for key, value in pairs]
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Text) else None


class Refused(Exception):  # noqa: N818 - it carries a RuleError, it is none
    """A document that cannot be read on; `error` says where."""

    def __init__(self, error: RuleError) -> None:
        super().__init__(str(error))
        self.error = error


def documents(text: str, file: str, errors: list[RuleError]) -> list[Node]:
    """The documents of a file. What is wrong goes to `errors`; a broken document is left out."""
    if len(text) > FILE_MAX:
        errors.append(RuleError(file, 0, 0, f"{len(text)} characters: at most {FILE_MAX}"))
        return []
    found: list[Node] = []
    for number, (first_line, part) in enumerate(_parts(text.removeprefix("\ufeff"))):
        if number == DOCUMENTS_MAX:
            message = f"too many documents in one file: at most {DOCUMENTS_MAX}"
            errors.append(RuleError(file, first_line, 1, message))
            return []
        if not _indented_by_spaces(part, first_line, file, errors):
            continue
        try:
            root = _Reader(part, file, first_line, errors).document()
        except Refused as refused:
            errors.append(refused.error)
            continue
        if root is not None:
            found.append(root)
    return found


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The documents' texts with the line each begins on: a broken one does not hide the next."""
    start = 0
    lines = re.split(r"\r\n|\r|\n", text)
    for number, line in enumerate([*lines, "---"]):
        if _BREAK.match(line):
            yield start + 1, "\n".join(lines[start:number]) + "\n"
            if number < len(lines):
                lines[number] = "   " + line[3:]
            start = number


def _indented_by_spaces(part: str, first_line: int, file: str, errors: list[RuleError]) -> bool:
    before = len(errors)
    for number, line in enumerate(part.split("\n"), start=first_line):
        indent = line[: len(line) - len(line.lstrip())]
        for sign, name in (("\t", "a tab"), ("\u3000", "a full-width space")):
            if sign in indent and line.strip():
                message = f"{name} in the indentation: use spaces, two a level"
                errors.append(RuleError(file, number, indent.index(sign) + 1, message))
    return len(errors) == before


class _Reader:
    """Builds the tree of one document from the parser's events."""

    def __init__(self, part: str, file: str, first_line: int, errors: list[RuleError]) -> None:
        self.text = part
        self.file = file
        self.first_line = first_line
        self.errors = errors
        self.errors_before = len(errors)
        self.lines = part.split("\n")
        self.nodes = 0
        self.events = self._events()

    def _events(self) -> Iterator[Any]:
        """The parser's events; its complaint in words that help."""
        try:
            yield from yaml.parse(self.text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            unended = "could not find expected ':'" in str(error.problem)
            mark = error.context_mark if unended else error.problem_mark or error.context_mark
            line, column = (mark.line, mark.column) if mark else (0, 0)
            raise Refused(self._at(line, column, self._complaint(error, line))) from None
        except (yaml.YAMLError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise Refused(self._at(0, 0, f"this cannot be read as YAML: {reason}")) from None

    def _at(self, line: int, column: int, message: str) -> RuleError:
        return RuleError(self.file, self.first_line + line, column + 1, message)

    def _complaint(self, error: Any, line: int) -> str:
        problem = " ".join(str(error.problem or error.context or "").split())
        message = f"this cannot be read as YAML: {problem[:200]}"
        near = self.lines[max(line - 1, 0) : line + 1]
        for shown in reversed(near):
            sign = next((s for s in _bare(shown) if s in FULL_WIDTH), "")
            if sign:
                return f"{message}; {full_width(sign)}"
        here = self.lines[line] if line < len(self.lines) else ""
        _, _, value = here.partition(":")
        value = value.strip()
        if "\t" in here:
            return f"{message}; write spaces instead of the tab"
        if _PLAIN_START.match(value):
            return f"{message}; a text that begins with `{value[0]}` is written in quotes"
        if value[:1] in {'"', "'"}:
            return f"{message}; a value with quotes inside is quoted as a whole: '...'"
        if ": " in value and value[:1] not in {"{", "["}:
            return f"{message}; a text with `: ` inside is written in quotes"
        return message

    def document(self) -> Node | None:
        """The root, None of an empty document."""
        root: Node | None = None
        for event in self.events:
            if isinstance(event, BEGINNINGS):
                found = self.node(event, 1)
                empty = isinstance(found, Text) and not found.value and not found.quoted
                root = None if empty else found
            elif getattr(event, "version", None) or getattr(event, "tags", None):
                mark = event.start_mark
                raise Refused(self._at(mark.line, mark.column, "a %-directive is not allowed here"))
        return root

    def node(self, event: Any, depth: int) -> Node:
        """The node that begins with an event."""
        self.nodes += 1
        mark = event.start_mark
        line, column = mark.line, mark.column
        if depth > DEPTH_MAX or self.nodes > NODES_MAX:
            limit = f"nested deeper than {DEPTH_MAX}" if depth > DEPTH_MAX else "too long a file"
            raise Refused(self._at(line, column, limit))
        if len(self.errors) - self.errors_before >= ERRORS_MAX:
            raise Refused(self._at(line, column, f"over {ERRORS_MAX} errors: the rest is not read"))
        self._plain(event, line, column)
        place = (self.first_line + line, column + 1)
        if isinstance(event, yaml.MappingStartEvent):
            return self._fields(Fields(*place, flow=bool(event.flow_style)), depth)
        if isinstance(event, yaml.SequenceStartEvent):
            items = Items(*place, flow=bool(event.flow_style))
            for inner in self.events:
                if isinstance(inner, yaml.SequenceEndEvent):
                    break
                items.items.append(self.node(inner, depth + 1))
            return items
        if isinstance(event, yaml.AliasEvent):
            return Text(*place, value="", exact=False)
        return self._text(event, Text(*place))

    def _text(self, event: Any, text: Text) -> Text:
        start, end = event.start_mark, event.end_mark
        text.value = event.value
        text.quoted = bool(event.style)
        text.inner = 1 if event.style in {'"', "'"} else 0
        width = len(event.value) + 2 * text.inner
        text.exact = start.line == end.line and end.column - start.column == width
        if not text.quoted and end.line < len(self.lines):
            lost = _LOST.match(self.lines[end.line], end.column)
            if lost and event.value:
                self.errors.append(
                    self._at(
                        end.line,
                        lost.start(1),
                        f"`{lost[1][:20]}` is a comment and would be lost: quote the whole text, "
                        "or put a space after # if it is a comment",
                    )
                )
        return text

    def _plain(self, event: Any, line: int, column: int) -> None:
        """Refuse anchors, aliases and tags, and go on."""
        tag = getattr(event, "tag", None)
        anchor = getattr(event, "anchor", None)
        if tag:
            self.errors.append(
                self._at(
                    line,
                    column,
                    f"`{_cut(tag)}` is a YAML tag, which is not allowed: write `not` for no in a "
                    "condition, or quote the text",
                )
            )
        if anchor:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            what = "alias" if sign == "*" else "anchor"
            self.errors.append(
                self._at(
                    line,
                    column,
                    f"`{sign}{_cut(anchor)}` is a YAML {what}, which is not allowed: write the "
                    "value out, or quote the text",
                )
            )

    def _fields(self, fields: Fields, depth: int) -> Fields:
        seen: dict[str, int] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(key, Text):
                self.errors.append(
                    RuleError(self.file, key.line, key.column, "a key is a plain word here")
                )
            elif key.value in seen:
                message = f"`{_cut(key.value)}` is here twice: first in line {seen[key.value]}"
                self.errors.append(RuleError(self.file, key.line, key.column, message))
            else:
                seen[key.value] = key.line
                fields.pairs.append((key, value))
        return fields


def _cut(shown: object) -> str:
    """What is quoted in a message, which a person has to read."""
    text = str(shown)
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 3]}..."


def _bare(line: str) -> str:
    """A line without its quoted texts and its comment."""
    return re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|\s#.*", "", line)
