"""What a decision is handed and what it gives back: values in, rows out, no IO between.

Must live here: the moment a record is decided at, and the collected effects of a batch.
Must not: logic.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.ledger import Purse
from rules.book import Book

LATE_EVENT_MS = 600_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same for a shard: its number and count, the coupons' secret, its clock."""

    shard: int
    shards: int
    secret: bytes
    record_clock: bool = False
    faults_max: int = 100  # of the last 10,000 records: more, and the worker stops
    peak_rate: int = 0  # records a second from which lower-priority timers wait; 0: never
    pools: bool = True  # False: imported codes are made up, without end, as in a backtest


@dataclass(slots=True)
class Moment:
    """When and under what a record is decided: log time in ms, its offset, rules and scores.

    One for a run of records; only log time and offset move on from record to record.
    """

    settings: Settings
    book: Book
    log_time: int
    offset: int
    models: Mapping[str, Any] = field(default_factory=dict)  # name -> scorer; one may be missing
    model: str = ""  # the version they are of
    presets: Mapping[str, Any] = field(
        default_factory=dict
    )  # features laid over the customer's own, in rule examples
    arm: str = ""  # forced in rule examples: "treated" or "holdout"
    draws: Collection[str] = ()  # forced in rule examples: branches that are drawn where there are
    peaks: Sequence[list[int]] = ()  # what is not counted as late: from and to (ms)
    depth: int = 0  # how many rules in a row emitted the event at hand
    killed: Sequence[str] = ()  # what the kill switch stops
    purse: Purse | None = None  # slices of budgets; without one nothing is asked of budgets


class Letter(NamedTuple):
    """A message to a customer of any shard; its id and predecessor are given at the commit."""

    cid: str
    kind: str
    body: Row
    offset: int
    shard: int = -1  # to a shard, about no customer (`cid` is "")


@dataclass(slots=True)
class Effects:
    """All that a run of records caused beside the customers' new states, in order."""

    decisions: list[Row] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    facts: dict[str, list[Row]] = field(default_factory=dict)
    examples: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    erasures: list[Row] = field(default_factory=list)
    told: list[tuple[str, Row]] = field(default_factory=list)  # by the folds of the event at hand
    skipped: list[tuple[int, str]] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("events", "processed", "duplicate", "forwarded", "quarantined", "erased"), 0
        )
    )

    def tell(self, table: str, row: Row) -> None:
        """What a fold emits with; whose it is, who folds it knows."""
        self.told.append((table, row))

    def fact(self, table: str, row: Row) -> None:
        """Note a row for one of the analysts' tables."""
        self.facts.setdefault(table, []).append(row)
