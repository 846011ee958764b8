"""The shortest run that still fails: fewer events, fewer kinds of faults, fewer faults.

Must live here: the search. Must not: a run. The workload and the chances of a seed do not depend on
what is left out, so that a smaller run is the same story told shorter.
"""

from simulator.faults.run import Outcome, simulate
from simulator.faults.world import Allowed

EVENTS_MAX = 300


def shortest(outcome: Outcome, mutation: str = "") -> tuple[Allowed, Outcome]:
    """The smallest allowance found under which the seed still fails, and that run."""
    best, found = Allowed(), outcome

    def fails(one: Allowed) -> bool:
        nonlocal best, found
        tried = simulate(outcome.seed, one, mutation)
        if tried.failures:
            best, found = one, tried
        return bool(tried.failures)

    low, high = 0, EVENTS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(Allowed(events=middle)) else (middle, high)
    kinds = frozenset(found.faults)
    for kind in sorted(kinds):
        fewer = kinds - {kind}
        if fails(Allowed(fewer, best.faults, best.events)):
            kinds = fewer
    low, high = -1, sum(found.faults.values())
    while high - low > 1:
        middle = (low + high) // 2
        fewer_still = Allowed(kinds, middle, best.events)
        low, high = (low, middle) if fails(fewer_still) else (middle, high)
    return best, found
