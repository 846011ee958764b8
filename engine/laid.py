"""Names that an instance lays over the catalog: whether an awaited event arrived, and the like.

Must live here: where each such name is read from, in a table. Must not: the catalog's own features.
A rule lists the names that its expressions use (`Rule.laid`), so that the others cost nothing. To
add some: a function from the turn, the rule, its subject and its instance to values by name.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.journal import Instance
from rules.model import Rule

if TYPE_CHECKING:
    from engine.turn import Turn

Layer = Callable[["Turn", Rule, str, Instance | None], Mapping[str, Any]]


def over(turn: "Turn", rule: Rule, subject: str, instance: Instance | None) -> dict[str, Any]:
    """The values of the names that this rule's expressions use; an example's own go before them."""
    found: dict[str, Any] = {}
    for layer in LAYERS:
        found |= {
            name: value
            for name, value in layer(turn, rule, subject, instance).items()
            if name in rule.laid
        }
    return found | dict(turn.moment.presets)


def _arrived(_turn: "Turn", _rule: Rule, _subject: str, it: Instance | None) -> Mapping[str, Any]:
    return {"arrived": it is not None and it.arrived > 0}


LAYERS: Final[tuple[Layer, ...]] = (_arrived,)
