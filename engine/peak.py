"""A peak: while very much comes in, timers of lower-priority rules wait at the ticks of a shard.

Must live here: when a peak is on, who waits, what is not counted as late. Must not: a clock; the
records of the log alone say it, so a restart and a replay see the same peaks.

A peak lasts from a tick to a tick while more than `peak_rate` records a second came in between. A
customer whose due timers are all of rules below timers.LOWER waits, and is looked at LOOK_MS
later: what waited catches up spread over a minute, not at once. This changes when a
decision comes, not which: a timer fires as of its due time and before the customer's next own
record, peak or not. Rules that act at once, at their event, do not wait.
"""

from collections.abc import Sequence
from typing import Final

from engine.records import Record
from engine.store import ShardState

LOOK_MS: Final = 60_000
PEAKS_KEPT: Final = 16
Span = list[int]  # began, ended: log times, ms


def at_tick(state: ShardState, tick: Record, rate: int) -> bool:
    """Note a tick, once however many commits it takes; whether a peak is on at it."""
    offset, before = state.tick
    now = state.log_time
    if tick.offset != offset:
        busy = before and (tick.offset - offset) * 1000 > rate * max(1, now - before)
        if rate and busy:
            if not (state.peaks and state.peaks[-1][1] == before):
                state.peaks = [*state.peaks, [before, now]][-PEAKS_KEPT:]
            state.peaks[-1][1] = now
        state.tick = (tick.offset, now)
    return bool(state.peaks) and state.peaks[-1][1] == state.tick[1]


def excused(peaks: Sequence[Span], since: int, until: int) -> int:
    """How much of `since` to `until` (ms) was a peak, or the minute after one.

    >>> excused([[100_000, 200_000]], 150_000, 500_000)
    110000
    """
    total, covered = 0, since
    for began, ended in peaks:
        start, end = max(began, covered), min(ended + LOOK_MS, until)
        if end > start:
            total += end - start
            covered = end
    return total
