"""What is told of a bandit's draws: each that acts is told once, what came of it at most once.

Must live here: the law of the learner's examples. Must not: what a draw is worth.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from simulator.faults.auditor.chain import Chains
from simulator.faults.history import History

MODEL: Final = "bandit"
PLACES: Final = frozenset({"draw-offers/1"})


def draws(_: History, chains: Chains) -> Iterator[str]:
    """By who, when and which arm; what came of one may come to an id that took him in."""
    told: Counter[tuple[Any, ...]] = Counter()
    came: Counter[tuple[Any, ...]] = Counter()
    for row in chains.rows("examples"):
        if row["model"] == MODEL and "cost" in row:
            told[row["place"], row["at"], row["arm"], row["cid"], row["propensity"]] += 1
        elif row["model"] == MODEL:
            came[row["place"], row["at"], row["arm"]] += 1
            if not row["after_ms"] > 0 or row["reward"] < 0:
                yield f"a draw at {row['at']} was rewarded {row['reward']} before it was made"
    made: Counter[tuple[Any, ...]] = Counter(
        (f"{row['rule']}/{row['step']}", row["at"], row["split"], row["cid"], row["propensity"])
        for row in chains.acting()
        if f"{row['rule']}/{row['step']}" in PLACES
    )
    for one in sorted((made - told) + (told - made), key=repr):
        yield f"draw {one}: made {made[one]} times, told {told[one]} times"
    drawn = Counter[tuple[Any, ...]]()
    for one, many in made.items():
        drawn[one[:3]] += many
    for one in sorted(came - drawn, key=repr):
        yield f"draw {one}: what came of it was told {came[one]} times, made {drawn[one]} times"
