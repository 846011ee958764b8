"""Names that an instance lays over the catalog: whether an awaited event arrived, and the like.

Must live here: where each such name is read from, in a table. Must not: the catalog's own features.
A rule lists the names that its expressions use (`Rule.laid`), so that the others cost nothing. To
add some: a function from the customer, the rule, its subject and its instance to values by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.effects import Moment
from engine.fields import fields_of
from engine.hearing import laid
from engine.journal import Instance, memory
from engine.scores import scores_read
from features.customer import Customer
from rules.model import Rule

Layer = Callable[[Customer, Moment, Rule, str, Instance | None], Mapping[str, Any]]


def over(
    customer: Customer, moment: Moment, rule: Rule, subject: str, instance: Instance | None
) -> dict[str, Any]:
    """The values of the names that this rule's expressions use."""
    found: dict[str, Any] = {}
    for layer in LAYERS:
        values = layer(customer, moment, rule, subject, instance)
        found |= {name: value for name, value in values.items() if name in rule.laid}
    return found


def _arrived(
    _of: Customer, _moment: Moment, _rule: Rule, _about: str, it: Instance | None
) -> Mapping[str, Any]:
    return {"arrived": it is not None and it.arrived > 0}


def _fields(
    customer: Customer, _moment: Moment, rule: Rule, subject: str, _it: Instance | None
) -> Mapping[str, Any]:
    return fields_of(customer, rule.once_per, subject)


def _heard(
    _of: Customer, _moment: Moment, _rule: Rule, _about: str, it: Instance | None
) -> Mapping[str, Any]:
    return laid(it.heard) if it is not None else {}


def _segments(
    customer: Customer, moment: Moment, rule: Rule, _about: str, _it: Instance | None
) -> Mapping[str, Any]:
    """Whether he is in a segment; of a tiered one in which tier, "" for none."""
    inside = memory(customer).journey.inside
    return {
        one.said: inside.get(name, "") if one.tiered else name in inside
        for name, one in moment.book.segments.items()
        if one.said in rule.laid
    }


def _scores(
    customer: Customer, moment: Moment, rule: Rule, _about: str, _it: Instance | None
) -> Mapping[str, Any]:
    return scores_read(rule.laid, customer, moment)


def _digest(
    customer: Customer, _moment: Moment, rule: Rule, subject: str, it: Instance | None
) -> Mapping[str, Any]:
    """Whom a digest's decision speaks for: how many, and their subjects."""
    if rule.digest is None or it is None:
        return {}
    others = [one.subject for one in memory(customer).journey.mates(it)]
    return {"digest.count": 1.0 + len(others), "digest.subjects": [subject, *others]}


LAYERS: Final[tuple[Layer, ...]] = (_arrived, _fields, _heard, _segments, _scores, _digest)
