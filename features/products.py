"""Products: the 20 he looked at last, each with the times of its last 5 views within a day."""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import DAY_MS, newest, short

PRODUCTS_MAX: Final = 20
TIMES_MAX: Final = 5


class Products(msgspec.Struct, array_like=True):
    """Product id -> times of views in ms, the latest last."""

    viewed: dict[str, list[int]] = {}
    told: int = 0  # views up to then (ms) left as a visit's example; the engine writes it


def fold(products: Products, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Note the view; the product not looked at for longest makes room."""
    product_id = event.properties.get("product_id")
    if not product_id:
        return
    viewed = products.viewed
    if product_id not in viewed:
        product_id = short(product_id)
    times = viewed.get(product_id)
    if times is None:
        viewed[product_id] = [event.at]
        if len(viewed) > PRODUCTS_MAX:
            del viewed[min(viewed, key=lambda name: (viewed[name][-1], name))]
    else:
        times.append(event.at)
        _trim(times)


def _trim(times: list[int]) -> None:
    """In order, at most 5, none older than a day before the latest."""
    times.sort()
    since = times[-1] - DAY_MS
    del times[:-TIMES_MAX]
    while times[0] < since:
        del times[0]


def merge(mine: Products, theirs: Products) -> Products:
    """The views of both."""
    viewed: dict[str, list[int]] = {}
    for side in (mine, theirs):
        for name, times in side.viewed.items():
            viewed.setdefault(name, []).extend(times)
    for times in viewed.values():
        _trim(times)
    kept = newest(((name, times[-1]) for name, times in viewed.items()), PRODUCTS_MAX)
    return Products({name: viewed[name] for name in reversed(kept)}, max(mine.told, theirs.told))


def recent(products: Products, now: int) -> list[str] | None:  # noqa: ARG001 - a reader's shape
    """Product ids, the latest view first; None before the first."""
    return newest(((n, t[-1]) for n, t in products.viewed.items()), PRODUCTS_MAX) or None


def last(products: Products, now: int) -> str | None:
    """The product viewed last."""
    found = recent(products, now)
    return found[0] if found else None


def distinct_24h(products: Products, now: int) -> int:
    """Different products viewed in the last 24 hours, as far as 20."""
    return sum(now - DAY_MS < times[-1] <= now for times in products.viewed.values())


def most_views_24h(products: Products, now: int) -> int:
    """Views in 24 hours of the product viewed most."""
    since, most = now - DAY_MS, 0
    for times in products.viewed.values():
        if len(times) > most and times[-1] > since:
            most = max(most, len([at for at in times if since < at <= now]))
    return most


FACET: Final = Facet(
    name="products",
    version=1,
    state=Products,
    doc="The 20 products viewed last, and how often each was viewed in a day.",
    events=frozenset({"Product Viewed"}),
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="products.last",
            type="text",
            unit="product id",
            doc="The product viewed last; missing before the first view.",
            read=last,
        ),
        Feature(
            name="products.recent",
            type="list",
            unit="product ids",
            doc="Up to 20 products, the one viewed last first.",
            read=recent,
        ),
        number(
            "products.distinct_24h",
            "products",
            "Different products viewed in the last 24 hours, counted as far as 20.",
            distinct_24h,
        ),
        number(
            "products.most_views_24h",
            "views",
            "Views of the product he viewed most in 24 hours, counted as far as 5.",
            most_views_24h,
        ),
    ),
)
