"""Who changed what: a log whose every entry seals the one before it.

Must live here: how an entry is made, appended and verified. Must not: who may read it, printing.

    laike:audit         a stream, ids 1-0, 2-0, …: e the entry's JSON, h its seal in hex
    {laike:audit}:head  "<seq> <seal> <seal of these two>": which is the last, so a cut tail shows

An entry is {seq, at, who, what, details, before}, `before` being the seal of the one before. A seal
is an HMAC under the installation's secret: who can write to Redis, and no more, cannot make one.
Appending compares the head, so two processes never fork the chain. `who` is a user's name, or
`cli:` and the system's name of him; `what` is a past-tense fact: "user added". `details` hold no
personal data: a customer is named by `pseudonym`; a key, a password, a contact has no place there.

Record first, then change: a change without its entry is worse than an entry without its change.

    AuditBroken   the head is not ours or gone: nothing is appended; `laike audit verify` says more
"""

import getpass
import hashlib
import hmac
import os
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson
import redis
from redis.asyncio import Redis as AsyncRedis

STREAM: Final = "laike:audit"
HEAD: Final = "{laike:audit}:head"  # in the stream's slot of a cluster
DETAILS_BYTES_MAX: Final = 4_096
ATTEMPTS_MAX: Final = 1_000  # against others appending at the same time
PAGE: Final = 1_000
FAULTS_MAX: Final = 20  # told; a log torn apart has as many as entries

# ARGV: the head this was made for, the entry's id, the entry, its seal, the new head.
_APPEND: Final = """
local head = redis.call('GET', KEYS[2]) or ''
if head ~= ARGV[1] then return head end
redis.call('XADD', KEYS[1], ARGV[2], 'e', ARGV[3], 'h', ARGV[4])
redis.call('SET', KEYS[2], ARGV[5])
return ARGV[5]
"""


