"""Whether a list of 20 has something of the next basket: a real shop's year, beside the baselines.

Must live here: the protocol, ours, judging. Must not: the baselines, the model. Ours goes through
the file's events once in order of time, by the engine's own decide; each example is learned when it
leaves, and at a cut day the list is made from the customer's state and the tables of that moment.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from engine.decide import decide
from engine.effects import Effects, Moment, Settings
from engine.journal import REGISTRY
from features.customer import Customer
from features.events import Event
from features.events import decode as decode_event
from features.fold import DAY_MS
from features.models.recommend import MODEL, Bought, Scorer, taste
from features.models.recommend_learner import Learner
from features.vocabulary import PAID
from rules.load import book_from_sources
from simulator.backtest_history import FileHistory
from simulator.basket_baselines import Order, Past, Scores, baselines
from simulator.learning_section import Chart, Curve, Section, data_file

ORDERS: Final = "online_retail_orders.csv.gz"
ZONE: Final = ZoneInfo("Europe/London")
MONTHS: Final = (8, 9, 10, 11)  # cut days: the first of these; settings were chosen at 6 and 7
LIST: Final = 20
WITHIN_MS: Final = 30 * DAY_MS
OURS: Final = "ours, streaming"
BOOK: Final = book_from_sources({"shop.yaml": "currency: GBP\n"})
PROTOCOL: Final = (
    "Online Retail. At the first of August, September, October and November 2011 a list of 20 is "
    "made for each customer known by an id who has ordered before and orders again within 30 days; "
    "it is held against all products of the first such order. Hit: at least one of them is on the "
    "list; recall: the share of them that is. `any`: what he bought before may be on the list; "
    "`new`: only products that are new to him count, customers who bought nothing new are left "
    "out, and the lists leave out what he bought (ours knows 100 of his products, the baselines "
    "all). Means over all customers of the four days. Ours has learned only by streaming up to the "
    "day; its settings were chosen at the first of June and July. Item-kNN: cosines over all "
    "customers' whole history, made anew at each day."
)


class Judged(NamedTuple):
    """Sums over customers: how many, of those with a hit, of recall."""

    asked: int = 0
    hits: float = 0.0
    recall: float = 0.0

    def plus(self, other: "Judged") -> "Judged":
        """Both."""
        asked, hits, recall = other
        return Judged(self.asked + asked, self.hits + hits, self.recall + recall)


Found = dict[str, dict[str, Judged]]  # list -> "any" or "new"


class Shop:
    """The engine on one file: customers, the learner, what was ordered so far."""

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = {}
        self.learner = Learner()
        self.orders: list[Order] = []
        self._settings = Settings(shard=0, shards=1, secret=b"", record_clock=True)

    def see(self, event: Event, number: int) -> None:
        """One record; what it leaves is learned at once."""
        cid = f"u:{event.user_id}" if event.user_id else f"a:{event.anonymous_id}"
        customer = self.customers.get(cid)
        if customer is None:
            customer = self.customers[cid] = Customer.decode(cid, None, REGISTRY)
        effects = Effects()
        decide(customer, event, Moment(self._settings, BOOK, event.at, number), effects)
        for example in effects.examples:
            if example["model"] == MODEL:
                self.learner.learn(example)

    def lists(self, asked: Sequence[str], cut: int, bought: Bought) -> list[list[str]]:
        """A list for each of the customers as of a moment (ms)."""
        scorer = Scorer(self.learner.made())
        tastes = (taste(self.customers[f"u:{who}"], cut) for who in asked)
        return [scorer.for_you(his, LIST, bought=bought) for his in tastes]


def next_basket(path: Path) -> Section | None:
    """The section, None where the path has not the file."""
    file = data_file(path, ORDERS)
    return None if file is None else report(measured(file, MONTHS))


def measured(file: Path, months: Sequence[int]) -> dict[int, Found]:
    """By month: each list, judged at the month's first."""
    events = [decode_event(past.append.value) for past in FileHistory(file).records(1)]
    orders = [order for event in events if event.name in PAID for order in _orders(event)]
    shop, found, number = Shop(), dict[int, Found](), 0
    for month in months:
        cut = round(datetime(2011, month, 1, tzinfo=ZONE).timestamp() * 1000)
        while number < len(events) and events[number].at < cut:
            shop.see(events[number], number)
            number += 1
        found[month] = _judged(shop, orders, cut)
    return found


