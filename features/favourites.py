"""Favourites: the last 30 products on the wish list, and since when."""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import days, newest, short

PRODUCTS_MAX: Final = 30


class Favourites(msgspec.Struct, array_like=True):
    """Product id -> when it was put on the list, ms."""

    products: dict[str, int] = {}


def fold(favourites: Favourites, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Put on or take off; taking off what was put on later is late and does nothing."""
    product_id = event.properties.get("product_id")
    if not product_id:
        return
    product_id = short(product_id)
    since = favourites.products.get(product_id, 0)
    if event.name == "Product Added to Wishlist":
        favourites.products[product_id] = max(since, event.at)
        _trim(favourites)
    elif since and event.at >= since:
        del favourites.products[product_id]


def _trim(favourites: Favourites) -> None:
    if len(favourites.products) > PRODUCTS_MAX:
        kept = newest(favourites.products.items(), PRODUCTS_MAX)
        favourites.products = {name: favourites.products[name] for name in kept}


def merge(mine: Favourites, theirs: Favourites) -> Favourites:
    """What either likes."""
    united = Favourites(dict(mine.products))
    for name, since in theirs.products.items():
        united.products[name] = max(since, united.products.get(name, 0))
    _trim(united)
    return united


FACET: Final = Facet(
    name="favourites",
    version=1,
    state=Favourites,
    doc="The wish list, its last 30 products.",
    events=frozenset({"Product Added to Wishlist", "Product Removed from Wishlist"}),
    fold=fold,
    merge=merge,
    features=(
        number(
            "favourites.count",
            "products",
            "Products on the wish list, counted as far as 30.",
            lambda s, _: len(s.products),
        ),
        Feature(
            name="favourites.products",
            type="list",
            unit="product ids",
            doc="The wish list, what was put on it last first; missing when empty.",
            read=lambda s, _: newest(s.products.items(), PRODUCTS_MAX) or None,
        ),
        number(
            "favourites.days_since_last",
            "days",
            "Since the last product on the list was put there; missing when empty.",
            lambda s, now: days(max(s.products.values(), default=0), now),
        ),
    ),
)
