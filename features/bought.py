"""Bought: 100 products he paid for, in how many orders each, and what he gave back.

Of more, those stay that count most: by orders, each half as much after 90 days. A product given
back counts one order less; one that none is left of stays listed as returned.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import DAY_MS, lines, newest, short
from features.vocabulary import PAID

PRODUCTS_MAX: Final = 100
HALF_LIFE_MS: Final = 90 * DAY_MS


class Bought(msgspec.Struct, array_like=True):
    """Product id -> [orders it was in and stayed with him, when last (ms)]."""

    products: dict[str, list[int]] = {}


def fold(bought: Bought, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """One order more for each of its products; one less for each that came back."""
    products, at = bought.products, event.at
    names = {short(line["product_id"]) for line in lines(event) if line.get("product_id")}
    if event.name not in PAID:
        for name in names & products.keys():
            products[name][0] = max(0, products[name][0] - 1)
        return
    for name in sorted(names):
        known = products.get(name)
        if known is None:
            products[name] = [1, at]
        else:
            known[0] += 1
            known[1] = max(known[1], at)
    _trim(bought)


def _trim(bought: Bought) -> None:
    products = bought.products
    if len(products) > PRODUCTS_MAX:
        now = max(last for _, last in products.values())
        weights = {
            name: max(times, 1) * 0.5 ** ((now - last) / HALF_LIFE_MS)
            for name, (times, last) in products.items()
        }
        kept = sorted(products, key=lambda name: (-weights[name], name))[:PRODUCTS_MAX]
        bought.products = {name: products[name] for name in sorted(kept)}


def merge(mine: Bought, theirs: Bought) -> Bought:
    """What either bought."""
    united = Bought({name: list(known) for name, known in mine.products.items()})
    for name, (times, last) in theirs.products.items():
        known = united.products.setdefault(name, [0, 0])
        known[0] += times
        known[1] = max(known[1], last)
    _trim(united)
    return united


def kept(bought: Bought, now: int) -> list[str] | None:  # noqa: ARG001 - a reader's shape
    """Product ids, the one bought last first; None for none."""
    found = ((name, last) for name, (times, last) in bought.products.items() if times)
    return newest(found, PRODUCTS_MAX) or None


def returned(bought: Bought, now: int) -> list[str] | None:  # noqa: ARG001 - a reader's shape
    """Product ids of which he kept none; None for none."""
    found = ((name, last) for name, (times, last) in bought.products.items() if not times)
    return newest(found, PRODUCTS_MAX) or None


FACET: Final = Facet(
    name="bought",
    version=1,
    state=Bought,
    doc="100 products he paid for, in how many orders each, and what he gave back.",
    events=PAID | {"Order Refunded"},
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="bought.products",
            type="list",
            unit="product ids",
            doc="Up to 100 products he bought and kept, the last first; missing for none.",
            read=kept,
        ),
        Feature(
            name="bought.returned",
            type="list",
            unit="product ids",
            doc="Products he bought and gave back, the last first; missing for none.",
            read=returned,
        ),
    ),
)
