"""Affinity: the categories and brands he is drawn to, the top 10 of each, by what he did lately.

A view weighs 1, a wish 2, an add 3, a purchase 5; half of it is left after 14 days. Weights are
kept as of one landmark and later events weigh more (forward decay, Cormode et al. 2009), so that
nothing is rewritten as time passes and a late event folds to what it would have been in time.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import HOUR_MS, short

KEPT_MAX: Final = 10
HALF_LIFE_HOURS: Final = 14 * 24
LEAD_MAX: Final = 32.0  # half-lives a landmark may lie behind before it moves up
WEIGHT_MIN: Final = 1e-9
WEIGHTS: Final = {
    "Product Viewed": 1.0,
    "Product Added to Wishlist": 2.0,
    "Product Added": 3.0,
    "Order Completed": 5.0,
    "Order Paid": 5.0,
}


class Affinity(msgspec.Struct, array_like=True):
    """Weights as of `landmark`, in hours since 1970."""

    landmark: int = 0
    categories: dict[str, float] = {}
    brands: dict[str, float] = {}


def fold(affinity: Affinity, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Add the event's weight to its category and brand, or to those of each of its lines."""
    lead = 0.0
    for product in event.properties.get("products") or (event.properties,):
        category, brand = product.get("category"), product.get("brand")
        if not category and not brand:
            continue
        if not lead:
            lead = _lead(affinity, event.at) * WEIGHTS[event.name]
            if lead < WEIGHT_MIN:
                return
        for weights, name in ((affinity.categories, category), (affinity.brands, brand)):
            if name in weights:
                weights[name] += lead
            elif name:
                _add(weights, name, lead)


def _lead(affinity: Affinity, at: int) -> float:
    """What one unit of weight at `at` is as of the landmark, which moves up if it is far behind."""
    hours = at / HOUR_MS
    if not affinity.landmark:
        affinity.landmark = int(hours)
    half_lives = (hours - affinity.landmark) / HALF_LIFE_HOURS
    if half_lives > LEAD_MAX:
        _move(affinity, int(hours))
        half_lives = 0.0
    return float(2.0**half_lives)


def _move(affinity: Affinity, landmark: int) -> None:
    factor = 2.0 ** ((affinity.landmark - landmark) / HALF_LIFE_HOURS)
    for weights in (affinity.categories, affinity.brands):
        for name in list(weights):
            weights[name] *= factor
            if weights[name] < WEIGHT_MIN:
                del weights[name]
    affinity.landmark = landmark


def _add(weights: dict[str, float], name: str, weight: float) -> None:
    """Add the weight; a newcomer takes the place of the lightest, else it could never grow."""
    name = short(name)
    if name in weights:
        weights[name] += weight
        return
    if len(weights) >= KEPT_MAX:
        del weights[min(weights, key=lambda other: (weights[other], other))]
    weights[name] = weight


def merge(mine: Affinity, theirs: Affinity) -> Affinity:
    """The weights of both, summed as of the later landmark; the top 10 stay."""
    landmark = max(mine.landmark, theirs.landmark)
    united = Affinity(landmark)
    for side in (mine, theirs):
        factor = 2.0 ** ((side.landmark - landmark) / HALF_LIFE_HOURS)
        for ours, weights in (
            (united.categories, side.categories),
            (united.brands, side.brands),
        ):
            for name, weight in weights.items():
                ours[name] = ours.get(name, 0.0) + weight * factor
    united.categories = _top(united.categories)
    united.brands = _top(united.brands)
    return united


def _top(weights: dict[str, float]) -> dict[str, float]:
    return {name: weights[name] for name in ranked(weights)[:KEPT_MAX]}


def ranked(weights: dict[str, float]) -> list[str]:
    """The names, the heaviest first, ties by name."""
    return sorted(weights, key=lambda name: (-weights[name], name))


def _share(weights: dict[str, float]) -> float:
    return max(weights.values()) / math.fsum(weights.values()) if weights else math.nan


def _first(weights: dict[str, float]) -> str | None:
    return min(weights, key=lambda name: (-weights[name], name)) if weights else None


FACET: Final = Facet(
    name="affinity",
    version=1,
    state=Affinity,
    doc="Categories and brands by views, wishes, adds and purchases; half is left after 14 days.",
    events=frozenset(WEIGHTS),
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="affinity.category",
            type="text",
            unit="category",
            doc="The category he is drawn to most; missing when none is known.",
            read=lambda s, _: _first(s.categories),
        ),
        Feature(
            name="affinity.categories",
            type="list",
            unit="categories",
            doc="Up to 10 categories, the strongest first.",
            read=lambda s, _: ranked(s.categories) or None,
        ),
        number(
            "affinity.category_share",
            "share of 1",
            "The strongest category's part of all category weight; missing when none is known.",
            lambda s, _: _share(s.categories),
        ),
        Feature(
            name="affinity.brand",
            type="text",
            unit="brand",
            doc="The brand he is drawn to most; missing when none is known.",
            read=lambda s, _: _first(s.brands),
        ),
        Feature(
            name="affinity.brands",
            type="list",
            unit="brands",
            doc="Up to 10 brands, the strongest first.",
            read=lambda s, _: ranked(s.brands) or None,
        ),
        number(
            "affinity.brand_share",
            "share of 1",
            "The strongest brand's part of all brand weight; missing when none is known.",
            lambda s, _: _share(s.brands),
        ),
    ),
)
