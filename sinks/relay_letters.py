"""What shards say to each other: letters out of the outboxes into their targets' logs, in order.

Must live here: nothing but the carrying. Must not: what a letter says. A shard's letters leave in
the order of its outbox, and the next are read only once the log has acknowledged these; a crash
before the cursor moves appends them again, and the receiver drops ids that it has had.
"""

from collections.abc import Sequence

import msgspec

from engine.log import Log, LogAway
from engine.records import LETTER, Append
from sinks.outbox import OUTBOX, Entry
from sinks.relay_loop import Away

PER_APPEND = 500


class _Entry(msgspec.Struct):
    letters: list[msgspec.Raw] = []


class _Address(msgspec.Struct):
    to: int


_entry = msgspec.json.Decoder(_Entry)
_address = msgspec.json.Decoder(_Address)


class Letters:
    """The sink that carries letters."""

    name = "letters"
    stream = OUTBOX
    linger_seconds = 0.0
    batch = 1000

    def __init__(self, log: Log) -> None:
        self.log = log

    def weigh(self, entry: Entry) -> int:  # noqa: ARG002 - letters wait for no company
        """Count entries."""
        return 1

    async def take(self, entries: Sequence[Entry]) -> int:
        """Append all letters of these entries; the log time is the log's own (hint 0)."""
        letters = [letter for entry in entries for letter in letters_of(entry)]
        for start in range(0, len(letters), PER_APPEND):
            try:
                await self.log.append(letters[start : start + PER_APPEND])
            except LogAway as away:
                raise Away(f"the log: {away}") from away
        return len(letters)


def letters_of(entry: Entry) -> list[Append]:
    """The letters of one outbox entry as records of their targets' logs."""
    return [
        Append(_address.decode(letter).to, LETTER, bytes(letter))
        for letter in _entry.decode(entry.body).letters
    ]
