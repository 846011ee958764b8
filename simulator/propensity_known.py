"""A made-up shop whose buyers' chances are known: how far from them are those that we give.

Must live here: the buyers, their truth, the trial. Must not: the models. A buyer orders at a rate
of his own until, after some order, he leaves for good (the customers of BG/NBD, Fader, Hardie and
Lee 2005); the engine sees orders alone. The truth at a day is what his rate makes of the days that
follow if he is still there, and nothing if he is not.
"""

import math
import random
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from features.events import Event, parse
from features.fold import DAY_MS
from features.models.learners import LEARNERS
from features.models.progress import area_under_curve, calibration_error
from features.models.returning import MONTH_DAYS, PURCHASE
from features.models.scorers import SCORERS
from simulator.learning_section import Section
from simulator.propensity_history import Replayed, stream

BUYERS: Final = 400
DAYS: Final = 540
SEEDS: Final = 20
STARTS: Final = 1_767_571_200_000  # 2026-01-05 00:00 UTC
LEAVES: Final = (1.0, 4.0)  # beta: the chance to leave after an order, .2 on average
RATES: Final = (1.5, 0.03)  # gamma, its shape and scale: orders a day, one in 22 days on average


class Trial(NamedTuple):
    """How far the given chances are from the truth and from what came, and how well they rank."""

    from_truth: float
    from_labels: float
    auc: float
    auc_of_truth: float


def trial(seed: int, buyers: int = BUYERS, days: int = DAYS) -> Trial:
    """One shop, judged at its last day but 30 by what was learned up to then."""
    made, cut = random.Random(seed), STARTS + (days - MONTH_DAYS) * DAY_MS
    found, truth = Replayed([], {cut: []}, STARTS + days * DAY_MS), []
    for number in range(buyers):
        orders, rate, left = _life(made, days)
        if not orders or orders[0] >= cut:
            continue
        stream(f"u:{number}", [_order(number, at, made) for at in orders], (cut,), found)
        truth.append(0.0 if left < cut else 1.0 - math.exp(-rate * MONTH_DAYS))
    learner = LEARNERS[PURCHASE]()
    for example in sorted(found.examples, key=lambda one: (one["known"], one["id"])):
        if example["model"] == PURCHASE and example["known"] <= cut:
            learner.learn(example)
    scorer, span = SCORERS[PURCHASE](learner.weights()), MONTH_DAYS * DAY_MS
    given = [scorer.score(buyer.inputs) for buyer in found.buyers[cut]]
    labels = [int(one.bought.orders_in(cut, cut + span) > 0) for one in found.buyers[cut]]
    return Trial(
        calibration_error(list(zip(truth, given, strict=True))),
        calibration_error(list(zip(labels, given, strict=True))),
        area_under_curve(list(zip(labels, given, strict=True))),
        area_under_curve(list(zip(labels, truth, strict=True))),
    )


def _life(made: random.Random, days: int) -> tuple[list[int], float, int]:
    """When he orders (ms), his rate a day, when he left (ms; after the end if he did not)."""
    rate, leaves = made.gammavariate(*RATES), made.betavariate(*LEAVES)
    at, end, orders = STARTS + int(made.random() * days * DAY_MS / 2), STARTS + days * DAY_MS, []
    while at < end:
        orders.append(at)
        if made.random() < leaves:
            return orders, rate, at
        at += int(made.expovariate(rate) * DAY_MS) + 1
    return orders, rate, end


def _order(buyer: int, at: int, made: random.Random) -> Event:
    item = {
        "type": "track", "event": "Order Completed", "userId": str(buyer), "timestamp": at,
        "messageId": f"{buyer}-{at}",
        "properties": {"order_id": f"{buyer}-{at}", "total": round(made.lognormvariate(4, 1), 2)},
    }  # fmt: skip
    return parse(item, source="known", received_at=at)


def known(_path: Path) -> Section | None:
    """The section of the report: 20 shops."""
    trials = [trial(seed) for seed in range(SEEDS)]
    rows = [
        {"figure": name, "mean": round(float(np.mean(of)), 4), "worst": round(worst(of), 4)}
        for name, of, worst in (
            ("calibration error, from the truth", [one.from_truth for one in trials], max),
            ("calibration error, from what came", [one.from_labels for one in trials], max),
            ("area under the curve", [one.auc for one in trials], min),
            ("area under the curve of the truth", [one.auc_of_truth for one in trials], min),
        )
    ]
    return Section(
        title="Chances that are known: next 30-day purchase in a made-up shop",
        protocol=(
            f"{SEEDS} seeds, {BUYERS} buyers each over {DAYS} days, each at a rate of his own "
            "until he leaves unseen. Learned by streaming, judged 30 days before the end."
        ),
        rows=rows,
        figures={
            "seeds": SEEDS,
            "calibration_error": rows[0]["mean"],
            "calibration_error_worst": rows[0]["worst"],
            "auc": rows[2]["mean"],
            "auc_of_truth": rows[3]["mean"],
        },
    )
