"""One seed's made-up shop lived three times under one rule: as it is, all treated, all held out.

Must live here: the three lives on common random numbers, and the truth they tell. Must not: the
estimate (ClickHouse's view gives it), many seeds. A person's answers to a message are a function of
the seed and the decision, so the lives differ by the rule's effect and nothing else.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final

from engine.effects import Effects
from engine.records import Append
from rules.book import Book
from rules.load import load_book
from simulator.backtest_engine import Engine
from simulator.doors import to_record
from simulator.habits import DAY, MINUTE
from simulator.world import World
from sinks.rows import Committed, Rows, rows_of

RULES: Final = Path(__file__).parents[1] / "rules"
START: Final = 1_767_542_400_000  # 2026-01-05 00:00 in the shop's zone
STEP: Final = 30 * MINUTE
SHARDS: Final = 2
SECRET: Final = b"codes of a trial redeem nothing"
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
    items = [item for day in range(design.days) for item in _day(world, day)]
    nature = [
        to_record(item, SHARDS, "trial", design.until)
        for item in items
        if _matters(heard, str(item.get("event", "")))
    ]
    nature.sort(key=lambda append: append.hint)
    seen, treated, held = (
        _Life(asyncio.run(_live(world, nature, _book(book, design.rule, share), design.until)))
        for share in (design.holdout, 0.0, 1.0)
    )
    last = design.counted - design.window * DAY
    entries = {cid: at for cid, at in held.entries().items() if at <= last}
    with_it, without = (life.bought(entries, design.window) for life in (treated, held))
    many = max(len(entries), 1)
    return Trial(
        seed=seed,
        rows={table: seen.rows.get(table, []) for table in TABLES},
        events=len(nature),
        entered=len(entries),
        lift=(len(with_it) - len(without)) / many,
        revenue=(sum(with_it.values()) - sum(without.values())) / many,
    )


def _day(world: World, day: int) -> list[dict[str, Any]]:
    return world.step(START + day * DAY, START + (day + 1) * DAY)


def _matters(book: Book, name: str) -> bool:
    """What the rule neither hears nor reads is left out: it would only take time."""
    return not name or name.startswith(("Order", "Consent")) or book.ears(name) is not None


def _book(book: Book, name: str, share: float) -> Book:
    """The rule alone, with this share held out."""
    rule = replace(book.rules[name], status="live", holdout=share)
    return Book.of({name: rule}, book.shop, book.offers, book.sources, {}, book.templates)


async def _live(world: World, nature: Sequence[Append], book: Book, until: int) -> Rows:
    """Let an engine decide all of it, the people answering; the rows it writes."""
    rows: Rows = {}
    told: list[dict[str, Any]] = []

    def took(effects: Effects) -> None:
        told.extend(effects.decisions)
        entry = Committed(0, 0, 0, decisions=effects.decisions, facts=effects.facts)
        for table, found in rows_of(0, entry).items():
            rows.setdefault(table, []).extend(found)

    engine = Engine(book, SHARDS, SECRET, took, [{} for _ in range(SHARDS)])
    await engine.begin(START)
    answers: list[tuple[int, int, Append]] = []
    position = count = 0
    for end in range(START + STEP, until + 1, STEP):
        now: list[Append] = []
        while position < len(nature) and nature[position].hint < end:
            now.append(nature[position])
            position += 1
        while answers and answers[0][0] < end:
            now.append(heappop(answers)[2])
        now.sort(key=lambda append: append.hint)
        await engine.step(end, now)
        for row in told:
            for happening in world.answers({**row, "at": max(int(row["at"]), end)}):
                count += 1
                record = to_record(happening.item, SHARDS, "trial", until)
                heappush(answers, (happening.at, count, record))
        told.clear()
    return rows
