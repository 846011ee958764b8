"""What an instance of a rule is about: a cart, an order, a product, a visit, a day.

Must live here: the subject that an event names, and which events concern a subject. Must not: what
happens to an instance.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from features.customer import Customer
from features.events import Event
from rules.model import Rule
from rules.subjects import Ids, ids_of

(_PRODUCT,) = ids_of(("product",))
PERIODS: Final = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
SUBJECTS_MAX: Final = 50
QUARTER_MS: Final = 900_000  # every zone's midnight falls on a quarter of an hour
# About no thing that several events may name: what is counted or followed is the customer's.
ONE_THREAD: Final = frozenset({"customer", "event", "review", "week", *PERIODS})


def subject_of(rule: Rule, customer: Customer, event: Event, timezone: str) -> str | None:
    """The id of what the rule acts once for; None when the event does not carry it."""
    kind, properties = rule.once_per, event.properties
    if kind == "customer":
        return "customer"
    if kind == "week" or kind in PERIODS:
        return period(kind, event.at, timezone)
    if kind in {"event", "tick"}:
        return event.message_id
    if kind == "cart":
        cart = customer.state("cart")
        return (cart.run if cart.run in {"", cart.cart_id} else f"~{cart.run}") or None
    if kind in {"visit", "session"}:
        return event.session_id or str(customer.state("visits").started)
    return id_of_thing(kind, event, properties) or None


def subject_at(rule: Rule, name: str, at: int, timezone: str) -> str:
    """What a rule acts once for when time pulls its trigger at `at` (ms), about a named thing."""
    kind = rule.once_per
    if kind == "customer":
        return "customer"
    if kind == "week" or kind in PERIODS:
        return period(kind, at, timezone)
    return name or str(at)


def id_of_thing(kind: str, event: Event, line: Mapping[str, Any]) -> str:
    """The id of an order, product, coupon, ticket, review, referral or live room; "" for none.

    `line` are the properties it is looked for in: the event's own, or those of one product.
    """
    if kind in {"review", "complaint", "drift"}:
        return event.message_id
    if kind == "coupon":
        return str(line.get("code") or line.get("coupon_id") or line.get("coupon") or "")
    if kind == "referral":
        code, friend = line.get("code"), line.get("friend") or line.get("friend_id")
        return f"{code}:{friend or ''}" if code else ""
    return str(line.get(f"{kind}_id") or "")


def subjects_in(event: Event, ids: Ids) -> list[str]:
    """What an event says by these ids that it is about, as `kind:id`; of an order each product."""
    properties, found = event.properties, []
    for name, kind in ids:
        if name in properties:
            found.append(f"{kind}:{properties[name]}")
    products = properties.get("products")
    if not products or _PRODUCT not in ids:
        return found
    found += [
        f"product:{line['product_id']}"
        for line in products
        if isinstance(line, dict) and line.get("product_id")
    ]
    return found[:SUBJECTS_MAX]


def concerns(rule: Rule, subject: str, subjects: Iterable[str]) -> bool:
    """Whether an event that carries these subjects is about an instance's subject.

    An event that carries ids of the subject's kind concerns only those; one without, all. A
    subject the engine named itself (a cart without an id, marked ~) is not known to any event.
    """
    prefix = f"{rule.once_per}:"
    named = [found for found in subjects if found.startswith(prefix)]
    return not named or prefix + subject in named or subject.startswith("~")


def period(kind: str, at: int, timezone: str) -> str:
    """The calendar day, week (ISO), month or year that `at` (ms) falls in, in the shop's zone.

    >>> period("week", 0, "Asia/Shanghai")
    '1970-W01'
    """
    return _period(kind, at // QUARTER_MS, timezone)


@lru_cache(maxsize=8_192)
def _period(kind: str, quarter: int, timezone: str) -> str:
    day = dt.datetime.fromtimestamp(quarter * QUARTER_MS / 1_000, ZoneInfo(timezone))
    if kind == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02d}"
    return day.strftime(PERIODS[kind])
