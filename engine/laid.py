"""Names that an instance lays over the catalog: whether an awaited event arrived, and the like.

Must live here: where each such name is read from, in a table. Must not: the catalog's own features.
A rule lists the names that its expressions use (`Rule.laid`), so that the others cost nothing. To
add some: a function from the customer, the rule, its subject and its instance to values by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.fields import fields_of
from engine.journal import Instance, memory
from features.customer import Customer
from rules.book import Book
from rules.model import Rule

Layer = Callable[[Customer, Book, Rule, str, Instance | None], Mapping[str, Any]]


def over(
    customer: Customer, book: Book, rule: Rule, subject: str, instance: Instance | None
) -> dict[str, Any]:
    """The values of the names that this rule's expressions use."""
    found: dict[str, Any] = {}
    for layer in LAYERS:
        values = layer(customer, book, rule, subject, instance)
        found |= {name: value for name, value in values.items() if name in rule.laid}
    return found


def _arrived(
    _of: Customer, _book: Book, _rule: Rule, _about: str, it: Instance | None
) -> Mapping[str, Any]:
    return {"arrived": it is not None and it.arrived > 0}


def _fields(
    customer: Customer, _book: Book, rule: Rule, subject: str, _it: Instance | None
) -> Mapping[str, Any]:
    return fields_of(customer, rule.once_per, subject)


def _segments(
    customer: Customer, book: Book, rule: Rule, _about: str, _it: Instance | None
) -> Mapping[str, Any]:
    """Whether he is in a segment; of a tiered one in which tier, "" for none."""
    inside = memory(customer).journey.inside
    return {
        f"segment.{name}": inside.get(name, "") if one.tiered else name in inside
        for name, one in book.segments.items()
        if f"segment.{name}" in rule.laid
    }


LAYERS: Final[tuple[Layer, ...]] = (_arrived, _fields, _segments)
