"""Risk, measured: abusers hidden among the made-up shop's people, found by what they do.

Must live here: the section `risk`, one seed's life and its figures. Must not: the signs
(features/risk_signs.py), how abusers live (abusers.py). What is hidden is of our own making, so
the figures say whether the parts work together, not how a real shop's abusers are caught.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.effects import Effects
from features import catalog
from features.models import anomaly
from features.models.anomaly_learner import Learner
from rules.book import Book
from rules.load import load_text
from simulator.abusers import abusers, dressed
from simulator.backtest_engine import Engine
from simulator.doors import to_record
from simulator.habits import DAY
from simulator.learning_section import Section
from simulator.trial_life import SECRET, SHARDS, START
from simulator.world import World

SEEDS: Final = range(101, 106)  # weights: tried on seed 1, and changed after a first look at these
CUSTOMERS, PEOPLE, DAYS = 700, 8, 28
HELD_FROM: Final = 0.8
BOOK: Final = """
rule: nothing
title: t
owner: o
status: live
when: {event: Signed Up}
once_per: customer
do:
  - tag: {add: [new]}
"""
Floats = npt.NDArray[np.float64]


class Judged(NamedTuple):
    """The accounts that ordered: who abuses (his kind, "" for nobody), and what is said of each."""

    kinds: Sequence[str]
    said: Mapping[str, Floats]


def risk(path: Path) -> Section | None:
    """How well risk.abuse tells abusers from honest people, beside plain thresholds."""
    if not path.is_dir():
        return None
    found = [lived(seed) for seed in SEEDS]
    figures: dict[str, Any] = {
        "seeds": len(SEEDS),
        "accounts": sum(len(one.kinds) for one in found),
        "abusers": sum(1 for one in found for kind in one.kinds if kind),
    }
    rows = []
    for name, least in (
        ("risk.abuse", HELD_FROM), ("risk.abuse", 0.5), ("risk.anomaly", 0.99),
        ("orders given back", 2.0), ("orders with a coupon", 3.0),
    ):  # fmt: skip
        held = [_held(one, name, least) for one in found]
        areas = [auc(one.said[name], np.array([bool(kind) for kind in one.kinds])) for one in found]
        row = {
            "held by": f"{name} >= {least:g}", "auc": float(np.mean(areas)),
            "auc least": min(areas), "precision": _mean(held, "precision"),
            "recall": _mean(held, "recall"),
            **{f"recall {kind}": _mean(held, kind) for kind in ("farmer", "brusher", "ring")},
        }  # fmt: skip
        rows.append(row)
        figures[str(row["held by"])] = {
            key: value for key, value in row.items() if key != "held by"
        }
    return Section(
        title="Risk: abusers among the made-up shop's people",
        protocol=(
            f"{len(SEEDS)} seeds, {DAYS} days each; {PEOPLE} people of each kind of abuser, each "
            "as cautious as his seed says, among honest people of whom some love coupons, send "
            "much back, share a tablet or buy what needs no parcel. Accounts that ordered are "
            "judged at the end; auc, precision and recall are means over seeds. risk.anomaly "
            "knows no answers: strange is not yet bad."
        ),
        rows=rows,
        figures=figures,
    )


def lived(seed: int, customers: int = CUSTOMERS, people: int = PEOPLE, days: int = DAYS) -> Judged:
    """One seed's shop, lived by an engine."""
    return asyncio.run(_lived(seed, customers, people, days))


async def _lived(seed: int, customers: int, people: int, days: int) -> Judged:
    world = World(seed, customers, START)
    items = [
        one
        for day in range(days)
        for item in world.step(START + day * DAY, START + (day + 1) * DAY)
        for one in dressed(item, seed)
    ]
    hidden = {one.user: one for one in abusers(seed, people, START, days)}
    items += [item for one in hidden.values() for item in one.items]
    until = START + (days + 12) * DAY
    records = sorted(
        (to_record(item, SHARDS, "trial", until) for item in items), key=lambda one: one.hint
    )
    learner = Learner()

    def took(effects: Effects) -> None:
        for example in effects.examples:
            if example["model"] == anomaly.MODEL:
                learner.learn(example)

    book: Book = load_text(BOOK)
    engine = Engine(book, SHARDS, SECRET, took, [{} for _ in range(SHARDS)])
    await engine.begin(START)
    position = 0
    for end in range(START + DAY // 4, until + 1, DAY // 4):
        first = position
        while position < len(records) and records[position].hint < end:
            position += 1
        await engine.step(end, records[first:position])
    users = sorted({str(item["userId"]) for item in items if item.get("userId")})
    weights = learner.weights()
    return _judged(engine, users, hidden, anomaly.Scorer(weights) if weights else None, until)


def _judged(
    engine: Engine,
    users: Sequence[str],
    hidden: Mapping[str, Any],
    scorer: anomaly.Scorer | None,
    now: int,
) -> Judged:
    kinds: list[str] = []
    said: dict[str, list[float]] = {}
    for user in users:
        customer = engine.customer(f"u:{user}")
        inputs = anomaly.vector(customer)
        if inputs is None:
            continue

        def read(name: str, he: Any = customer) -> float:
            return float(catalog.value(he, name, now))

        orders = read("risk.orders")
        for name, value in (
            ("risk.abuse", read("risk.abuse")),
            ("risk.anomaly", scorer.score(inputs) if scorer else 0.0),
            ("orders given back", read("orders.refunds") + read("orders.cancelled")),
            ("orders with a coupon", read("risk.coupon_share") * orders),
        ):
            said.setdefault(name, []).append(value)
        kinds.append(hidden[user].kind if user in hidden else "")
    return Judged(kinds, {name: np.array(values) for name, values in said.items()})


def _held(one: Judged, name: str, least: float) -> dict[str, float]:
    held = one.said[name] >= least
    kinds = np.array(one.kinds)
    bad = kinds != ""
    found = {"recall": float(held[bad].mean())}
    if held.any():
        found["precision"] = float(bad[held].mean())
    for kind in ("farmer", "brusher", "ring"):
        found[kind] = float(held[kinds == kind].mean())
    return found


def _mean(held: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([one[name] for one in held if name in one] or [0.0]))


def auc(scores: Floats, bad: npt.NDArray[np.bool_]) -> float:
    """The chance that an abuser's score is above an honest one's; a tie is half."""
    values, at = np.unique(scores, return_inverse=True)
    of_bad = np.bincount(at[bad], minlength=len(values)).astype(float)
    of_good = np.bincount(at[~bad], minlength=len(values)).astype(float)
    below = np.cumsum(of_good) - of_good
    wins = (of_bad * (below + of_good / 2)).sum()
    return float(wins / (of_bad.sum() * of_good.sum()))
