"""Who is persuaded, measured: the uplift model over a real mailing, streamed once.

Must live here: the section `uplift` and the Qini curve. Must not: the model
(features/models/uplift_learner.py). The curve says what choosing the first share of customers by a
score wins: visits of those treated less what their held-out peers would have made.
"""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.models.uplift_learner import Uplift
from simulator.learning_section import Chart, Curve, Section, data_file

FILE: Final = "hillstrom_half_a.csv.gz"
NONE: Final = "No E-Mail"
MENS, WOMENS = "Mens E-Mail", "Womens E-Mail"
TRIALS: Final = {"either mail": (MENS, WOMENS), "mens mail": (MENS,), "womens mail": (WOMENS,)}
SEED: Final = 1
RESAMPLES: Final = 500
POINTS: Final = 50
PER: Final = 1_000  # areas and curves are told in visits of so many customers
Floats = npt.NDArray[np.float64]


class Mailing(Uplift):
    """The learner, on the inputs that this file has."""

    MODEL = "hillstrom"
    INPUTS = (
        *("recency", "history", "mens", "womens", "both", "newbie"),
        *("rural", "urban", "web", "phone"),
    )


class Streamed(NamedTuple):
    """What each customer of the second half was scored before his answer was known."""

    treated: Floats
    visited: Floats
    scores: Mapping[str, Floats]
    learner: Mailing


class Area(NamedTuple):
    """The area between the curve and choosing by lot, with its interval of 95%."""

    value: float
    low: float
    high: float


def uplift(path: Path) -> Section | None:
    """Whom a mail brings, not who comes anyway: Hillstrom's experiment."""
    file = data_file(path, FILE)
    if file is None:
        return None
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        shown = list(csv.DictReader(opened))
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    charts = []
    for name, mails in TRIALS.items():
        found = streamed([row for row in shown if row["segment"] in {*mails, NONE}])
        areas = {who: area(score, found) for who, score in found.scores.items()}
        told = found.learner.metrics()
        rows += [
            {
                "trial": name, "chosen by": who, "qini": one.value, "low": one.low,
                "high": one.high, "half of all": first_half(found.scores[who], found),
            }
            for who, one in areas.items()
        ]  # fmt: skip
        rows.append({"trial": name, "chosen by": "lot", "qini": 0.0, "low": 0.0, "high": 0.0,
                     "half of all": everybody(found) / 2})  # fmt: skip
        figures[name.replace(" ", "_")] = {
            "customers": 2 * len(found.treated),
            "average_effect": told["average"],
            "average_effect_error": told["average_error"],
            **{f"{who.replace(' ', '_')}_qini": list(one) for who, one in areas.items()},
        }
        charts.append(_chart(name, found))
    return Section(
        title="Who is persuaded: extra visits, Hillstrom's mailing",
        protocol=(
            "Customers of a trial, mailed or not by lot, in one fixed shuffle, streamed once: each "
            "is scored before his answer is learned from, and the second half of the stream is "
            "judged. qini: the area between the curve of extra visits and choosing by lot, in "
            f"visits of {PER:,} customers, interval of 95% by {RESAMPLES} resamples of customers; "
            "`half of all`: extra visits when the better half is mailed. response: who visits "
            "most, whatever is done. batch: two logistic regressions (scikit-learn), one an arm, "
            "on the first half."
        ),
        rows=rows,
        figures=figures,
        charts=charts,
    )


def streamed(rows: Sequence[Mapping[str, str]]) -> Streamed:
    """One pass over the shuffled rows."""
    rows = list(rows)
    Random(SEED).shuffle(rows)  # an order of the customers, nothing secret
    treated = np.array([row["segment"] != NONE for row in rows], dtype=float)
    visited = np.array([row["visit"] == "1" for row in rows], dtype=float)
    inputs = [_inputs(row) for row in rows]
    learner, chance = Mailing(), 2 / 3 if len({row["segment"] for row in rows}) > 2 else 1 / 2
    half, ours, response = len(rows) // 2, [], []
    for at, features in enumerate(inputs):
        if at >= half:
            ours.append(learner.score(features))
            response.append(learner.response(features))
        learner.learn({
            "features": features, "treated": int(treated[at]), "propensity": chance,
            "reward": visited[at],
        })  # fmt: skip
    batch = _batch(np.array(inputs), treated, visited, half)
    scores = {"ours": np.array(ours), "response": np.array(response), "batch": batch}
    return Streamed(treated[half:], visited[half:], scores, learner)


def _inputs(row: Mapping[str, str]) -> list[float]:
    mens, womens = float(row["mens"]), float(row["womens"])
    return [
        1.0 / (1.0 + float(row["recency"])), float(np.log1p(float(row["history"]))), mens, womens,
        mens * womens, float(row["newbie"]), float(row["zip_code"] == "Rural"),
        float(row["zip_code"] == "Urban"), float(row["channel"] == "Web"),
        float(row["channel"] == "Phone"),
    ]  # fmt: skip


def _batch(inputs: Floats, treated: Floats, visited: Floats, half: int) -> Floats:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - for reports alone
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    chances = []
    for arm in (1.0, 0.0):
        of_arm = np.flatnonzero(treated[:half] == arm)
        model = make_pipeline(StandardScaler(), LogisticRegression())
        model.fit(inputs[of_arm], visited[of_arm])
        chances.append(model.predict_proba(inputs[half:])[:, 1])
    return np.asarray(chances[0] - chances[1])


def curve(score: Floats, found: Streamed, times: Floats | None = None) -> Floats:
    """Extra visits a customer when the first 1, 2, ... by score are treated; `times` he counts."""
    order = np.argsort(-score, kind="stable")
    counted = np.ones(len(order)) if times is None else times[order]
    mailed, visited = found.treated[order] * counted, found.visited[order]
    held = counted - mailed
    mailed_so_far, held_so_far = np.cumsum(mailed), np.cumsum(held)
    rate = np.cumsum(visited * mailed) / np.maximum(mailed_so_far, 1.0)
    usual = np.cumsum(visited * held) / np.maximum(held_so_far, 1.0)
    gained: Floats = (rate - usual) * np.cumsum(counted) / counted.sum()
    return gained


def area(score: Floats, found: Streamed) -> Area:
    """The Qini area, and how far it may be off by who happened to be there."""
    rng = np.random.default_rng(SEED)
    many = len(score)
    drawn = [
        _area(curve(score, found, rng.multinomial(many, np.full(many, 1 / many)).astype(float)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Area(_area(curve(score, found)), float(low), float(high))


def _area(gained: Floats) -> float:
    lot = np.arange(1, len(gained) + 1) / len(gained) * gained[-1]
    return float((gained - lot).mean()) * PER


def first_half(score: Floats, found: Streamed) -> float:
    """Extra visits when the better half is treated."""
    gained = curve(score, found)
    return float(gained[len(gained) // 2]) * PER


def everybody(found: Streamed) -> float:
    """Extra visits when all are treated."""
    return float(curve(np.zeros(len(found.treated)), found)[-1]) * PER


def _chart(name: str, found: Streamed) -> Chart:
    curves = []
    for who, score in found.scores.items():
        gained = curve(score, found) * PER
        at = np.linspace(0, len(gained) - 1, POINTS).astype(int)
        shares = (at + 1) / len(gained)
        points = [(0.0, 0.0), *zip(shares.tolist(), gained[at].tolist(), strict=True)]
        curves.append(Curve(who, points))
    curves.append(Curve("lot", [(0.0, 0.0), (1.0, everybody(found))]))
    return Chart(f"Qini: {name}", "share mailed", f"extra visits of {PER:,} customers", curves)