def _orders(event: Event) -> list[Order]:
    lines = event.properties.get("products") or ()
    names = list(dict.fromkeys(line["product_id"] for line in lines))
    return [Order(event.at, event.user_id, names)] if names else []


def _judged(shop: Shop, orders: Sequence[Order], cut: int) -> Found:
    before = [order for order in orders if order.at < cut]
    known: dict[str, set[str]] = defaultdict(set)
    for order in before:
        known[order.who].update(order.products)
    wanted: dict[str, Collection[str]] = {}
    for order in orders:
        if order.who and cut <= order.at < cut + WITHIN_MS and order.who in known:
            wanted.setdefault(order.who, set(order.products))
    asked = list(wanted)
    names = list(dict.fromkeys(name for order in orders for name in order.products))
    past = Past(cut, before, {name: at for at, name in enumerate(names)}, asked)
    had = past.had() > 0
    found = {
        OURS: {
            "any": _judge(asked, wanted, shop.lists(asked, cut, "learned")),
            "new": _judge(asked, wanted, shop.lists(asked, cut, "never"), known),
        }
    }
    for name, scores in baselines(past):
        new = np.where(had, -1.0, scores).astype(np.float32)
        found[name] = {
            "any": _judge(asked, wanted, _best(scores, names)),
            "new": _judge(asked, wanted, _best(new, names), known),
        }
    return found


def _best(scores: Scores, names: Sequence[str]) -> list[list[str]]:
    best = np.argsort(-scores, axis=1, kind="stable")[:, :LIST]
    return [[names[place] for place in row] for row in best.tolist()]


def _judge(
    asked: Sequence[str],
    wanted: Mapping[str, Collection[str]],
    lists: Sequence[Sequence[str]],
    known: Mapping[str, set[str]] | None = None,
) -> Judged:
    found = Judged()
    for who, shown in zip(asked, lists, strict=True):
        basket = set(wanted[who]) - (known[who] if known else set())
        if basket:
            hits = len(basket.intersection(shown))
            found = found.plus(Judged(1, float(hits > 0), hits / len(basket)))
    return found


def report(found: Mapping[int, Found]) -> Section:
    """The section of what was measured."""
    names = list(next(iter(found.values())))
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {"at": {}}
    for name in names:
        row: dict[str, Any] = {"list": name}
        for kind in ("any", "new"):
            total = Judged()
            for month in found:
                total = total.plus(found[month][name][kind])
            row |= {
                f"{kind}: hit": total.hits / total.asked,
                f"{kind}: recall": total.recall / total.asked,
                f"{kind}: customers": total.asked,
            }
        rows.append(row)
    for kind in ("any", "new"):
        figures[kind] = {
            "hit_rate": rows[0][f"{kind}: hit"],
            "recall": rows[0][f"{kind}: recall"],
            "customers": rows[0][f"{kind}: customers"],
            "baselines": {row["list"]: row[f"{kind}: hit"] for row in rows[1:]},
            "baselines_recall": {row["list"]: row[f"{kind}: recall"] for row in rows[1:]},
        }
    for month, lists in found.items():
        figures["at"][f"2011-{month:02d}-01"] = {
            name: {kind: one.hits / one.asked for kind, one in judged.items()}
            for name, judged in lists.items()
        }
    charts = [
        Chart(
            f"Next basket, {kind} products: hit rate of 20", "month of 2011", "hit rate",
            [
                Curve(name, [(month, _rate(found[month][name][kind])) for month in found])
                for name in names
            ],
        )
        for kind in ("any", "new")
    ]  # fmt: skip
    title = "Next basket: is something of it on a list of 20"
    return Section(title, PROTOCOL, rows, figures, charts)


def _rate(one: Judged) -> float:
    return one.hits / one.asked
