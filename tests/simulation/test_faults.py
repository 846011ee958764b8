"""The simulation by seed holds on the engine as it is, and finds it broken in every known way."""

import ast
import json
from pathlib import Path

import pytest

from simulator.faults import auditor, command
from simulator.faults.auditor.balances import Balance
from simulator.faults.kinds import RATES, STRIKES
from simulator.faults.mutations import MUTATIONS
from simulator.faults.run import simulate
from simulator.faults.shrink import shortest
from simulator.faults.world import Allowed

SEEDS = range(20)
MUTATED_SEEDS = range(25)


@pytest.fixture(scope="module")
def outcomes():
    return [simulate(seed) for seed in SEEDS]


def test_the_engine_holds_under_faults(outcomes):
    assert {outcome.seed: outcome.failures for outcome in outcomes if outcome.failures} == {}
    assert sum(outcome.lost + outcome.duplicated for outcome in outcomes) == 0


def test_every_kind_of_fault_strikes(outcomes):
    struck = {kind for outcome in outcomes for kind in outcome.faults}
    assert struck == {*RATES, *STRIKES}
    assert {kind for outcome in outcomes for kind in outcome.workload} == {
        "events", "repeated", "late", "broken", "erasures",
    }  # fmt: skip
    assert all(outcome.recovery_ms for outcome in outcomes)


WHAT_FINDS_IT = {  # and a seed that did lately: it is tried first
    "owner": ("one writer", 3),
    "next_offset": ("offsets", 7),
    "dedup": ("messages processed", 0),
    "letter_dedup": ("repeats dropped", 10),
    "timer_order": ("due order", 0),
    "durability": ("durable first", 0),
    "ledger": ("budgets", 0),
    "caps": ("caps", 0),
    "tombstones": ("to be erased", 8),
    "codes": ("codes", 0),
    "lives": ("times, or lies in the pool too", 9),
    "returns": ("is neither with anybody nor", 9),
    "digests": ("digests", 0),
    "models": ("under", 0),
}


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_broken_engine_is_found_and_told(name):
    words, first = WHAT_FINDS_IT[name]
    found = (simulate(seed, mutation=name).failures for seed in (first, *MUTATED_SEEDS))
    assert any(words in text for failures in found for text in failures)


def test_a_seed_is_one_story():
    first, again = simulate(4), simulate(4)
    assert first.trace == again.trace
    assert (first.faults, first.steps, first.recovery_ms) == (
        again.faults, again.steps, again.recovery_ms,
    )  # fmt: skip


def test_a_failure_is_made_shorter():
    outcome = next(o for seed in MUTATED_SEEDS if (o := simulate(seed, mutation="dedup")).failures)
    allowed, found = shortest(outcome, "dedup")
    assert found.failures
    assert allowed.events < 300
    assert found.steps < outcome.steps
    assert sum(found.faults.values()) < sum(outcome.faults.values())


def test_without_faults_nothing_is_injected():
    outcome = simulate(1, Allowed(kinds=frozenset()))
    assert (outcome.faults, outcome.failures) == ({}, [])


def test_a_balance_that_is_uneven_is_told():
    balance = Balance("points", lambda *_: {"a": 1, "b": 2}, lambda *_: {"a": 1})
    assert list(balance.differences(None, None)) == ["points: b: given 2, got None"]


def test_the_auditor_knows_nothing_of_the_engine():
    allowed = ("simulator.faults.auditor", "simulator.faults.history")
    for path in Path(auditor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                floor = name.split(".")[0]
                assert floor not in {"engine", "rules", "features", "sinks", "api"}, path
                assert floor != "simulator" or name.startswith(allowed), path


def test_the_command_prints_one_object_and_fails_when_a_seed_does(capsys):
    assert command.main(["--seeds", "2", "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["seeds"], told["lost"], told["duplicated"], told["failures"]) == (2, 0, 0, [])
    assert told["recovery_ms"]["p99"] >= told["recovery_ms"]["p50"] > 0
    assert command.main(["--seed", "0", "--mutate", "dedup", "--jobs", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["failures"][0]["seed"] == 0
    assert told["failures"][0]["trace"]
    with pytest.raises(SystemExit) as wrong:
        command.main(["--seeds", "none"])
    assert wrong.value.code == 2
