"""How the columns of a file of record become events: one small YAML file a kind of data.

Must live here: the schema of mappings/*.yaml, its checks, the choice by a file's header. Must not:
reading the data (rows.py), making events (happened.py).

    MappingError   what is wrong, where in which file, and what was allowed
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from rules.document import Fields, Items, Node, Text, documents
from rules.errors import RuleError, near

SHIPPED = Path(__file__).parent / "mappings"
UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class MappingError(ValueError):
    """This mapping, or this mapping with this file, cannot be used."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value: of a column, or the same for all, or made of the row's number."""

    column: str = ""
    value: str = ""
    row: str = ""  # this text, then the number of the row
    kind: Literal["text", "number", "absolute"] = msgspec.field(name="as", default="text")
    only: tuple[str, ...] = ()  # the events that have it; none named: all


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of the time; `format` is iso, s, ms or strptime's; `zone` where it has none."""

    column: str
    format: str = "iso"
    zone: str = "UTC"


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event's name: a column's values by `names`, or `always` the same one."""

    column: str = ""
    names: dict[str, str] = {}
    always: str = ""


class Id(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column of an id, written after `prefix`."""

    column: str
    prefix: str = ""


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of a group as a list; rows beyond `most` and not `where` are counted, not listed."""

    fields: dict[str, str | Field]
    property: str = "products"
    where: dict[str, str] = {}
    most: int = 500


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of one event and one value of `by`, at most `within` apart from the first, are one."""

    by: str
    within: str = "10m"
    sums: dict[str, list[str]] = {}  # property: columns multiplied row by row, summed, no sign
    lines: Lines | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping."""

    mapping: str  # its name
    title: str
    time: When
    event: Name
    step: str
    user: Id | None = None
    anonymous: Id | None = None  # who it was when the user's column is blank
    where: dict[str, str] = {}  # column: value; other rows are left out
    properties: dict[str, str | Field] = {}
    group: Group | None = None
    channel: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """Every column that is read."""
        ids = (part.column for part in (self.time, self.event, self.user, self.anonymous) if part)
        fields = list(self.properties.values())
        found = {*ids, *self.where}
        if group := self.group:
            found |= {group.by, *(column for factors in group.sums.values() for column in factors)}
            if group.lines:
                found |= set(group.lines.where)
                fields += group.lines.fields.values()
        found |= {field if isinstance(field, str) else field.column for field in fields}
        return frozenset(found - {""})

    @property
    def step_ms(self) -> int:
        """The step of record time."""
        return span(self.step)


def span(text: str) -> int:
    """A length of time in ms.

    >>> span("10m")
    600000
    """
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or int(number) < 1 or unit not in UNITS:
        raise MappingError(f"{text!r}: expected a whole number and one of {', '.join(UNITS)}")
    return int(number) * UNITS[unit]


def load(path: Path) -> Mapping:
    """The mapping in a YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from None
    errors: list[RuleError] = []
    roots = documents(text, str(path), errors)
    if errors or len(roots) != 1:
        told = "\n".join(map(str, errors)) or f"{path}: expected one mapping, found {len(roots)}"
        raise MappingError(told)
    try:
        mapping = msgspec.convert(_plain(roots[0]), Mapping, strict=False)
        _check(mapping)
    except msgspec.ValidationError as error:
        raise MappingError(_told(path, roots[0], str(error))) from None
    except MappingError as error:
        raise MappingError(f"{path}: {error}") from None
    return mapping


def shipped() -> list[Mapping]:
    """The mappings that come with the project."""
    return [load(path) for path in sorted(SHIPPED.glob("*.yaml"))]


def choose(header: Sequence[str], named: str | Path | None = None) -> Mapping:
    """The mapping `named` (a shipped name or a file), else the one that knows this header best."""
    known = {mapping.mapping: mapping for mapping in shipped()}
    if named is not None:
        mapping = known.get(str(named)) or load(_file(named, known))
        if missing := sorted(mapping.columns - set(header)):
            raise MappingError(
                f"mapping {mapping.mapping}: the file has no column {', '.join(missing)}; "
                f"it has {', '.join(header)}"
            )
        return mapping
    fits = [mapping for mapping in known.values() if mapping.columns <= set(header)]
    best = sorted(fits, key=lambda mapping: -len(mapping.columns))
    if not best or (len(best) > 1 and len(best[0].columns) == len(best[1].columns)):
        raise MappingError(
            f"no mapping of {', '.join(known)} fits the columns {', '.join(header)}: "
            "name one with --mapping, or write one (simulator/README.md)"
        )
    return best[0]


def reader_of_time(when: When) -> Callable[[str], int | None]:
    """What turns the time column's text into ms UTC, None where it cannot."""
    zone: tzinfo = UTC if when.zone == "UTC" else ZoneInfo(when.zone)

    @lru_cache(maxsize=4_096)
    def read(text: str) -> int | None:
        try:
            if when.format in {"s", "ms"}:
                return round(float(text) * (1_000 if when.format == "s" else 1))
            if when.format == "iso":
                moment = datetime.fromisoformat(text)
            else:
                moment = datetime.strptime(text, when.format)  # noqa: DTZ007 - the zone follows
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
            return round(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            return None

    return read


def _file(named: str | Path, known: dict[str, Mapping]) -> Path:
    path = Path(named)
    if not path.is_file():
        raise MappingError(f"no mapping {named}: there is no such file, and shipped are "
                           f"{', '.join(known)}")  # fmt: skip
    return path


def _check(mapping: Mapping) -> None:
    """What types alone do not say."""
    if bool(mapping.event.column) == bool(mapping.event.always):
        raise MappingError("event: exactly one of column and always")
    if mapping.event.column and not mapping.event.names:
        raise MappingError(f"event.names: what the values of {mapping.event.column} are called")
    if mapping.user is None and mapping.anonymous is None:
        raise MappingError("user, anonymous: at least one of them")
    span(mapping.step)
    if mapping.group:
        span(mapping.group.within)
    try:
        ZoneInfo(mapping.time.zone)
    except (ValueError, OSError, LookupError):
        told = "expected a name such as Europe/London or Asia/Shanghai"
        raise MappingError(f"time.zone {mapping.time.zone!r}: {told}") from None


def _plain(node: Node) -> object:
    """The tree as msgspec reads it; every scalar is text until the schema types it."""
    if isinstance(node, Fields):
        return {key.value: _plain(value) for key, value in node.pairs}
    if isinstance(node, Items):
        return [_plain(item) for item in node.items]
    return node.value if isinstance(node, Text) else None


_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "": Mapping, "time": When, "event": Name, "user": Id, "anonymous": Id, "group": Group,
    "lines": Lines,
}  # fmt: skip


def _told(path: Path, root: Node, message: str) -> str:
    """Msgspec's complaint with its line and column, and the keys that are allowed there."""
    what, _, place = message.partition(" - at ")
    steps = re.findall(r"\w+", place)
    node = root
    for step in steps:
        pairs = node.pairs if isinstance(node, Fields) else []
        node = next((value for key, value in pairs if key.value == step), node)
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        struct = _STRUCTS.get(steps[-1] if steps else "", Field)
        allowed = [field.encode_name for field in msgspec.structs.fields(struct)]
        pairs = node.pairs if isinstance(node, Fields) else []
        node = next((key for key, _ in pairs if key.value == unknown[1]), node)
        what = f"`{unknown[1]}` is not a key here{near(unknown[1], allowed)}"
        what += f"; allowed are {', '.join(allowed)}"
    return f"{path}:{node.line}:{node.column}: {what}"
