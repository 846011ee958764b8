"""What is in the log: the one shape of a record and the kinds its key tells apart.

Must live here: names every reader and writer of the log shares. Must not: IO, decisions.
"""

from typing import NamedTuple

import msgspec

TICK = b"!tick"
LETTER = b"!letter"
RULES = b"!rules"
MODEL = b"!model"
KILL = b"!kill"
REJECTED = b"!rejected"
VERSIONS = frozenset((RULES, MODEL, KILL))  # what all records after it are decided under


class Record(msgspec.Struct, frozen=True, gc=False):
    """One entry of a shard's log; `log_time` in ms UTC, given by the log and never going back."""

    offset: int
    log_time: int
    key: bytes
    value: bytes


class Append(NamedTuple):
    """What a writer hands to the log; `hint` is the event's own time in ms, 0 for none."""

    shard: int
    key: bytes
    value: bytes
    hint: int = 0


def is_event(key: bytes) -> bool:
    """Whether a record with this key is an event of a customer or a thing (else it is control)."""
    return key[:1] != b"!"
