"""One seed's made-up shop lived three times under one rule: as it is, all treated, all held out.

Must live here: the three lives on common random numbers, and the truth they tell. Must not: a
life's steps (trial_life.py), the estimate (ClickHouse's view gives it), many seeds. The lives
differ by the rule's effect and nothing else.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.effects import Effects
from engine.records import Append
from rules.book import Book
from rules.load import load_book
from simulator.habits import DAY
from simulator.trial_life import START, lived, nature
from simulator.world import World
from sinks.rows import Committed, Rows, rows_of

RULES: Final = Path(__file__).parents[1] / "rules"
TABLES: Final = ("decisions", "order_facts", "identities")


@dataclass(frozen=True)
class Design:
    """What every seed is tried with: `days` of the world, an order counts `window` days."""

    rule: str = "cart-rescue"
    customers: int = 1_500
    days: int = 21
    window: int = 7
    holdout: float = 0.3

    @property
    def until(self) -> int:
        """The world's end (ms)."""
        return START + self.days * DAY

    @property
    def counted(self) -> int:
        """The last midnight (ms) before that: whose days were over by then is counted."""
        return self.until // DAY * DAY


@dataclass(frozen=True)
class Trial:
    """What analysts get to see of a seed, and what they do not: the true lift and revenue."""

    seed: int
    rows: Rows
    events: int
    entered: int
    lift: float
    revenue: float


@dataclass
class _Life:
    """One life: its rows, and first entries and paid orders by whom an id stands for."""

    rows: Rows

    def who(self) -> dict[str, str]:
        """Ids that stand for another."""
        return {row["alias"]: row["cid"] for row in self.rows.get("identities", ())}

    def entries(self) -> dict[str, int]:
        """When each customer first entered (ms)."""
        who = self.who()
        found: dict[str, int] = {}
        for row in self.rows.get("decisions", ()):
            if row["arm"] in {"treated", "holdout"}:
                cid = str(who.get(row["cid"], row["cid"]))
                found[cid] = min(found.get(cid, row["at"]), row["at"])
        return found

    def bought(self, entries: dict[str, int], window: int) -> dict[str, float]:
        """What each of these spent within the window after entering; only who spent."""
        who = self.who()
        orders: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows.get("order_facts", ()):
            orders.setdefault(row["order_id"], []).append(row)
        found: dict[str, float] = {}
        for rows in orders.values():
            paid = [row for row in rows if row["fact"] == "paid"]
            cid = who.get(rows[0]["cid"], rows[0]["cid"])
            at = min((row["at"] for row in paid), default=0)
            if paid and cid in entries and 0 <= at - entries[cid] <= window * DAY:
                found[cid] = found.get(cid, 0.0) + sum(row["amount"] for row in rows)
        return found


def trial(seed: int, design: Design) -> Trial:
    """Live the seed's shop three times."""
    world = World(seed, design.customers, START)
    book = load_book(RULES)
    heard = _book(book, design.rule, 0.0)
    happens = nature(world, design.days, lambda name: _matters(heard, name))
    seen, treated, held = (
        _Life(asyncio.run(_live(world, happens, _book(book, design.rule, share), design.until)))
        for share in (design.holdout, 0.0, 1.0)
    )
    last = design.counted - design.window * DAY
    entries = {cid: at for cid, at in held.entries().items() if at <= last}
    with_it, without = (life.bought(entries, design.window) for life in (treated, held))
    many = max(len(entries), 1)
    return Trial(
        seed=seed,
        rows={table: seen.rows.get(table, []) for table in TABLES},
        events=len(happens),
        entered=len(entries),
        lift=(len(with_it) - len(without)) / many,
        revenue=(sum(with_it.values()) - sum(without.values())) / many,
    )


def _matters(book: Book, name: str) -> bool:
    """What the rule neither hears nor reads is left out: it would only take time."""
    return not name or name.startswith(("Order", "Consent")) or book.ears(name) is not None


def _book(book: Book, name: str, share: float) -> Book:
    """The rule alone, with this share held out."""
    rule = replace(book.rules[name], status="live", holdout=share)
    return Book.of({name: rule}, book.shop, book.offers, book.sources, {}, book.templates)


async def _live(world: World, happens: Sequence[Append], book: Book, until: int) -> Rows:
    """Let an engine decide all of it, the people answering; the rows it writes."""
    rows: Rows = {}

    def took(effects: Effects) -> list[dict[str, Any]]:
        entry = Committed(0, 0, 0, decisions=effects.decisions, facts=effects.facts)
        for table, found in rows_of(0, entry).items():
            rows.setdefault(table, []).extend(found)
        return effects.decisions

    await lived(book, world, happens, until, took)
    return rows
