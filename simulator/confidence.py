"""Lift's confidence sequence in Python, the twin of the view v_lift, so that it can be tried out.

Must live here: the formula (a test holds it to the view's) and its error when it is looked at again
and again. Must not: rows, the engine. Waudby-Smith et al., "Time-uniform central limit theory and
asymptotic confidence sequences" (arXiv 2103.06476), theorem 2.2; the view says what is added to it.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

ALPHA: Final = 0.05
BUYERS_MIN: Final = 10  # in each arm, before there is an interval
TIGHTEST: Final = 10_000  # customers, of two equal arms, at which it is tightest
Interval = tuple[float, float]


class Arm(NamedTuple):
    """What is known of an arm: its customers, the sum of their values and of their squares."""

    n: int
    total: float
    squares: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Arm":
        """One value a customer."""
        known = list(values)
        return cls(len(known), sum(known), sum(value * value for value in known))

    @property
    def mean(self) -> float:
        """The mean a customer."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """The variance a customer, by n."""
        return max(0.0, self.squares / self.n - self.mean**2)


def factor(n1: float, n0: float) -> float:
    """By how many standard errors the sequence reaches to either side.

    >>> round(factor(5_000, 5_000), 2), round(factor(900, 100), 2)
    (3.04, 5.11)
    """
    x = -2 * math.log(ALPHA)
    time = 4 * n1 * n0 / (n1 + n0) * (x + math.log(x) + 1) / TIGHTEST
    return math.sqrt(2 * (time + 1) / time * math.log(math.sqrt(time + 1) / ALPHA))


def sequence(treated: Arm, held: Arm, buyers: tuple[float, float]) -> Interval | None:
    """The difference of the means, right at every look at once; None while few have bought."""
    if min(buyers) < BUYERS_MIN:
        return None
    both = Arm(treated.n + held.n, treated.total + held.total, treated.squares + held.squares)
    welch = treated.variance / treated.n + held.variance / held.n
    pooled = both.variance * (1 / treated.n + 1 / held.n)
    return _around(treated, held, factor(treated.n, held.n) * math.sqrt(max(welch, pooled)))


def fixed(treated: Arm, held: Arm) -> Interval:
    """The usual interval, right when looked at once."""
    welch = treated.variance / treated.n + held.variance / held.n
    return _around(treated, held, 1.96 * math.sqrt(welch))


def _around(treated: Arm, held: Arm, half: float) -> Interval:
    lift = treated.mean - held.mean
    return lift - half, lift + half


def looks(seed: int, *, share: float, buys: float, money: bool = False,
          customers: int = 20_000, every: int = 100) -> tuple[bool, bool]:  # fmt: skip
    """A rule without any effect, looked at after every so many customers.

    Whether the sequence ever left 0, and whether the usual interval did at any of the same looks.
    """
    random = np.random.default_rng(seed)
    held = random.random(customers) < share
    bought = (random.random(customers) < buys).astype(float)
    values = bought * random.lognormal(5, 1, customers) if money else bought
    columns = (np.ones(customers), values, values**2, bought)
    sums = [[np.cumsum(column * mask) for column in columns] for mask in (~held, held)]
    left, usual = False, False
    for at in range(every - 1, customers, every):
        (n1, t1, s1, b1), (n0, t0, s0, b0) = ([float(c[at]) for c in arm] for arm in sums)
        arms = Arm(int(n1), t1, s1), Arm(int(n0), t0, s0)
        found = sequence(*arms, buyers=(b1, b0))
        if found is None:
            continue
        left = left or not found[0] <= 0 <= found[1]
        low, high = fixed(*arms)
        usual = usual or not low <= 0 <= high
    return left, usual
