"""What happened in a simulated world, as plain values: all that the auditor is told.

Must live here: the facts' shapes. Must not: anything of the engine, judgement. A position is
(offset, step); `body` is an outbox entry's JSON; tokens are a worker's, a new one at each claim.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Position = tuple[int, int]


class Logged(NamedTuple):
    """A record of a shard's log as it stands at the end."""

    offset: int
    log_time: int
    key: bytes
    value: bytes


class Claimed(NamedTuple):
    """A worker became the owner of a shard."""

    shard: int
    token: bytes


class Committed(NamedTuple):
    """The store applied a commit."""

    shard: int
    token: bytes
    before: Position
    after: Position
    body: bytes


class Rewound(NamedTuple):
    """The store lost its last second: the shard stands where it stood, under the owner of then."""

    shard: int
    owner: bytes
    position: Position


class Inserted(NamedTuple):
    """A row reached a table; a repeat is a second fact."""

    table: str
    row: dict[str, Any]


class Called(NamedTuple):
    """A message reached its receiver; `first` unless it has had the key before."""

    key: str
    coupons: tuple[str, ...]
    first: bool


class Stopped(NamedTuple):
    """A worker stopped by itself; `declared` when the world had given it a reason to."""

    shard: int
    why: str
    declared: bool


Fact = Claimed | Committed | Rewound | Inserted | Called | Stopped


@dataclass
class History:
    """One run: the logs at its end, the facts in order, and what the world declares of itself."""

    logs: list[list[Logged]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    acknowledged: set[tuple[bytes, bytes]] = field(default_factory=set)  # (key, value) of events
    bad: set[bytes] = field(default_factory=set)  # values that must end in quarantine
    codes: frozenset[str] = frozenset()  # imported
    unsent: set[str] = field(default_factory=set)  # decisions: the message never left, and was told
    stock: tuple[str, ...] = ()  # what pools and slices hold at the end, as a code's life is named
    plain: frozenset[str] = frozenset()  # customers that the model follows, who never merge
    held: frozenset[str] = frozenset()  # customers of whom the store holds something at the end
    redeliveries_max: int = 0  # what kills and lost seconds had in flight
    late_ms: int = 0  # 0 in record time, where nothing is late
    recovered: bool = True
    waiting: int = 0  # records and outbox entries that nobody had taken at the end
