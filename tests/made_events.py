"""Events for tests, made the way real ones come in: as Segment calls through the rim."""

import random
from typing import Any

from hypothesis import strategies as st

from features import catalog
from features.customer import Customer
from features.events import Event, parse
from features.vocabulary import ENTITY_EVENTS, ITEM_EVENTS, NAMES, PROPERTY_KINDS

NOW = 1_790_000_000_000  # September 2026
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

TRACKED = sorted(
    NAMES - {"Identified", "Page Viewed", "Screen Viewed", "Group Identified", "Aliased"}
)
_numbered = iter(range(10**9))


def event(
    name: str, at: int = NOW, *, message_id: str = "", channel: str = "", **properties: Any
) -> Event:
    """One event of customer u:1 at `at` ms, received when it happened."""
    item = {
        "type": "track", "event": name, "userId": "1", "timestamp": at,
        "messageId": message_id or f"m{next(_numbered)}", "properties": properties,
        "context": {"channel": channel} if channel else {},
    }  # fmt: skip
    return parse(item, source="test", received_at=at)


class Shopper:
    """A customer and what was emitted while events were folded into him."""

    def __init__(self, registry=catalog.REGISTRY) -> None:
        self.customer = Customer.decode("u:1", None, registry)
        self.rows: list[dict[str, Any]] = []  # of order_facts
        self.ledger: list[tuple[str, dict[str, Any]]] = []  # of all other tables

    def see(self, *events: Event) -> "Shopper":
        """Fold the events, storing and reading the customer between any two."""
        for one in events:
            catalog.apply(self.customer, one, self._emit)
            blob = self.customer.encode()
            self.customer = Customer.decode("u:1", blob, self.customer.registry)
        return self

    def _emit(self, table: str, row: dict[str, Any]) -> None:
        if table == "order_facts":
            self.rows.append(row)
        else:
            self.ledger.append((table, row))

    def __getitem__(self, feature: str) -> Any:
        return self.at(feature, NOW)

    def at(self, feature: str, now: int) -> Any:
        return catalog.value(self.customer, feature, now)


def wild_item(
    chance: random.Random, ids: int = 100_000, long: bool = True, span: int = 60 * DAY
) -> dict[str, Any]:
    """A legal call of any kind: any name, any known property, ids of any legal length."""

    def word() -> str:
        base = f"{chance.randrange(ids)}"
        return (
            chance.choice(["", "x" * 150, "连衣裙" * 40])[: 195 - len(base)] + base
            if long
            else base
        )

    values = {
        "text": word, "id": word, "money": lambda: chance.choice([0, 9.99, "12.50", 1e9]),
        "count": lambda: chance.randrange(4), "number": lambda: chance.uniform(-5, 5),
        "flag": lambda: chance.random() < 0.5, "time": lambda: NOW + chance.randrange(DAY),
        "texts": lambda: [word() for _ in range(chance.randrange(4))],
        "lines": lambda: [
            {"product_id": word(), "price": chance.choice([5, "7.5"]), "quantity": chance.randrange(3),
             "category": word(), "brand": word()}
            for _ in range(chance.randrange(4))
        ],
    }  # fmt: skip
    name = chance.choice([*TRACKED, f"Custom {chance.randrange(50)}"])
    properties = {
        known: values[kind]() for known, kind in PROPERTY_KINDS.items() if chance.random() < 0.6
    }
    if name in ITEM_EVENTS:
        properties[ITEM_EVENTS[name]] = word()
    if name in ENTITY_EVENTS:
        properties[ENTITY_EVENTS[name][1]] = word()
    if name == "Consent Updated":
        properties["channels"] = values["texts"]()
    return {
        "type": "track", "event": name, "userId": word() or "1", "messageId": f"{word()}{chance.random()}"[:200],
        "timestamp": NOW - chance.randrange(span), "properties": properties,
        "context": {"channel": word()[-30:], "device": {"type": word()[-30:]}},
    }  # fmt: skip


def wild_events() -> st.SearchStrategy[Event]:
    """Any legal event, for hypothesis."""
    return st.builds(
        lambda seed, ids: parse(
            wild_item(random.Random(seed), ids), source="test", received_at=NOW
        ),
        st.integers(0, 2**32),
        st.sampled_from([2, 5, 50]),
    )
