"""Offers made to people whose hearts are known: what the bandit earns beside who knows them.

Must live here: the truth, the people, one seed's decisions under each policy. Must not: the report
(learning_offers.py), the engine (offers_life.py lives a shop with all of it).

Whom nobody has to persuade buys anyway, and a coupon is money lost; who can be persuaded buys for
one; who is lost never; who is tired of us is driven away by a message (people.py). The bandit is
the shop's own: its odds, its learner, its inputs, of which these people show what leans to their
kind. What came of a decision is known some time later; models are published now and then.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from features.fold import DAY_MS
from features.models.bandit import Scorer, vector
from features.models.bandit_learner import Learner
from simulator.catalogue import BRANDS, CATEGORIES
from simulator.people import Kind, Person, born

ARMS: Final = ("coupon", "words", "nothing")
MARGIN: Final = 40.0  # of an order
FACE: Final = 15.0  # of a coupon
CHANCES: Final[Mapping[Kind, tuple[float, float, float]]] = {
    Kind.SURE: (0.33, 0.31, 0.30),
    Kind.PERSUADABLE: (0.30, 0.12, 0.04),
    Kind.LOST: (0.02, 0.01, 0.01),
    Kind.SLEEPING: (0.05, 0.03, 0.10),
}
A_DAY: Final = 200  # decisions
LATER: Final = 300  # decisions until what came of one is known
PUBLISHED: Final = 200  # examples between two models
EXPLORE: Final = 0.05
PLACE: Final = "trial/1"
TENTHS: Final = 10
Odds = Callable[[Sequence[float]], Sequence[float]]


class Case(NamedTuple):
    """One decision: what each arm is truly worth, what is seen, and what chance will say."""

    chances: tuple[float, ...]
    worths: tuple[float, ...]
    inputs: list[float]
    drawn: float
    buys: float


@dataclass
class Earned:
    """What a policy came to: its true worth, in all and by tenths, and what it spent."""

    worth: float = 0.0
    parts: list[float] = field(default_factory=list)  # the worth of each tenth of the decisions
    spent: float = 0.0
    refused: int = 0  # coupons that the budget no longer had


def cases(seed: int, many: int) -> list[Case]:
    """The decisions of a seed, the same for every policy."""
    rng = Random(f"offers {seed}")
    return [_case(born(seed, n, 0, many, 0, tuple(CATEGORIES), BRANDS), rng) for n in range(many)]


def _case(person: Person, rng: Random) -> Case:
    ready = 0.5 + person.intent
    chances = tuple(min(0.95, chance * ready) for chance in CHANCES[person.kind])
    costs = (FACE, 0.0, 0.0)
    worths = tuple(chance * (MARGIN - cost) for chance, cost in zip(chances, costs, strict=True))
    return Case(chances, worths, vector(_seen(person, rng)), rng.random(), rng.random())


def _seen(person: Person, rng: Random) -> dict[str, float]:
    """What the shop knows of him: it leans to his kind, and tells it of nobody for certain."""
    clicks, coupons, orders = {
        Kind.SURE: (1.2, 0.4, 2.5),
        Kind.PERSUADABLE: (2.5, 1.5, 0.8),
        Kind.LOST: (0.2, 0.2, 0.3),
        Kind.SLEEPING: (0.1, 0.2, 1.5),
    }[person.kind]
    ordered = _poisson(orders, rng)
    return {
        "visits.count": float(_poisson(30 * person.visits_per_day, rng)),
        "visits.days_since_last": rng.expovariate(person.visits_per_day),
        "windows.views_7d": float(_poisson(10 * person.visits_per_day, rng)),
        "windows.adds_7d": float(_poisson(person.intent, rng)),
        "cart.value": 100 * person.intent * rng.random(),
        "orders.count": float(ordered),
        "orders.average": 60 + 80 * rng.random() if ordered else math.nan,
        "orders.days_since_last": rng.expovariate(1 / 30) if ordered else math.nan,
        "coupons.redeemed": float(_poisson(coupons, rng)),
        "messages.clicked": float(_poisson(clicks, rng)),
        "seen.days_since_first": rng.expovariate(1 / 60),
    }


def _poisson(mean: float, rng: Random) -> int:
    number, left = 0, rng.expovariate(1.0)
    while left < mean:
        number += 1
        left += rng.expovariate(1.0)
    return number


def always(arm: str) -> Odds:
    """One arm for everybody."""
    odds = [float(one == arm) for one in ARMS]
    return lambda _inputs: odds


def at_random(_inputs: Sequence[float]) -> Sequence[float]:
    """Every arm alike."""
    return [1 / len(ARMS)] * len(ARMS)


class Bandit:
    """The learner and the scorer as a shop has them; `priced` minds the budget's pace."""

    def __init__(self, daily: float = 0.0, *, priced: bool = True) -> None:
        self.learner = Learner()
        self.scorer: Scorer | None = None
        self.daily = daily if priced else 0.0
        self.waiting: deque[tuple[int, dict[str, Any]]] = deque()

    def __call__(self, inputs: Sequence[float]) -> Sequence[float]:
        """The odds by the model in force."""
        if self.scorer is None:
            return at_random(inputs)
        return self.scorer.odds(PLACE, ARMS, inputs, EXPLORE)

    def decided(self, number: int, case: Case, arm: int, odds: Sequence[float], reward: float,
                cost: float) -> None:  # fmt: skip
        """It hears what this decision cost, and in time what came of it."""
        example = {
            "place": PLACE, "arms": ARMS, "arm": ARMS[arm], "inputs": case.inputs,
            "propensity": odds[arm], "at": 1 + number * DAY_MS // A_DAY,
        }  # fmt: skip
        self.learner.learn({**example, "cost": cost, "daily": self.daily})
        self.waiting.append((number + LATER, {**example, "reward": reward}))
        while self.waiting and self.waiting[0][0] <= number:
            self.learner.learn(self.waiting.popleft()[1])
            if self.learner.examples % PUBLISHED == 0:
                self.scorer = Scorer(self.learner.weights())


