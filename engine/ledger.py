"""A budget's ledger and what shards hold of it: how much was granted in which period.

Must live here: periods as numbered buckets, what a ledger grants, the slice that a shard spends.
Must not: which rule spends what (budgets.py), letters (slices.py).

A calendar period is one bucket. A rolling one is cut into PARTS, and each window of buckets that
could hold it keeps to the limit: so many parts and one more, which makes it a ninth tighter than
written, never looser. What is granted counts as spent until it is given back.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from features.facet import unfolded
from rules.values import Rate

PARTS: Final = 8  # of a rolling period
SHARE: Final = 8  # a slice is at most 1/8 of what is left, for all shards together
BUCKETS_MAX: Final = 64  # that a ledger remembers; from older ones nothing is granted any more


class Bucket(NamedTuple):
    """A period's number, and how many of them a window spans."""

    number: int
    width: int = 1


class Slice(msgspec.Struct, array_like=True):
    """What a shard may still spend of a bucket, in the ledger's unit (coupons, or fen)."""

    used: int  # when it was last spent from, filled or refused, by log time (ms)
    left: int = 0
    size: int = 0  # as it was last granted
    asked: bool = False  # more was asked for ahead
    limit: int = 0  # the budget's, as the shard's rules had it last
    refused: int = 0  # the least that the ledger said no to under this limit; 0 for none
    won: tuple[int, str, str, int] = (0, "", "", 0)  # last spent: as of (ms), rule, customer, much
    codes: list[str] = []  # of a pool: what is left, sealed; see pools.py


def forget(slices: dict[str, Slice], erased: set[str]) -> None:
    """Who was erased is not named as the one who last spent."""
    for held in slices.values():
        if held.won[2] in erased:
            held.won = (0, "", "", 0)


class Ledger(msgspec.Struct, array_like=True):
    """Granted and not given back, by bucket; up to `closed` nothing more is granted."""

    granted: dict[int, int] = {}
    closed: int = -1

    def grant(self, bucket: Bucket, limit: int, need: int, shards: int) -> int:
        """Grant `need`, or a share ahead; nothing where the limit does not leave it in any window.

        Who waits gets no more than he needs: at ten o'clock a thousand of one shard ask before the
        first is answered, and with a share for each the others would find nothing left.
        """
        if bucket.number <= self.closed:
            return 0
        left = limit - max(
            sum(self.granted.get(start + n, 0) for n in range(bucket.width))
            for start in range(bucket.number - bucket.width + 1, bucket.number + 1)
        )
        size = need or left // (SHARE * shards)
        if size > left or size <= 0:
            return 0
        self.granted[bucket.number] = self.granted.get(bucket.number, 0) + size
        while len(self.granted) > BUCKETS_MAX:
            oldest = min(self.granted)
            del self.granted[oldest]
            self.closed = max(self.closed, oldest)
        return size

    def take_back(self, number: int, unspent: int) -> None:
        """A shard did not spend so much of a bucket."""
        if number in self.granted:
            self.granted[number] -= min(unspent, self.granted[number])


@dataclass(slots=True)
class Purse:
    """A shard's slices; with `home` the ledgers too: a world of one shard needs no letters."""

    slices: dict[str, Slice] = field(default_factory=dict)
    home: dict[str, Ledger] | None = None


@lru_cache(maxsize=4_096)
def bucket(rate: Rate, at: int, timezone: str) -> Bucket:
    """The bucket of a rate's period that `at` (ms) falls in.

    >>> bucket(Rate(5, 0, "ever"), 0, "Asia/Shanghai").number
    0
    >>> bucket(Rate(5, 0, "month"), 0, "Asia/Shanghai")
    Bucket(number=23640, width=1)
    >>> bucket(Rate(5, 80), 170, "Asia/Shanghai")
    Bucket(number=17, width=9)
    """
    if rate.calendar in {"run", "ever"}:
        return Bucket(0)
    if not rate.calendar:
        part = max(1, rate.per_ms // PARTS)
        return Bucket(at // part, -(-rate.per_ms // part) + 1)
    day = dt.datetime.fromtimestamp(at / 1_000, ZoneInfo(timezone)).date()
    return Bucket(_PERIODS[rate.calendar](day))


_PERIODS: Final[dict[str, Callable[[dt.date], int]]] = {
    "day": dt.date.toordinal,
    "week": lambda day: (day.toordinal() - 1) // 7,  # from Monday on
    "month": lambda day: day.year * 12 + day.month - 1,
    "year": lambda day: day.year,
}


LEDGER: Final = "ledger"
FACET: Final = unfolded(LEDGER, Ledger)
