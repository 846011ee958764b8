"""What another policy would have brought, from what was logged of the one in force.

Must live here: the estimators, their intervals. Must not: where a log comes from
(off_policy_logs.py), what policies there are (policies.py). Arrays in, numbers out; nothing here is
random.

With w the policy's probability of the logged arm over the logged one, r the reward, q a model of r:

    IPS    mean of w r: unbiased, wide where w is large
    SNIPS  sum of w r over sum of w: a little biased, less wide
    DR     mean of sum_a policy(a) q(a) + w (r - q(arm)): unbiased, and narrow where q is good

q is a ridge regression an arm, fitted on one half of the customers and asked of the other.
Intervals are normal ones (of SNIPS by its linearisation), and count customers, not decisions: those
of one customer are added first. `bernstein` gives IPS an empirical Bernstein interval besides
(Maurer and Pontil, 2009), which holds at any size if no w r is beyond the largest that was seen.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Z95: Final = 1.959963984540054
ALPHA: Final = 0.05
RIDGE: Final = 10.0


@dataclass(frozen=True)
class Log:
    """What was logged: n decisions, each one's arm, its probability, what came of it, the context.

    `who` numbers the customers; `contexts` has a row a decision, whose first column is 1.
    """

    arms: tuple[str, ...]
    drawn: npt.NDArray[np.intp]
    propensity: Floats
    reward: Floats
    contexts: Floats
    who: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.drawn)

    def among(self, kept: npt.NDArray[np.bool_]) -> "Log":
        """These decisions alone."""
        return Log(
            self.arms, self.drawn[kept], self.propensity[kept], self.reward[kept],
            self.contexts[kept], self.who[kept],
        )  # fmt: skip


class Estimate(NamedTuple):
    """A value, and the bounds between which it lies 95 times of 100."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Value:
    """A policy's value by each estimator; `matched` is the share of decisions it would have made.

    `effective` is how many decisions of its own the log is worth; `weight` the mean of w, which is
    1 but for chance where the log tries all that the policy does.
    """

    ips: Estimate
    snips: Estimate
    dr: Estimate
    matched: float
    effective: float
    weight: Estimate


def evaluate(log: Log, policy: Floats) -> Value:
    """The value of a policy: `policy` has its probability of each arm, a row a decision."""
    _check(log, policy)
    rows = np.arange(len(log))
    weights = policy[rows, log.drawn] / log.propensity
    return evaluate_by(log, weights, policy)


def evaluate_by(log: Log, weights: Floats, policy: Floats | None = None) -> Value:
    """The same by weights alone, where the policy's other probabilities are not known: no DR."""
    worth = weights * log.reward
    total = float(weights.sum())
    ips = _mean(worth, log.who)
    snips = float(worth.sum()) / total if total else math.nan
    influence = weights * (log.reward - snips) / (total / len(log)) if total else weights
    doubly = ips if policy is None else _mean(_doubly_robust(log, weights, policy), log.who)
    return Value(
        ips=ips,
        snips=_around(snips, influence, log.who),
        dr=doubly,
        matched=float(np.mean(weights > 0)),
        effective=total**2 / float((weights**2).sum()) if total else 0.0,
        weight=_mean(weights, log.who),
    )


def bernstein(log: Log, policy: Floats) -> Estimate:
    """IPS between the bounds of the empirical Bernstein inequality."""
    worth = policy[np.arange(len(log)), log.drawn] / log.propensity * log.reward
    sums = np.bincount(log.who, worth)[np.unique(log.who)]
    n, value = len(sums), float(worth.mean())
    largest, told = float(max(sums.max(), 0.0)), math.log(4 / ALPHA)
    half = math.sqrt(2 * float(sums.var(ddof=1)) * told / n) + 7 * largest * told / (3 * (n - 1))
    half *= n / len(log)
    return Estimate(value, value - half, value + half)


def fitted(log: Log) -> Floats:
    """The expected reward of each arm in each context: a ridge regression an arm."""
    width = log.contexts.shape[1]
    found = np.zeros((width, len(log.arms)))
    usual = float(log.reward.mean()) if len(log) else 0.0
    for arm in range(len(log.arms)):
        rows = log.drawn == arm
        inputs, away = log.contexts[rows], log.reward[rows] - usual
        square = inputs.T @ inputs + RIDGE * np.eye(width)
        found[:, arm] = np.linalg.solve(square, inputs.T @ away)
    found[0] += usual  # of the column of ones
    return found


def halves(log: Log) -> npt.NDArray[np.bool_]:
    """Which customers are of the first half: by a hash of their number, the same always."""
    mixed = (log.who.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return np.asarray(mixed % np.uint64(2) == 0)


def _doubly_robust(log: Log, weights: Floats, policy: Floats) -> Floats:
    first = halves(log)
    expected = np.zeros((len(log), len(log.arms)))
    for asked in (first, ~first):
        expected[asked] = log.contexts[asked] @ fitted(log.among(~asked))
    seen = expected[np.arange(len(log)), log.drawn]
    return np.asarray((policy * expected).sum(axis=1) + weights * (log.reward - seen))


def _mean(values: Floats, who: npt.NDArray[np.intp]) -> Estimate:
    value = float(values.mean())
    return _around(value, values - value, who)


def _around(value: float, influence: Floats, who: npt.NDArray[np.intp]) -> Estimate:
    """The normal interval of a mean, by what each customer adds to it."""
    sums = np.bincount(who, influence)
    half = Z95 * math.sqrt(float((sums**2).sum())) / len(influence)
    return Estimate(value, value - half, value + half)


def _check(log: Log, policy: Floats) -> None:
    if policy.shape != (len(log), len(log.arms)):
        raise ValueError(f"policy: expected {(len(log), len(log.arms))}, got {policy.shape}")
    if not np.allclose(policy.sum(axis=1), 1.0, atol=1e-6) or (policy < -1e-12).any():
        raise ValueError("policy: expected probabilities that add up to 1")
    if not ((log.propensity > 0) & (log.propensity <= 1 + 1e-9)).all():
        raise ValueError("propensity: expected numbers above 0 and up to 1")
