"""What shards say to each other: letters out of the outboxes into their targets' logs, in order.

Must live here: which letters an entry has. Must not: what a letter says. A shard's letters leave in
the order of its outbox, and the next are read only once the log has acknowledged these; a crash
before the cursor moves appends them again, and the receiver drops ids that it has had.
"""

import msgspec

from engine.records import LETTER, Append
from sinks.outbox import OUTBOX, Entry
from sinks.relay_appends import Appends


class _Entry(msgspec.Struct):
    letters: list[msgspec.Raw] = []


class _Address(msgspec.Struct):
    to: int


_entry = msgspec.json.Decoder(_Entry)
_address = msgspec.json.Decoder(_Address)


class Letters(Appends):
    """The sink that carries letters; their log time is the log's own (hint 0)."""

    name = "letters"
    stream = OUTBOX

    def records(self, entry: Entry) -> list[Append]:
        """See `letters_of`."""
        return letters_of(entry)


def letters_of(entry: Entry) -> list[Append]:
    """The letters of one outbox entry as records of their targets' logs."""
    return [
        Append(_address.decode(letter).to, LETTER, bytes(letter))
        for letter in _entry.decode(entry.body).letters
    ]
