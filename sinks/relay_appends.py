"""Sinks that put what commits and sends left back into the log: letters and receipts.

Must live here: appending it, in order and in parts. Must not: what is appended.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from engine.log import Log, LogAway
from engine.records import Append
from sinks.outbox import Entry
from sinks.relay_loop import Away

PER_APPEND: Final = 500


class Appends(ABC):
    """A subclass says its `name`, which `stream` it reads, and what an entry has for the log."""

    linger_seconds = 0.0
    batch = 1000

    def __init__(self, log: Log) -> None:
        self.log = log

    @abstractmethod
    def records(self, entry: Entry) -> Sequence[Append]:
        """What of an entry is appended, in order."""

    def weigh(self, entry: Entry) -> int:  # noqa: ARG002 - it waits for no company
        """Count entries."""
        return 1

    async def take(self, entries: Sequence[Entry]) -> int:
        """Append what all of these entries have."""
        found = [one for entry in entries for one in self.records(entry)]
        for start in range(0, len(found), PER_APPEND):
            try:
                await self.log.append(found[start : start + PER_APPEND])
            except LogAway as away:
                raise Away(f"the log: {away}") from away
        return len(found)
