"""Who buys next, who leaves, what comes: measured on a real shop's year, beside the baselines.

Must live here: the sections and their protocol. Must not: replaying (propensity_history.py), the
models. Ours has learned only what was known on the day: examples in the order of their deadlines,
through the learners that the engine runs, scored by the scorers that its workers use.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from features.fold import DAY_MS
from features.models.learners import LEARNERS
from features.models.progress import area_under_curve, calibration_error
from features.models.returning import CHURN, MONTH_DAYS, PURCHASE, QUARTER_DAYS, VALUE
from features.models.scorers import SCORERS
from simulator.learning_section import Chart, Curve, Section, data_file
from simulator.propensity_baselines import chances
from simulator.propensity_history import Buyer, replayed

ORDERS: Final = "online_retail_orders.csv.gz"
ZONE: Final = ZoneInfo("Europe/London")
MONTHS: Final = range(2, 12)
FIRST_TOLD: Final = {MONTH_DAYS: 7, QUARTER_DAYS: 6}  # months that are told of
MAIN: Final = {MONTH_DAYS: 11, QUARTER_DAYS: 9}
OURS: Final = "ours, streaming"
_NO_BASELINE: Final = frozenset(
    ("day", "customers", "base_rate", OURS, "calibration_error", "examples")
)


class Told(NamedTuple):
    """What a learner that knows only what was known by then says at a cut day."""

    scorer: Any
    metrics: Mapping[str, float]
    examples: int


def _cut(month: int) -> int:
    return round(datetime(2011, month, 1, tzinfo=ZONE).timestamp() * 1000)


CUTS: Final = tuple(_cut(month) for month in MONTHS)


@lru_cache(maxsize=4)
def _learned(file: Path, model: str) -> dict[int, Told]:
    """By cut day: one learner goes through all examples of its model once."""
    learner, found, left = LEARNERS[model](), {}, list(CUTS)
    for example in replayed(file, CUTS).examples:
        if example["model"] != model:
            continue
        while left and example["known"] > left[0]:
            found[left.pop(0)] = _told(learner, model)
        learner.learn(example)
    return found | {cut: _told(learner, model) for cut in left}


def _told(learner: Any, model: str) -> Told:
    weights = learner.weights()
    scorer = SCORERS[model](weights) if weights else None
    return Told(scorer, learner.metrics(), learner.examples)


def next_30_day_purchase(path: Path) -> Section | None:
    """Online Retail: who orders within 30 days of a day."""
    return _purchase(path, MONTH_DAYS, PURCHASE)


def next_90_day_purchase(path: Path) -> Section | None:
    """Online Retail: who orders within 90 days of a day."""
    return _purchase(path, QUARTER_DAYS, VALUE)


def _purchase(path: Path, days: int, model: str) -> Section | None:
    file = data_file(path, ORDERS)
    if file is None:
        return None
    past, told = replayed(file, CUTS), _learned(file, model)

    def label(buyer: Buyer, cut: int) -> int:
        return int(buyer.bought.orders_in(cut, cut + days * DAY_MS) > 0)

    rows = []
    for month in range(FIRST_TOLD[days], MAIN[days] + 1):
        cut = _cut(month)
        labels = [label(buyer, cut) for buyer in past.buyers[cut]]
        rows.append(
            _row(month, labels, past.buyers[cut], told[cut], chances(past, cut, days, label))
        )
    return _section(
        f"Next {days}-day purchase",
        (
            "Customers with an order before the day; the label is any order in the "
            f"{days} days from it. Ours learned by streaming up to that day, each example once, "
            "none before its deadline. The batch baselines are fitted on the firsts of the months "
            "whose labels were known by the day; one-pass SGD goes through the same examples once. "
            "RFM: days since last and first order, orders, money. Inputs and the learner's memory "
            "were chosen looking at all the days shown."
        ),
        rows,
        told[_cut(MAIN[days])],
    )


def _row(
    month: int,
    labels: Sequence[int],
    buyers: Sequence[Buyer],
    learned: Told,
    others: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """A cut day: areas under the curve of ours and of others."""
    ours = [learned.scorer.score(buyer.inputs) for buyer in buyers]
    areas = {name: _area(labels, given) for name, given in {OURS: ours, **others}.items()}
    return {
        "day": f"2011-{month:02d}-01", "customers": len(labels),
        "base_rate": round(sum(labels) / len(labels), 3), **areas,
        "calibration_error": round(calibration_error(list(zip(labels, ours, strict=True))), 3),
        "examples": learned.examples,
    }  # fmt: skip


def _section(name: str, protocol: str, rows: list[dict[str, Any]], learned: Told) -> Section:
    """What the last of the days says, beside the others."""
    main = rows[-1]
    baselines = {name: value for name, value in main.items() if name not in _NO_BASELINE}
    return Section(
        title=f"{name}, Online Retail: area under the curve",
        protocol=protocol,
        rows=rows,
        figures={
            "day": main["day"], "base_rate": main["base_rate"], "auc": main[OURS],
            "baselines": baselines, "calibration_error": main["calibration_error"],
            "progressive": dict(learned.metrics),
        },
        charts=[_chart(name, rows, [OURS, *baselines])],
    )  # fmt: skip


def churn(path: Path) -> Section | None:
    """Online Retail: who orders nothing within twice his usual gap."""
    file = data_file(path, ORDERS)
    if file is None:
        return None
    past, told = replayed(file, CUTS), _learned(file, CHURN)
    rows = []
    for month in range(FIRST_TOLD[QUARTER_DAYS], MAIN[QUARTER_DAYS] + 1):
        cut = _cut(month)
        buyers = past.buyers[cut]
        labels = [
            int(not one.bought.orders_in(cut, cut + one.horizon_days * DAY_MS)) for one in buyers
        ]
        others = {
            "days since last": [one.plain[0] for one in buyers],
            "few orders": [-one.plain[2] for one in buyers],
        }
        rows.append(_row(month, labels, buyers, told[cut], others))
    return _section(
        "Churn",
        (
            "As for the next 90-day purchase. Gone is who orders nothing within twice his usual "
            "gap between order days, at least 30 and at most 90 days."
        ),
        rows,
        told[_cut(MAIN[QUARTER_DAYS])],
    )


def value(path: Path) -> Section | None:
    """Online Retail: what each customer will have paid in 90 days, less refunds."""
    file = data_file(path, ORDERS)
    if file is None:
        return None
    past, told = replayed(file, CUTS), _learned(file, VALUE)
    rows: list[dict[str, Any]] = []
    for month in range(FIRST_TOLD[QUARTER_DAYS], MAIN[QUARTER_DAYS] + 1):
        cut = _cut(month)
        span, buyers = QUARTER_DAYS * DAY_MS, past.buyers[cut]
        paid = np.array([one.bought.paid_in(cut, cut + span) for one in buyers])
        before = np.array([one.bought.paid_in(cut - span, cut) for one in buyers])
        found = {
            OURS: np.array([told[cut].scorer.value(one.inputs) for one in buyers]),
            "his last 90 days": before,
            "mean of the last 90 days": np.full(len(buyers), before.mean()),
            "money ever": np.array([one.plain[3] / max(one.plain[1], 90) * 90 for one in buyers]),
        }
        rows += [
            {
                "day": f"2011-{month:02d}-01", "by": name, "customers": len(buyers),
                "mean_absolute_error": round(float(np.abs(given - paid).mean()), 1),
                "mean_given": round(float(given.mean()), 1),
                "mean_paid": round(float(paid.mean()), 1),
                "top_tenth_share": _top_tenth(given, paid),
            }
            for name, given in found.items()
        ]  # fmt: skip
    last = {row["by"]: row for row in rows if row["day"] == rows[-1]["day"]}
    return Section(
        title="Value of the next 90 days, Online Retail: GBP a customer",
        protocol=(
            "As for the next 90-day purchase; what was paid less refunds, at least 0. "
            "top_tenth_share: how much of all that was paid the tenth named first brought."
        ),
        rows=rows,
        figures={
            "day": rows[-1]["day"],
            **{key: last[OURS][key] for key in list(rows[0])[3:]},
            "baselines": {
                name: {key: row[key] for key in list(row)[3:]}
                for name, row in last.items()
                if name != OURS
            },
            "progressive": dict(told[_cut(MAIN[QUARTER_DAYS])].metrics),
        },
    )


def _top_tenth(given: Any, paid: Any) -> float:
    first = np.argsort(-given, kind="stable")[: len(given) // 10]
    return round(float(paid[first].sum() / paid.sum()), 3)


def _area(labels: Sequence[int], given: Sequence[float]) -> float:
    return round(area_under_curve(list(zip(labels, map(float, given), strict=True))), 4)


def _chart(title: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Chart:
    curves = [Curve(name, [(float(row["day"][5:7]), row[name]) for row in rows]) for name in names]
    return Chart(title, "month of 2011", "area under the curve", curves)
