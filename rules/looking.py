"""Values that stand where a written one is usual: `= EXPR`, `{by: FEATURE, ...}`; and dates.

Must live here: how the readers of triggers, steps and actions take them. Must not: what for.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from rules.document import Fields, Node, Text
from rules.errors import BadText, near, one_of
from rules.expressions import expression
from rules.model import DateFeature
from rules.reading import Reader
from rules.scope import Scope
from rules.subjects import ALL_FIELDS, MOMENT
from rules.values import Computed, Days, Value, moment

T = TypeVar("T")
YEARLY: Final = "month x 100 + day"  # the unit of a day of every year, such as a birthday


def is_looked(node: Node) -> bool:
    """Whether a value is computed or looked up."""
    if isinstance(node, Fields):
        return any(key.value == "by" for key, _ in node.pairs)
    return isinstance(node, Text) and node.value.startswith("=")


def duration_value(
    reader: Reader, node: Node, scope: Scope, parse: Callable[[str], object]
) -> Value:
    """A duration in ms: written, looked up, or computed in days."""
    if isinstance(node, Fields):
        return reader.lookup(node, scope, lambda one: duration_value(reader, one, scope, parse))
    found = reader.value(node, scope, "number", parse)
    return Days(found) if isinstance(found, Computed) else found


class Looked:
    """Collects an action's or a wait's values that are looked up, by attribute."""

    def __init__(self, reader: Reader, scope: Scope, place: str) -> None:
        self.reader = reader
        self.scope = scope
        self.place = place
        self.values: dict[str, Value] = {}

    def take(
        self,
        found: Mapping[str, Node],
        key: str,
        parse: Callable[[str], T],
        otherwise: T,
        *,
        name: str = "",
        kind: str = "text",
    ) -> T:
        """A written value; one that is looked up is put aside as `name`, and `otherwise` stands."""
        if key not in found:
            return otherwise
        node = found[key]
        if not is_looked(node):
            return self.reader.parse(node, parse, otherwise)
        shown = f"{key}: a value that is looked up"
        if not self.reader.refused(node, f"{self.place}.looked", shown):
            self.values[name or key] = (
                duration_value(self.reader, node, self.scope, parse)
                if kind == "duration"
                else self.reader.value(node, self.scope, kind, parse)
            )
        return otherwise


def date_feature(reader: Reader, node: Node, scope: Scope) -> DateFeature | None:
    """A date of the customer or of the rule's subject, by its name."""
    return reader.parse(node, lambda text: _date(text, scope), None)


def date_or_moment(reader: Reader, node: Node, scope: Scope) -> int | DateFeature | None:
    """A written moment, or a date by its name."""

    def read(text: str) -> int | DateFeature:
        return moment(text, scope.zone) if text[:1].isdigit() else _date(text, scope)

    return reader.parse(node, read, None)


def dates(scope: Scope) -> list[str]:
    """The names in reach that are dates."""
    names = [*scope.features, *scope.laid_over]
    return sorted(name for name in names if _is_date(name, scope))


def _is_date(name: str, scope: Scope) -> bool:
    if name in scope.features:
        unit = scope.features[name].unit
        return unit in {YEARLY, MOMENT, "time"} or name.endswith("_at")
    return name in ALL_FIELDS and ALL_FIELDS[name].unit == MOMENT


def _date(text: str, scope: Scope) -> DateFeature:
    read = expression(text, scope)
    if not _is_date(text, scope):
        known = dates(scope)
        hint = near(text, known) or f": there are {one_of(known)}"
        raise BadText(f"`{text}` is not a date{hint}")
    yearly = text in scope.features and scope.features[text].unit == YEARLY
    subject = text.partition(".")[0] if text in ALL_FIELDS and text not in scope.features else ""
    return DateFeature(text, subject, yearly, read)
