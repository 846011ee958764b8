"""The one list of facets, features and event properties, and the fold over all of them.

Must live here: what is found by walking this folder; nothing is listed by hand. Must not: IO.
The rule language, the models, the API, the docs and the columns all come from this list.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

import features
from features.customer import Customer, Registry
from features.events import Event
from features.facet import Emit, Facet, Feature
from features.orders import ONCE, is_repeat
from features.vocabulary import EXPRESSION_TYPES, PROPERTY_KINDS


def _walk() -> dict[str, Facet[Any]]:
    found: dict[str, Facet[Any]] = {}
    for module in sorted(iter_modules(features.__path__), key=lambda module: module.name):
        if module.ispkg or module.name == "catalog":
            continue
        facet = getattr(import_module(f"features.{module.name}"), "FACET", None)
        if isinstance(facet, Facet):
            found[facet.name] = facet
    return found


FACETS: Final[dict[str, Facet[Any]]] = _walk()
REGISTRY: Final = Registry(FACETS)
FEATURES: Final[dict[str, Feature]] = REGISTRY.features

# What an expression sees of an event: "event.total" is a number; any other name may be anything.
EVENT_PROPERTIES: Final[dict[str, str]] = {
    f"event.{name}": EXPRESSION_TYPES[kind] for name, kind in PROPERTY_KINDS.items()
}
ANY_EVENT: Final = ""  # the name of no event: heard by those who hear all


def apply(customer: Customer, event: Event, emit: Emit) -> None:
    """Fold one event into the facets that hear it; only those are decoded.

    A repeated paid, refund or cancel is no fact: it is folded as an event without a name of
    its own, so that neither cart nor windows count it twice.
    """
    name = event.name
    if name in ONCE and is_repeat(customer.state("orders"), event):
        name = ANY_EVENT
    customer.dirty = True
    states = customer.states
    known = states.get  # `[]` of a subclass of dict is a call
    for facet, fold in customer.registry.folds(name):
        fold(known(facet) or states[facet], event, emit)


def merge(mine: Customer, theirs: Customer) -> Customer:
    """Unite two customers in `mine`, the known user; `theirs` stays as it was."""
    known = mine.registry.facets
    for name in sorted(theirs.names()):
        if name in known:
            mine.put(name, known[name].merge(mine.state(name), theirs.state(name)))
        else:
            mine.carry(theirs, name)
    return mine


def value(customer: Customer, feature_name: str, now: int) -> Any:
    """The feature of the customer at `now` (ms); a missing number is nan, other values None."""
    feature = customer.registry.features[feature_name]
    return feature.read(customer.state(feature.facet), now)