def lived(known: Sequence[Case], policy: Odds | Bandit, daily: float = 0.0) -> Earned:
    """What a policy comes to over these decisions; `daily` is what coupons may cost a day."""
    found, left = Earned(), daily
    worths: list[float] = []
    for number, case in enumerate(known):
        if number % A_DAY == 0:
            left = daily
        odds = policy(case.inputs)
        arm = _drawn(odds, case.drawn)
        given = arm
        if ARMS[arm] == "coupon" and daily:
            if left < FACE:
                given = ARMS.index("nothing")
                found.refused += 1
            else:
                left -= FACE
        cost = FACE if ARMS[given] == "coupon" else 0.0
        found.spent += cost
        worth = (
            case.worths[given]
            if daily
            else math.fsum(odd * one for odd, one in zip(odds, case.worths, strict=True))
        )
        worths.append(worth)
        if isinstance(policy, Bandit) and given == arm:
            bought = case.buys < case.chances[arm]
            policy.decided(number, case, arm, odds, (MARGIN - cost) * bought, cost)
    return _summed(found, worths)


def _summed(found: Earned, worths: Sequence[float]) -> Earned:
    tenth = len(worths) // TENTHS
    found.worth = math.fsum(worths)
    found.parts = [math.fsum(worths[n * tenth : (n + 1) * tenth]) for n in range(TENTHS)]
    return found


def _drawn(odds: Sequence[float], lot: float) -> int:
    for number, one in enumerate(odds):
        if lot < one:
            return number
        lot -= one
    return len(odds) - 1


def oracle(known: Sequence[Case]) -> Earned:
    """What one earns who knows everybody's heart."""
    return _summed(Earned(), [max(case.worths) for case in known])


def best_seen(known: Sequence[Case]) -> Earned:
    """What the best choice earns that is linear in what is seen, fitted to the truth itself."""
    inputs = np.array([case.inputs for case in known])
    worths = np.array([case.worths for case in known])
    weights, *_ = np.linalg.lstsq(inputs, worths, rcond=None)
    chosen = worths[np.arange(len(known)), np.argmax(inputs @ weights, axis=1)]
    return _summed(Earned(), chosen.tolist())
