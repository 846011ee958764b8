"""Policies to be evaluated over a log: always one arm, by lot, as learned, or as a file says.

Must live here: a policy's text, and the probabilities it comes to. Must not: estimating.

    always:ARM    that arm
    random        every arm alike
    learned       the arm that the bandit's learner thinks best, taught on the one half of the
                  customers and asked of the other, in the order of the log
    model         the odds of the model in force; `greedy` its best arm
    FILE.yaml     choose: [{if: EXPR, arm: NAME}, .., {arm: NAME}]  over the log's own columns
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.models.bandit import Scorer
from features.models.bandit_learner import ARMS_MAX, INPUTS_MAX, Learner
from rules.document import documents
from rules.errors import RuleError, RuleErrors, near, one_of
from rules.expressions import Expr
from rules.forms import Form, Key
from rules.reading import Reader
from rules.scope import Kind, Scope
from simulator.off_policy import Floats, Log, halves

ALWAYS: Final = "always:"
CHOICE: Final = Form(
    "policy",
    "a policy",
    {"choose": Key("[#branch]", "the arm of the first branch whose `if` holds", needed=True)},
)
BRANCH: Final = Form(
    "branch",
    "a branch of a policy",
    {
        "if": Key("condition", "when it is taken; the last one goes without"),
        "arm": Key("name", "the arm", needed=True),
    },
    meant={"do": "arm", "then": "arm", "when": "if"},
)
PLACE: Final = "log"


@dataclass(frozen=True)
class Logged:
    """A log and the columns that a policy's conditions may read: a value a decision."""

    log: Log
    columns: Mapping[str, Sequence[Any]]
    scorer: Scorer | None = None  # of the model in force
    place: str = ""  # what that calls this bandit
    explore: float = 0.0


class BadPolicy(ValueError):  # noqa: N818 - what was asked for is wrong, not the program
    """No such policy; the message says which there are."""


def policy_of(text: str, logged: Logged) -> Floats:
    """Its probability of each arm, a row a decision."""
    log = logged.log
    if text.startswith(ALWAYS):
        return _certain([_arm(text.removeprefix(ALWAYS), log)] * len(log), log)
    if text.endswith((".yaml", ".yml")):
        return _certain(_chosen(Path(text), logged), log)
    made = POLICIES.get(text)
    if made is None:
        known = (*(f"{ALWAYS}{arm}" for arm in log.arms), *POLICIES, "FILE.yaml")
        hint = near(text, known) or f": there are {one_of(known)}"
        raise BadPolicy(f"no policy is called `{text}`{hint}")
    return made(logged)


def _arm(name: str, log: Log) -> int:
    if name not in log.arms:
        hint = near(name, log.arms) or f": there are {one_of(log.arms)}"
        raise BadPolicy(f"the log has no arm `{name}`{hint}")
    return log.arms.index(name)


def _certain(arms: Sequence[int], log: Log) -> Floats:
    found = np.zeros((len(log), len(log.arms)))
    found[np.arange(len(log)), arms] = 1.0
    return found


def _random(logged: Logged) -> Floats:
    log = logged.log
    return np.full((len(log), len(log.arms)), 1.0 / len(log.arms))


def taught(log: Log) -> Scorer | None:
    """A scorer from one pass over a log; None when there is nothing in it."""
    learner = Learner()
    for number, drawn in enumerate(log.drawn):
        learner.learn({
            "place": PLACE, "arms": log.arms, "arm": log.arms[drawn], "at": 0,
            "inputs": log.contexts[number].tolist(), "reward": float(log.reward[number]),
            "propensity": float(log.propensity[number]),
        })  # fmt: skip
    weights = learner.weights()
    return Scorer(weights) if weights else None


def _learned(logged: Logged) -> Floats:
    log = logged.log
    if len(log.arms) > ARMS_MAX or log.contexts.shape[1] > INPUTS_MAX:
        raise BadPolicy(f"learned: at most {ARMS_MAX} arms and {INPUTS_MAX} inputs")
    first = halves(log)
    best = np.zeros(len(log), dtype=int)
    for asked in (first, ~first):
        scorer = taught(log.among(~asked))
        for number in np.flatnonzero(asked):
            best[number] = _best(scorer, PLACE, log, int(number))
    return _certain(best.tolist(), log)


def _best(scorer: Scorer | None, place: str, log: Log, number: int) -> int:
    worths = scorer and scorer.worths(place, log.arms, log.contexts[number].tolist())
    return int(np.argmax(worths)) if worths else 0


def _in_force(logged: Logged) -> Scorer:
    if logged.scorer is None:
        raise BadPolicy("there is no model in force for this log: `learned` teaches one from it")
    return logged.scorer


def _model(logged: Logged) -> Floats:
    scorer, log = _in_force(logged), logged.log
    rows = [
        scorer.odds(logged.place, log.arms, context.tolist(), logged.explore)
        for context in log.contexts
    ]
    return np.array(rows)


def _greedy(logged: Logged) -> Floats:
    scorer, log = _in_force(logged), logged.log
    return _certain([_best(scorer, logged.place, log, n) for n in range(len(log))], log)


def _chosen(path: Path, logged: Logged) -> list[int]:
    """The arm that the file's conditions come to, a decision at a time."""
    branches = _read(path, logged)
    names = list(logged.columns)
    found = []
    for values in zip(*logged.columns.values(), strict=True) if names else ((),) * len(logged.log):
        row = dict(zip(names, values, strict=True))
        taken = (arm for asked, arm in branches if asked is None or asked.test(None, None, 0, row))
        found.append(next(taken))
    return found


def _read(path: Path, logged: Logged) -> list[tuple[Expr | None, int]]:
    """The branches of a policy's file; RuleErrors with all that is wrong in it."""
    errors: list[RuleError] = []
    reader = Reader(str(path), errors)
    scope = Scope({}, laid_over={name: _kind(one) for name, one in logged.columns.items()})
    branches: list[tuple[Expr | None, int]] = []
    nodes = documents(path.read_text(), str(path), errors)
    fields = reader.fields(nodes[0], CHOICE) if nodes else {}
    for item in reader.items(fields["choose"]) if "choose" in fields else []:
        found = reader.fields(item, BRANCH)
        asked = reader.condition(item, found["if"], scope) if "if" in found else None
        arm = reader.choice(found["arm"], "arm", logged.log.arms) if "arm" in found else ""
        branches.append((asked, logged.log.arms.index(arm) if arm in logged.log.arms else 0))
        if "if" in found and item is reader.items(fields["choose"])[-1]:
            reader.error(item, "the last branch goes without `if`: somebody comes to it")
    if not nodes and not errors:
        errors.append(RuleError(str(path), 1, 1, "an empty policy: it needs `choose`"))
    if errors:
        raise RuleErrors(errors)
    return branches


def _kind(values: Sequence[Any]) -> Kind:
    return "text" if any(isinstance(one, str) for one in values) else "number"


POLICIES: Final[dict[str, Callable[[Logged], Floats]]] = {
    "random": _random,
    "learned": _learned,
    "model": _model,
    "greedy": _greedy,
}
