"""The store as the engine sees it: one prefetch, one comparing commit, and reading to settle doubt.

Must live here: the protocol, its values and its errors. Must not: a database's client.

    StoreAway     the world is away; whether the commit was applied is unknown until read
    Fenced        another owner has the shard: the process must end
    Stopped       the shard must not go on; the message names the repair
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from engine.ledger import Slice


class StoreAway(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The store cannot be reached; what was asked last may or may not have happened."""


class Fenced(Exception):  # noqa: N818 - an outcome of a comparison
    """Another worker owns the shard now; this one must not write again."""


class Stopped(Exception):  # noqa: N818 - an outcome, with its repair in the message
    """The shard must not be worked on; the message says why and what to do."""


class Position(NamedTuple):
    """Where a shard stands: the next record's offset, and the step within a tick."""

    offset: int
    step: int = 0

    @classmethod
    def parse(cls, text: bytes | None) -> "Position":
        """Read `<offset>:<step>`; nothing written yet is the beginning."""
        offset, _, step = (text or b"0:0").partition(b":")
        return cls(int(offset), int(step or 0))

    def text(self) -> bytes:
        """The form that is stored and compared."""
        return b"%d:%d" % self


CUSTOMERS: Final = "c\0"  # of a shard's index: everybody known here who did not move away


class Round(msgspec.Struct, array_like=True):
    """Something that is to reach many customers of a shard, a part at a time (rounds.py)."""

    kind: str
    prefix: str  # of the index's members that it is to reach
    at: int  # as of when, in ms
    body: dict[str, Any] = {}
    after: str = ""  # the last member that it has reached


class ShardState(msgspec.Struct, array_like=True):
    """What a shard remembers beside its customers; written in each of its commits."""

    log_time: int = 0
    rules: str = ""
    model: str = ""
    letters_in: dict[int, str] = {}  # sending shard -> last letter id applied
    letters_out: dict[int, str] = {}  # target shard -> last letter id written
    files: dict[str, int] = {}  # file hash -> last row applied
    tick_letters: int = 0
    counts: dict[str, int] = {}  # events, processed, duplicates, quarantined, forwarded
    faults: list[int] = []  # offsets quarantined lately, for the 1% bound
    rounds: list[Round] = []  # begun and not yet ended, the first one going on at each tick
    tick: tuple[int, int] = (0, 0)  # the last one: its offset and log time (ms)
    peaks: list[list[int]] = []  # the last of them: from and to log time (ms); see peak.py
    slices: dict[str, Slice] = {}  # of budgets, by ledger and period; see budgets.py
    killed: str = ""  # what the kill switch stopped last; see switches.py
    schedules: dict[str, int] = {}  # rule and schedule -> till when it is seen to (ms)
    alarm: int = 0  # when the shard itself has something to do (ms), as its sorted set has it
    past: dict[str, str] = {}  # old edition of a rule -> the book it is in; see editions.py


class Prefetched(NamedTuple):
    """The state of a shard and of the customers asked for, as of one moment."""

    owner: bytes
    position: Position
    blobs: list[bytes | None]


class Commit(NamedTuple):
    """Everything that a batch changes, applied whole or not at all."""

    shard: int
    token: bytes
    before: Position
    after: Position
    state: bytes
    blobs: dict[str, bytes]  # b"" takes one away
    alarms: dict[str, int]  # customer -> earliest timer (ms); 0 takes it away
    outbox_id: str
    outbox: bytes
    listed: Mapping[str, bool]  # member of the shard's index -> whether it is one from now on


class Store(Protocol):
    """A shard's memory. Every write is a commit that compares owner and position first."""

    async def claim(self, shard: int, token: bytes) -> tuple[Position, bytes | None]:
        """Become the owner; where the shard stands and its ShardState's bytes."""

    async def prefetch(self, shard: int, customers: Sequence[str]) -> Prefetched:
        """One read of owner, position and the customers' blobs."""

    async def due(self, shard: int, until: int, limit: int) -> list[str]:
        """Customers whose earliest timer is at or before `until` (ms), by (due, customer)."""

    async def listed(self, shard: int, prefix: str, after: str, limit: int) -> list[str]:
        """Members of the shard's index that begin so and come after `after`, in order of bytes."""

    async def commit(self, commit: Commit) -> bool:
        """Apply it and say True, or change nothing and say False."""

    async def body(self, kind: str, digest: str) -> bytes | None:
        """The rule book ("rules") or model snapshot ("model") kept under its hash."""
