"""Which offer works, measured: policies over a real experiment, estimators over real logs.

Must live here: the sections `policy` (Hillstrom's mailing) and `off_policy` (ZOZOTOWN's logs).
Must not: the estimators (off_policy.py), the made-up shop with known truth (offers_trial.py).
"""

import csv
import gzip
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulator.learning_section import Section, data_file
from simulator.off_policy import Estimate, Floats, Log, Value, evaluate
from simulator.off_policy_logs import Columns, from_csv
from simulator.policies import policy_of

HILLSTROM: Final = "hillstrom_half_a.csv.gz"
OPEN_BANDIT: Final = "obd_small.csv.gz"
VISITS: Final = Columns(
    arm="segment", propensity=str(1 / 3), reward="visit", who="customer_id",
    context=("recency", "history", "mens", "womens", "zip_code", "newbie", "channel"),
)  # fmt: skip
MAILS: Final = {
    "ours": "learned",
    "always mens": "always:Mens E-Mail",
    "always womens": "always:Womens E-Mail",
    "random": "random",
    "never": "always:No E-Mail",
}
TOGETHER: Final = (
    *("policy", "its own log", "ips", "ips low", "ips high", "ips recovers"),
    *("snips", "snips recovers", "dr", "dr recovers"),
)
ESTIMATORS: Final = ("ips", "snips", "dr")
Row = dict[str, Any]


def policy(path: Path) -> Section | None:
    """Who gets which mail, so that most visit: Hillstrom's experiment."""
    file = data_file(path, HILLSTROM)
    if file is None:
        return None
    logged = from_csv(file, VISITS)
    found = {name: evaluate(logged.log, policy_of(text, logged)) for name, text in MAILS.items()}
    rows = [{"policy": name, **_told(value)} for name, value in found.items()]
    return Section(
        title="Which offer works: visits a customer, Hillstrom's mailing",
        protocol=(
            f"{len(logged.log):,} customers of a trial, three arms alike by lot. Ours is taught "
            "in one pass over the half of the customers that a hash of their number gives, and "
            "decides for the other half; then the other way round. Values by inverse propensity, "
            "normal intervals of 95%; learned from visits only. How stiff an arm is was chosen of "
            "five values looking at this file."
        ),
        rows=rows,
        figures={name.replace(" ", "_"): _figures(value) for name, value in found.items()},
    )


def off_policy(path: Path) -> Section | None:
    """Whether the estimators find a policy's value in the log of another: Open Bandit."""
    file = data_file(path, OPEN_BANDIT)
    if file is None:
        return None
    with gzip.open(file, "rt") as opened:
        shown = list(csv.DictReader(opened))
    rows: list[Row] = []
    for campaign in sorted({row["campaign"] for row in shown}):
        rows += _across(campaign, [row for row in shown if row["campaign"] == campaign])
    pairs = len(rows)
    hits = {name: sum(row[f"{name} recovers"] for row in rows) for name in ESTIMATORS}
    apart = sum(row["differs by chance"] for row in rows)
    rows += [_together(rows[:pairs][n::2]) for n in range(2)]
    return Section(
        title="Off-policy estimators: clicks a view, ZOZOTOWN (Open Bandit)",
        protocol=(
            "Two policies ran side by side over the same pages, even odds and Thompson sampling, "
            "three campaigns of 10,000 views each. Each one's value is estimated from the log of "
            "the other alone and held against the mean of its own log. `recovers`: that mean lies "
            "within the estimate's interval of 95%. `differs by chance`: IPS and that mean, both "
            "of which are estimates, are no further apart than two such may be. Thompson "
            "sampling's odds are how often it showed each item in each place."
        ),
        rows=rows,
        figures={
            "pairs": pairs, "ips_recovers": hits["ips"], "snips_recovers": hits["snips"],
            "dr_recovers": hits["dr"], "differ_by_chance": apart,
            "together": [{name: row[name] for name in TOGETHER} for row in rows[pairs:]],
        },
    )  # fmt: skip


def _across(campaign: str, rows: Sequence[dict[str, str]]) -> list[Row]:
    """Each policy's value from the other's log."""
    arms = tuple(sorted({row["item_id"] for row in rows}))
    even, sampled = (
        _shown([row for row in rows if row["policy"] == name], arms) for name in ("random", "bts")
    )
    uniform = np.full((len(sampled), len(arms)), 1.0 / len(arms))
    often = np.zeros((3, len(arms)))
    np.add.at(often, (_place(sampled), sampled.drawn), 1.0)
    often /= often.sum(axis=1, keepdims=True)
    found = []
    for name, log, other, odds in (
        ("Thompson, from even odds", even, sampled, often[_place(even)]),
        ("even odds, from Thompson", sampled, even, uniform),
    ):
        value, own = evaluate(log, odds), float(other.reward.mean())
        chance = 1.96 * math.sqrt(float(other.reward.var()) / len(other))
        half = math.hypot(chance, (value.ips.high - value.ips.low) / 2)
        found.append({
            "campaign": campaign, "policy": name, "its own log": own,
            **_interval("ips", value.ips), **_interval("snips", value.snips),
            **_interval("dr", value.dr), "worth views": value.effective,
            **{f"{one} recovers": _holds(getattr(value, one), own) for one in ESTIMATORS},
            "differs by chance": abs(value.ips.value - own) <= half,
        })  # fmt: skip
    return found


def _interval(name: str, one: Estimate) -> Row:
    return {name: one.value, f"{name} low": one.low, f"{name} high": one.high}


def _together(rows: Sequence[Row]) -> Row:
    """The campaigns of one policy as one: means of what is independent."""
    own = statistics.fmean(row["its own log"] for row in rows)
    found = {"campaign": "all three", "policy": rows[0]["policy"], "its own log": own}
    for name in ESTIMATORS:
        halves = [(row[f"{name} high"] - row[f"{name} low"]) / 2 for row in rows]
        value, half = statistics.fmean(row[name] for row in rows), math.hypot(*halves) / len(rows)
        found |= _interval(name, Estimate(value, value - half, value + half))
        found[f"{name} recovers"] = abs(value - own) <= half
    found["worth views"] = sum(row["worth views"] for row in rows)
    found["differs by chance"] = None
    return found


def _shown(rows: Sequence[dict[str, str]], arms: tuple[str, ...]) -> Log:
    places = np.array([int(row["position"]) - 1 for row in rows])
    return Log(
        arms,
        np.array([arms.index(row["item_id"]) for row in rows], dtype=np.intp),
        np.array([float(row["propensity_score"]) for row in rows]),
        np.array([float(row["click"]) for row in rows]),
        np.column_stack([np.ones(len(rows)), places == 1, places == 2]).astype(float),
        np.arange(len(rows)),
    )


def _place(log: Log) -> Any:
    contexts: Floats = log.contexts
    return (contexts[:, 1] + 2 * contexts[:, 2]).astype(int)


def _holds(one: Estimate, truth: float) -> bool:
    return one.low <= truth <= one.high


def _told(value: Value) -> Row:
    return {
        "ips": value.ips.value, "low": value.ips.low, "high": value.ips.high,
        "snips": value.snips.value, "dr": value.dr.value, "dr low": value.dr.low,
        "dr high": value.dr.high, "worth customers": round(value.effective),
    }  # fmt: skip


def _figures(value: Value) -> Row:
    return {
        "ips": list(value.ips), "snips": list(value.snips), "dr": list(value.dr),
        "effective": value.effective,
    }  # fmt: skip
