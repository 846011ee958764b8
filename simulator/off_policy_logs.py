"""Logs of decisions for off-policy evaluation: a rule's bandit out of the tables, or a CSV file.

Must live here: reading them into arrays. Must not: estimating, policies.

Of the tables: the decisions that acted at the bandit's step, whose time for a reward was over by
the last event; what came of each is the first of its reward's events after it, as the engine counts
it. A customer is who he is known to be now.
"""

import csv
import gzip
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from clickhouse_connect.driver.client import Client

from features.models.bandit import place, vector
from rules.errors import near, one_of
from rules.model import Bandit, Rule
from simulator.off_policy import Floats, Log
from simulator.policies import BadPolicy, Logged

WORDS_MAX: Final = 20  # of a text column, each an input of its own
ROWS_MAX: Final = 500_000
_ROWS: Final = """
WITH
  (SELECT max(at) FROM events) AS last,
  d AS (SELECT if(i.cid = '', x.cid, i.cid) AS who, x.decision_id, x.at, x.split, x.propensity,
          x.values
        FROM (SELECT * FROM decisions FINAL WHERE rule = {rule:String} AND step = {step:String}
              AND run = {run:String} AND result = 'act'
              AND at + toIntervalMillisecond({within:Int64}) <= last) x
        LEFT ANY JOIN (SELECT * FROM identities FINAL) i ON x.cid = i.alias),
  e AS (SELECT cid, at, JSONExtractFloat(properties, 'total') AS total FROM v_events
        WHERE event IN {events:Array(String)})
SELECT d.decision_id, any(d.who), any(d.at) AS since, any(d.split), any(d.propensity),
  any(d.values),
  countIf(e.at > d.at AND e.at <= d.at + toIntervalMillisecond({within:Int64})) AS came,
  argMinIf(e.total, e.at,
    e.at > d.at AND e.at <= d.at + toIntervalMillisecond({within:Int64})) AS worth
FROM d LEFT JOIN e ON d.who = e.cid GROUP BY d.decision_id ORDER BY since, d.decision_id
LIMIT {most:Int64}
"""


class Columns(NamedTuple):
    """What a CSV file calls its columns; a propensity may be one number for all."""

    arm: str = "arm"
    propensity: str = "propensity"
    reward: str = "reward"
    who: str = ""
    context: tuple[str, ...] = ()


def from_tables(client: Client, rule: Rule, bandit: Bandit) -> Logged:
    """What a rule's bandit decided in this run, and what came of it."""
    arms = tuple(one.name for one in bandit.branches)
    asked = {
        "rule": rule.name, "step": bandit.step, "run": rule.run, "within": bandit.within_ms,
        "events": sorted(bandit.reward), "most": ROWS_MAX,
    }  # fmt: skip
    rows: list[tuple[str, float, float, dict[str, str], str]] = []
    for _, who, _, split, propensity, values, came, worth in client.query(
        _ROWS, parameters=asked
    ).result_rows:
        arm = next((name for name in split.split("/") if name in arms), "")
        if arm and propensity > 0:
            reward = float(worth) if bandit.money and came else float(came > 0)
            rows.append((arm, float(propensity), reward, values, who))
    known = [{name: _number(told) for name, told in values.items()} for *_, values, _ in rows]
    log = Log(
        arms,
        np.array([arms.index(arm) for arm, *_ in rows], dtype=np.intp),
        np.array([min(1.0, propensity) for _, propensity, *_ in rows]),
        np.array([reward for *_, reward, _, _ in rows]),
        np.array([vector(one) for one in known]).reshape(len(rows), -1),
        _numbered([who for *_, who in rows]),
    )
    names = sorted({name for one in known for name in one})
    columns = {name: [one.get(name, math.nan) for one in known] for name in names}
    return Logged(log, columns, place=place(rule.name, bandit.step), explore=bandit.explore)


def from_csv(path: Path, columns: Columns) -> Logged:
    """A file of decisions, gzipped or not; a column that is missing is told with the near miss."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        fixed = _number(columns.propensity)
        wanted = [columns.arm, columns.reward, *columns.context]
        wanted += [columns.who] if columns.who else []
        wanted += [] if fixed == fixed else [columns.propensity]  # noqa: PLR0124 - NaN
        for name in wanted:
            if name not in names:
                hint = near(name, names) or f": it has {one_of(names)}"
                raise BadPolicy(f"{path}: no column is called `{name}`{hint}")
        rows = list(reader)
    if not rows:
        raise BadPolicy(f"{path}: no rows")
    arms = tuple(sorted({row[columns.arm] for row in rows}))
    context = {name: _typed([row[name] for row in rows]) for name in columns.context}
    chances = [
        fixed if fixed == fixed else _number(row[columns.propensity])  # noqa: PLR0124 - NaN
        for row in rows
    ]
    log = Log(
        arms,
        np.array([arms.index(row[columns.arm]) for row in rows], dtype=np.intp),
        np.array(chances),
        np.array([_number(row[columns.reward]) for row in rows]),
        encoded(context, len(rows)),
        _numbered([row[columns.who] for row in rows] if columns.who else range(len(rows))),
    )
    if not np.isfinite(log.reward).all():
        raise BadPolicy(f"{path}: `{columns.reward}` is not a number in every row")
    return Logged(log, context)


def encoded(columns: Mapping[str, Sequence[Any]], rows: int) -> Floats:
    """Columns as inputs: 1, numbers in spreads from their mean, texts a column a word."""
    found = [np.ones(rows)]
    for values in columns.values():
        if any(isinstance(one, str) for one in values):
            words = [word for word, _ in Counter(values).most_common(WORDS_MAX)]
            found += [np.array([float(one == word) for one in values]) for word in words[1:]]
            continue
        numbers = np.array(values, dtype=float)
        known = numbers[np.isfinite(numbers)]
        spread = float(known.std()) if len(known) else 0.0
        if spread > 0:
            away = (numbers - known.mean()) / spread
            found.append(np.where(np.isfinite(away), away, 0.0))
    return np.column_stack(found)


def _typed(values: Sequence[str]) -> list[Any]:
    """A column of numbers if all that is there is one, else of texts."""
    numbers = [_number(one) for one in values]
    both = zip(numbers, values, strict=True)
    return numbers if all(one == one or not told for one, told in both) else list(values)  # noqa: PLR0124


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _numbered(names: Sequence[Any] | range) -> Any:
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)
