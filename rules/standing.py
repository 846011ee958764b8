"""What of a customer's standing an event or time may change: his segments, the levels he crossed.

Must live here: which events touch what a condition reads, what changes by time alone, and the
version of it all. Must not: a customer (the engine keeps who is where).
"""

import dis
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from features.catalog import FACETS, FEATURES, REGISTRY
from rules.expressions import Expr
from rules.model import CrossesTrigger, Rule, Segment
from rules.reads import expressions


def read_by(thing: Segment | Rule) -> tuple[Expr, ...]:
    """The expressions that a segment, or a crossing's number and levels, are read by."""
    if isinstance(thing, Segment):
        return tuple(expressions(thing))
    trigger = thing.trigger
    if not isinstance(trigger, CrossesTrigger):
        return ()
    return (trigger.read, *expressions((trigger.level, trigger.back)))


def touched(thing: Segment | Rule, names: Iterable[str]) -> bool:
    """Whether an event of these names may change it; what no event is known to change, any may."""
    folded = {facet for name in names for facet, _ in REGISTRY.folds(name)}
    return any(
        one.laid or any(_unheard(name) or _facet(name) in folded for name in one.features)
        for one in read_by(thing)
    )


def ages(thing: Segment | Rule) -> bool:
    """Whether time alone may change it."""
    return any(
        one.laid or any(_unheard(name) or _ages(name) for name in one.features)
        for one in read_by(thing)
    )


def version(
    segments: Mapping[str, Segment], crossing: Iterable[Rule], sources: Mapping[str, str], zone: str
) -> str:
    """Changes when any of it does; "" when there is none."""
    parts = [f"{name}\0{sources.get(one.file, '')}" for name, one in sorted(segments.items())]
    parts += [f"{rule.name}\0{sources.get(rule.file, '')}" for rule in crossing]
    return sha256("\0".join([zone, *parts]).encode()).hexdigest()[:12] if parts else ""


def _facet(feature: str) -> str:
    return FEATURES[feature].facet


def _unheard(feature: str) -> bool:
    """Whether its facet is changed by something else than events, such as decisions."""
    return FACETS[_facet(feature)].events == frozenset()


@cache
def _ages(feature: str) -> bool:
    """Whether its reader looks at the time it is handed."""
    read: Any = FEATURES[feature].read
    code = getattr(read, "func", read).__code__
    now = code.co_varnames[1]
    return any(
        step.argval == now for step in dis.get_instructions(code) if step.opname.startswith("LOAD")
    )