class AuditBroken(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """The chain cannot be gone on with."""


class Sealed(NamedTuple):
    """An entry as it is stored: the stream's id, its JSON, its seal."""

    id: str
    entry: bytes
    seal: str


class Verdict(NamedTuple):
    """What `verify` found: the last entry's number and seal, and all that is wrong."""

    entries: int
    seal: str
    faults: tuple[str, ...]


class _Step(NamedTuple):
    """One attempt at appending: the script's arguments."""

    head: str
    id: str
    entry: bytes
    seal: str
    new_head: str


def record(store: redis.Redis, secret: bytes, who: str, what: str, **details: Any) -> int:
    """Append an entry; returns its number."""
    head = _text(store.get(HEAD))
    for _ in range(ATTEMPTS_MAX):
        step = _step(secret, head, who, what, details)
        try:
            head = _text(store.eval(_APPEND, 2, STREAM, HEAD, *step))
        except redis.ResponseError as refused:
            raise _broken(refused) from None
        if head == step.new_head:  # now, or by an attempt whose answer was lost
            return int(head.split(" ")[0])
    raise AuditBroken(f"{ATTEMPTS_MAX} attempts, and another process was first each time")


async def record_async(
    store: "AsyncRedis", secret: bytes, who: str, what: str, **details: Any
) -> int:
    """The same, for those who may not block."""
    head = _text(await store.get(HEAD))
    for _ in range(ATTEMPTS_MAX):
        step = _step(secret, head, who, what, details)
        try:
            answer: Any = store.eval(_APPEND, 2, STREAM, HEAD, *step)
            head = _text(await answer)
        except redis.ResponseError as refused:
            raise _broken(refused) from None
        if head == step.new_head:
            return int(head.split(" ")[0])
    raise AuditBroken(f"{ATTEMPTS_MAX} attempts, and another process was first each time")


def local_user() -> str:
    """Who runs this process, as the log names him."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"cli:{os.getuid()}"


def pseudonym(secret: bytes, customer: str) -> str:
    """How the log names a customer: the same each time, and of no use without the secret."""
    return hmac.new(secret, b"audit-customer\n" + customer.encode(), hashlib.sha256).hexdigest()[
        :16
    ]


def read(store: redis.Redis) -> tuple[list[Sealed], str]:
    """All entries and the head, of one moment: the last page and the head come together."""
    found: list[Sealed] = []
    while True:
        with store.pipeline(transaction=True) as both:
            both.xrange(STREAM, min=f"({found[-1].id}" if found else "-", count=PAGE)
            both.get(HEAD)
            page, head = both.execute()
        found += [
            Sealed(name.decode(), fields.get(b"e", b""), _text(fields.get(b"h")))
            for name, fields in page
        ]
        if len(page) < PAGE:
            return found, _text(head)


def verify(
    sealed: Iterable[Sealed], head: str, secret: bytes, seen: tuple[int, str] | None = None
) -> Verdict:
    """Whether these are all entries as written, from the first to the one that `head` names.

    `seen` is number and seal of an entry noted elsewhere: it finds even a log and a head that were
    both put back to an older state.
    """
    faults: list[str] = []
    number, before, seals = 0, "", {0: ""}
    for one in sealed:
        number, fault = _check(one, number + 1, before, secret)
        if fault:
            faults.append(f"entry {number}: {fault}")
        seals[number] = before = one.seal
    if not number:
        faults.append("there is no entry, and publishing the first rules writes one")
    elif head != _head(secret, number, before):
        faults.append(f"the log ends at {number}, and the head says otherwise: {_told(head)}")
    if seen and seals.get(seen[0]) != seen[1]:
        faults.append(f"entry {seen[0]} is not the one that was noted, or is gone")
    return Verdict(number, before, tuple(faults[:FAULTS_MAX]))


def _check(one: Sealed, number: int, before: str, secret: bytes) -> tuple[int, str]:
    """The entry's number, and what is wrong with it; the next is judged by what stands here."""
    if not hmac.compare_digest(one.seal.encode(), _seal(secret, one.entry).encode()):
        return number, "altered, or written by somebody without the secret"
    told = orjson.loads(one.entry)
    found: int = told["seq"]
    if found != number or one.id != f"{number}-0":
        return found, f"stands where {number} belongs: dropped, moved or added"
    return number, "" if told["before"] == before else "does not follow the one before it"


def _step(secret: bytes, head: str, who: str, what: str, details: dict[str, Any]) -> _Step:
    number, before = 0, ""
    if head:
        last, _, rest = head.partition(" ")
        before = rest.partition(" ")[0]
        if not last.isdigit() or head != _head(secret, int(last), before):
            raise AuditBroken("the audit log's head is not ours: see `laike audit verify`")
        number = int(last)
    number += 1
    if len(orjson.dumps(details)) > DETAILS_BYTES_MAX:
        raise ValueError(f"details of {what!r}: at most {DETAILS_BYTES_MAX} bytes")
    entry = orjson.dumps({
        "seq": number, "at": time.time_ns() // 1_000_000, "who": who, "what": what,
        "details": details, "before": before,
    })  # fmt: skip
    seal = _seal(secret, entry)
    return _Step(head, f"{number}-0", entry, seal, _head(secret, number, seal))


def _seal(secret: bytes, entry: bytes) -> str:
    return _mac(secret, b"audit-entry\n" + entry)


def _mac(secret: bytes, told: bytes) -> str:
    return hmac.new(secret, told, hashlib.sha256).hexdigest()


def _head(secret: bytes, number: int, seal: str) -> str:
    told = f"{number} {seal}"
    return f"{told} {_mac(secret, b'audit-head ' + told.encode())}"


def _told(head: str) -> str:
    return f"{head.partition(' ')[0]:.20}" if head else "there is none"


def _broken(refused: redis.ResponseError) -> AuditBroken:
    return AuditBroken(f"the audit log takes no entry ({refused}): see `laike audit verify`")


def _text(found: Any) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""
