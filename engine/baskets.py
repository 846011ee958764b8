"""Examples for recommendations: an order, a visit that is over, what came back, a product's news.

Must live here: what leaves, and when. Must not: learning (features/models/recommend_learner.py).
One example an order and one a visit of two products or more, not one a view; they hold ids alone,
and a product's category and brand while the scorer in force does not know them.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.effects import Effects, Moment
from features.customer import Customer
from features.events import Event
from features.fold import DAY_MS, lines, newest, short
from features.models.recommend import MODEL
from features.visits import IDLE_MS

BASKET_MAX: Final = 60
HAD_MAX: Final = 100
VIEWED_MAX: Final = 20
VIEW: Final = "Product Viewed"
REFUND: Final = "Order Refunded"
STOCK: Final = "Product Stock Changed"
LAUNCH: Final = "Product Launched"


def observe(
    customer: Customer, event: Event, moment: Moment, effects: Effects, *, paid: bool
) -> None:
    """Called after the fold of each event of a customer; most leave no example."""
    visits = customer.states["visits"]
    if visits.started == event.at and visits.count > 1:
        _visit(customer, event, effects)
    if paid:
        _order(customer, event, moment, effects)
    elif event.name == VIEW:
        if MODEL in moment.models and (facts := _facts([event.properties], moment)):
            _leave(customer.cid, event, effects, {"facts": facts})
    elif event.name == REFUND and (back := _ids(event)):
        _leave(customer.cid, event, effects, {"returned": back})


def observe_item(cid: str, event: Event, effects: Effects) -> None:
    """A product is new, or there is none of it, or there is again."""
    properties = event.properties
    name = short(properties.get("product_id") or "")
    if not name or event.name not in (STOCK, LAUNCH):
        return
    body: dict[str, Any] = {"item": name}
    if (stock := properties.get("quantity")) is not None:
        body["stock"] = stock
    if event.name == LAUNCH:
        body["launched"] = True
    if facts := _facts([properties], None):
        body["facts"] = facts
    _leave(cid, event, effects, body)


def _leave(cid: str, event: Event, effects: Effects, body: Mapping[str, Any]) -> None:
    effects.examples.append({"model": MODEL, "cid": cid, "at": event.at, **body})


def _order(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    basket = _ids(event)
    if not basket:
        return
    at, held = event.at, set(basket)
    body: dict[str, Any] = {"basket": basket}
    products = customer.states["bought"].products
    had = sorted(
        (min(last, at), name)
        for name, (times, last) in products.items()
        if (times > 1 if name in held else times > 0 and last < at)
    )[-HAD_MAX:]
    if had:
        body["had"] = [name for _, name in had]
        body["days"] = [(at - last) // DAY_MS for last, _ in had]
    viewed = customer.states["products"].viewed
    looked = newest(((name, times[-1]) for name, times in viewed.items()), VIEWED_MAX)
    if looked := [name for name in looked if at - DAY_MS <= viewed[name][-1] <= at]:
        body["viewed"] = looked[::-1]
    if facts := _facts(lines(event)[:BASKET_MAX], moment):
        body["facts"] = facts
    _leave(customer.cid, event, effects, body)


def _visit(customer: Customer, event: Event, effects: Effects) -> None:
    """A visit has begun: the one before it is over, and what was looked at in it is known."""
    products, now = customer.states["products"], event.at
    told = products.told
    times = [
        (at, name)
        for name, moments in products.viewed.items()
        if moments[-1] > told
        for at in moments
        if told < at < now
    ]
    if not times:
        return
    times.sort()
    products.told = times[-1][0]
    before = now
    seen: list[str] = []
    for at, name in reversed(times):
        if seen and before - at > IDLE_MS:
            break
        seen.append(name)
        before = at
    paid_at = customer.states["orders"].last
    viewed = list(dict.fromkeys(seen))[::-1][-VIEWED_MAX:]
    if len(viewed) > 1 and event.at - times[-1][0] > IDLE_MS and not before <= paid_at < event.at:
        _leave(customer.cid, event, effects, {"viewed": viewed})


def _ids(event: Event) -> list[str]:
    """The different products of an event, the last of them if there are too many."""
    found = (short(line["product_id"]) for line in lines(event) if line.get("product_id"))
    return list(dict.fromkeys(found))[-BASKET_MAX:]


def _facts(about: list[dict[str, Any]], moment: Moment | None) -> dict[str, list[str]]:
    """Category and brand of those products that the scorer in force does not know them of.

    Without a moment of all: what a product says of itself is news.
    """
    scorer = moment.models.get(MODEL) if moment else None
    found: dict[str, list[str]] = {}
    for line in about:
        category, brand = line.get("category"), line.get("brand")
        name = line.get("product_id")
        if name and (category or brand) and not (scorer and scorer.knows(short(name))):
            found[short(name)] = [short(category or ""), short(brand or "")]
    return found
