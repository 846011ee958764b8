"""A backtest of real orders decides as a replay through a whole engine: ids, rows, coupons."""

import json
from datetime import UTC, datetime

import orjson
import pytest

from rules.load import load_book
from simulator.backtest import run
from simulator.backtest_history import FileHistory
from tests.integration.test_replay_exact import ORDERS, decisions, folder, orders, replay, rules_of
from tests.simulation.test_backtest import Rows

__all__ = ["orders"]
UNTIL = "2011-02-05"
pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not ORDERS.exists(), reason=f"{ORDERS.name} is not in LAIKE_DATA_DIR"),
]


def test_the_same_decisions_as_a_replay(orders, tmp_path):
    data = folder(tmp_path / "d")
    replay(data, orders, "--until", UNTIL)
    expected = decisions(data)
    secret = (data / "secret").read_bytes()
    history = FileHistory(orders)
    book, span = load_book(rules_of(data)), (None, history.moment(UNTIL))
    found = run(history, [book], span, secret=secret, kind=Rows)
    assert sorted(map(_row, found.tallies[0].rows)) == sorted(map(_shown, expected))


def _row(row):
    return (
        row["rule"], row["at"], row["decision_id"], row["cid"], row["instance"], row["step"],
        row["held"], row["arm"], json.dumps(row["actions"], sort_keys=True),
    )  # fmt: skip


def _shown(row):

    rule, at, decision, cid, instance, step, held, arm, actions = row
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    told = json.dumps(orjson.loads(actions), sort_keys=True)
    return rule, round(moment.timestamp() * 1_000), decision, cid, instance, step, held, arm, told
