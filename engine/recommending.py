"""Products for a customer, out of what his own facets hold; no model chooses yet.

Must live here: the kinds, in a table. Must not: learning, what the shop sells. To add a kind: a
function from a customer and a time to products or categories, the best first; its name in KINDS
and in the language's list (rules/actions_people.py).
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from features import catalog
from features.customer import Customer

Found = Iterable[dict[str, Any]]


def recommended(customer: Customer, kind: str, many: int, now: int) -> list[dict[str, Any]]:
    """Up to so many, each once; nothing when he is not known well enough."""
    found: dict[str, dict[str, Any]] = {}
    for item in KINDS[kind](customer, now):
        found.setdefault(str(item), item)
    return list(found.values())[:many]


def _listed(feature: str, name: str = "product_id") -> Callable[[Customer, int], Found]:
    def read(customer: Customer, now: int) -> Found:
        return [{name: one} for one in catalog.value(customer, feature, now) or ()]

    return read


_CART: Final = _listed("cart.products")
_FAVOURITES: Final = _listed("favourites.products")
_VIEWED: Final = _listed("products.recent")


def _for_you(customer: Customer, now: int) -> Found:
    """What he wants most: in his cart, on his list, looked at last."""
    return [one for kind in (_CART, _FAVOURITES, _VIEWED) for one in kind(customer, now)]


KINDS: Final[dict[str, Callable[[Customer, int], Found]]] = {
    "for_you": _for_you,
    "viewed": _VIEWED,
    "recent": _VIEWED,
    "cart": _CART,
    "favourites": _FAVOURITES,
    "category": _listed("affinity.categories", "category"),
}
