"""How long an event takes until its outcome is a row: a bounded sample of the latest decisions.

Must live here: the sample and its percentiles. Must not: a clock; times are arguments.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

SAMPLE = 4096


class Latency:
    """The latest decisions' times from event to committed row, in ms."""

    def __init__(self, *, record_clock: bool = False) -> None:
        self.latest: deque[int] = deque(maxlen=SAMPLE)
        self.record_clock = record_clock

    def note(self, decisions: Iterable[Mapping[str, Any]], committed_at: int, now: int) -> None:
        """Take in decisions committed at `committed_at` whose rows are written `now` (ms).

        A decision's own `latency_ms` is log time from its event to the commit; in record time
        that is the world's, not the machine's, and only the time since the commit counts.
        """
        since_commit = max(now - committed_at, 0)
        for decision in decisions:
            before = 0 if self.record_clock else int(decision.get("latency_ms") or 0)
            self.latest.append(before + since_commit)

    def percentiles(self) -> dict[str, int]:
        """p50 and p99 of the sample; nothing while it is empty.

        >>> latency = Latency()
        >>> latency.note([{"latency_ms": ms} for ms in range(1, 101)], 1000, 1000)
        >>> latency.percentiles()
        {'p50_ms': 50, 'p99_ms': 99}
        """
        if not self.latest:
            return {}
        ordered = sorted(self.latest)
        last = len(ordered) - 1
        return {f"p{p}_ms": ordered[last * p // 100] for p in (50, 99)}
