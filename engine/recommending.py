"""Products for a customer: what the model says of his tastes; without one, what he himself showed.

Must live here: the kinds, in a table, and what they go by. Must not: learning, the tables
(features/models/recommend). To add a kind: a function from an Asked to products or categories, the
best first; its name in KINDS and in the language's list (rules/actions_people.py).

    for_you   what is worth most to him; then what is trending, in what he likes first
    similar   in place of the product at hand: the page's, or the rule's subject; else of what lies
              in his cart, what he looked at last, his last order
    together  with it
    trending  what is wanted most now, in what he likes first
    category  the categories he is drawn to
    viewed, recent, cart, favourites    as the names say

A model's kinds leave out what is out of stock, in his cart, given back by him, or bought by him and
of a kind that is hardly ever bought twice (see the model).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from engine.effects import Moment
from features import catalog
from features.customer import Customer
from features.models.recommend import MODEL, Bought, Scorer, taste
from rules.model import Recommend

Found = Iterable[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is shown how many products, when (ms), by which model, about which product."""

    customer: Customer
    many: int
    now: int
    scorer: Scorer | None = None
    product: str = ""
    category: str = ""  # of what is trending; "" for what he likes
    bought: Bought = "learned"


def recommended(
    customer: Customer, action: Recommend, now: int, moment: Moment, product: str
) -> list[dict[str, Any]]:
    """What an action of a rule comes to."""
    scorer = moment.models.get(MODEL)
    bought = cast("Bought", action.bought)
    asked = Asked(customer, action.n, now, scorer, product, bought=bought)
    return listed(action.kind, asked)


def listed(kind: str, asked: Asked) -> list[dict[str, Any]]:
    """Up to so many, each once; nothing when neither he nor the shop is known well enough."""
    found: dict[str, dict[str, Any]] = {}
    for item in KINDS[kind](asked):
        found.setdefault(str(item), item)
    return list(found.values())[: asked.many]


def _read(asked: Asked, feature: str) -> list[str]:
    return list(catalog.value(asked.customer, feature, asked.now) or ())


def _products(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"product_id": name} for name in names]


def _listed(feature: str, name: str = "product_id") -> Callable[[Asked], Found]:
    return lambda asked: [{name: one} for one in _read(asked, feature)]


def _for_you(asked: Asked) -> Found:
    """Without a model what he wants most: in his cart, on his list, looked at last."""
    if asked.scorer is not None:
        his = taste(asked.customer, asked.now)
        return _products(asked.scorer.for_you(his, asked.many, bought=asked.bought))
    return [one for kind in (_CART, _FAVOURITES, _VIEWED) for one in kind(asked)]


def _near(kind: str) -> Callable[[Asked], Found]:
    """Without a model what else he looked at: the best that is known of his eye."""

    def read(asked: Asked) -> Found:
        anchors = _anchors(asked)
        if asked.scorer is not None:
            his = taste(asked.customer, asked.now)
            return _products(asked.scorer.near(kind, anchors, his, asked.many, bought=asked.bought))
        return _products(one for one in _read(asked, "products.recent") if one not in anchors)

    return read


def _anchors(asked: Asked) -> Sequence[str]:
    """The products that others are to go with."""
    if asked.product:
        return [asked.product]
    if in_cart := _read(asked, "cart.products"):
        return in_cart
    if seen := _read(asked, "products.recent"):
        return seen[:1]
    bought = asked.customer.state("bought").products
    last = max((at for times, at in bought.values() if times), default=0)
    return [name for name, (times, at) in bought.items() if times and at == last]


def _trending(asked: Asked) -> Found:
    if asked.scorer is None:
        return _VIEWED(asked)
    his = taste(asked.customer, asked.now)
    return _products(
        asked.scorer.trending_for(his, asked.many, asked.category, bought=asked.bought)
    )


_CART: Final = _listed("cart.products")
_FAVOURITES: Final = _listed("favourites.products")
_VIEWED: Final = _listed("products.recent")
KINDS: Final[dict[str, Callable[[Asked], Found]]] = {
    "for_you": _for_you,
    "similar": _near("similar"),
    "together": _near("together"),
    "trending": _trending,
    "viewed": _VIEWED,
    "recent": _VIEWED,
    "cart": _CART,
    "favourites": _FAVOURITES,
    "category": _listed("affinity.categories", "category"),
}
