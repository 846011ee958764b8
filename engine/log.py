"""The log as the engine sees it: append, read, ends, trim. Implementations live in logs/.

Must live here: the protocol and its errors. Must not: a broker's client.
"""

from collections.abc import Sequence
from typing import Protocol

from engine.records import Append, Record


class LogAway(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The log cannot be reached now; the same append may be tried again."""


class LogFull(LogAway):
    """The log takes nothing until its readers catch up; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Log(Protocol):
    """An ordered, durable record of everything that came in, split into shards."""

    shards: int

    async def append(self, items: Sequence[Append]) -> None:
        """Append all, in order within a shard; return once they survive a crash."""

    async def read(self, shard: int, start: int, count: int) -> list[Record]:
        """At most `count` records of `shard` from offset `start` on, in order."""

    async def ends(self) -> list[int]:
        """The next offset of every shard."""

    async def trim(self, shard: int, before: int) -> None:
        """Let go of the records below `before`."""

    async def close(self) -> None:
        """Give the connections back."""
