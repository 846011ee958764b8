"""Many seeds, on every core: the sum of what was injected, lost, duplicated, and how fast it went.

Must live here: running and adding up. Must not: printing, a single run. Recovery is the simulated
time from an episode's last fault to the moment when every record is decided and every outbox is
carried away; restarts, reads, commits and sends have simulated durations.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from simulator.faults.run import Outcome, simulate


def run(
    seeds: Sequence[int], jobs: int, mutation: str, told: Callable[[int, int], None]
) -> list[Outcome]:
    """The outcomes of all seeds, in their order; `told` hears how many are done."""
    one = partial(simulate, mutation=mutation)
    found: list[Outcome] = []
    if jobs <= 1 or len(seeds) == 1:
        for outcome in map(one, seeds):
            found.append(outcome)
            told(len(found), len(seeds))
        return found
    context = multiprocessing.get_context("forkserver")
    with context.Pool(jobs) as pool:
        for outcome in pool.imap_unordered(one, seeds, chunksize=4):
            found.append(outcome)
            told(len(found), len(seeds))
    return sorted(found, key=lambda outcome: outcome.seed)


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """What many runs come to; `failures` still without their shortest traces."""
    outcomes = list(outcomes)
    faults: Counter[str] = Counter()
    workload: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
        workload.update(outcome.workload)
    times = sorted(ms for outcome in outcomes for ms in outcome.recovery_ms)
    return {
        "seeds": len(outcomes),
        "faults": dict(faults.most_common()),
        "workload": dict(workload.most_common()),
        "steps": sum(outcome.steps for outcome in outcomes),
        "lost": sum(outcome.lost for outcome in outcomes),
        "duplicated": sum(outcome.duplicated for outcome in outcomes),
        "recovery_ms": {"p50": _share(times, 0.5), "p99": _share(times, 0.99)},
        "failures": [],
    }


def _share(times: list[float], share: float) -> float:
    return round(times[min(len(times) - 1, int(share * len(times)))], 1) if times else 0.0
