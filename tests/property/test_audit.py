"""The audit log: whatever is done to it by somebody without the secret is found."""

import os
import secrets
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import audit
from engine.audit import AuditBroken, Sealed, record, verify

SECRET, OTHER = b"s" * 16, b"t" * 16
LENGTH = 8
TAMPERINGS = int(os.environ.get("TAMPERINGS", "500"))


class OneRedis:
    """What `record` asks of Redis: the head, and the script's compare and append."""

    def __init__(self) -> None:
        self.head: str = ""
        self.sealed: list[Sealed] = []

    def get(self, _: str) -> bytes | None:
        return self.head.encode() or None

    def eval(self, _script: str, _keys: int, *given: Any) -> bytes:
        _, _, head, name, entry, seal, new_head = given
        if head == self.head:
            self.sealed.append(Sealed(name, entry, seal))
            self.head = new_head
        return self.head.encode()


def written(count: int, secret: bytes = SECRET) -> OneRedis:
    store: Any = OneRedis()
    for number in range(count):
        record(store, secret, "anna", "source added", name=f"s{number}", mark=secrets.token_hex(4))
    return store


LOG = written(LENGTH)
FORGED = written(LENGTH, OTHER)
FORK = written(LENGTH)  # sealed by us, but not of this log
OLDER_HEAD = audit._head(SECRET, LENGTH - 1, LOG.sealed[-2].seal)  # as an intruder may have kept it
NOTED = (LENGTH, LOG.sealed[-1].seal)


def put(log: list[Sealed], at: int, **changed: Any) -> list[Sealed]:
    return [*log[:at], log[at]._replace(**changed), *log[at + 1 :]]


def changed_byte(log: list[Sealed], at: int, other: int) -> list[Sealed]:
    entry, place = log[at].entry, other % len(log[at].entry)
    return put(log, at, entry=entry[:place] + bytes([other % 256]) + entry[place + 1 :])


TAMPERING = {
    "byte": changed_byte,
    "seal": lambda log, at, other: put(
        log, at, seal=["", "é", log[other % len(log)].seal][other % 3]
    ),
    "id": lambda log, at, other: put(log, at, id=f"{other % 10}-{other % 2}"),
    "drop": lambda log, at, _: log[:at] + log[at + 1 :],
    "cut": lambda log, at, _: log[:at],
    "move": lambda log, at, other: moved(log, at, other % len(log)),
    "twice": lambda log, at, other: [*log[:at], log[other % len(log)], *log[at:]],
    "fork": lambda log, at, other: put(log, at, **FORK.sealed[other % LENGTH]._asdict()),
    "forge": lambda log, at, other: put(log, at, **FORGED.sealed[other % LENGTH]._asdict()),
}
HEADS = ["", FORGED.head, OLDER_HEAD, LOG.head[:-1], LOG.head.replace("8", "7", 1)]


def moved(log: list[Sealed], at: int, to: int) -> list[Sealed]:
    left = log[:at] + log[at + 1 :]
    return [*left[:to], log[at], *left[to:]]


@st.composite
def tamperings(draw: st.DrawFn) -> SimpleNamespace:
    """The log and its head after one to three things done to them."""
    log, head = list(LOG.sealed), LOG.head
    for _ in range(draw(st.integers(1, 3))):
        how = draw(st.sampled_from((*TAMPERING, "head")))
        if how == "head":
            head = draw(st.sampled_from(HEADS))
        elif log:
            at = draw(st.integers(0, len(log) - 1))
            log = TAMPERING[how](log, at, draw(st.integers(0, 10_000)))
    return SimpleNamespace(log=log, head=head)


@settings(max_examples=TAMPERINGS, deadline=None)
@given(tamperings())
def test_any_tampering_is_found(tampered):
    untouched = tampered.log == LOG.sealed and tampered.head == LOG.head
    rolled_back = tampered.head == OLDER_HEAD  # that alone needs what was noted elsewhere
    found = verify(tampered.log, tampered.head, SECRET, NOTED if rolled_back else None)
    assert bool(found.faults) is not untouched


def test_what_was_written_holds_and_nothing_at_all_does_not():
    assert verify(LOG.sealed, LOG.head, SECRET) == (LENGTH, LOG.sealed[-1].seal, ())
    assert verify([], "", SECRET).faults


def test_a_log_and_its_head_put_back_together_are_found_by_what_was_noted():
    older = written(3)
    assert not verify(LOG.sealed, LOG.head, SECRET, NOTED).faults
    assert not verify(older.sealed, older.head, SECRET).faults
    assert verify(older.sealed, older.head, SECRET, NOTED).faults


def test_a_broken_head_takes_no_entry():
    store: Any = written(3)
    store.head = FORGED.head
    with pytest.raises(AuditBroken, match="not ours"):
        record(store, SECRET, "anna", "user added")
    assert len(store.sealed) == 3


def test_an_answer_that_was_lost_is_settled_by_the_head():
    class Twice(OneRedis):
        def eval(self, *given: Any) -> bytes:
            super().eval(*given)
            return super().eval(*given)

    store: Any = Twice()
    assert [record(store, SECRET, "anna", "user added") for _ in range(2)] == [1, 2]
    assert not verify(store.sealed, store.head, SECRET).faults


def test_details_are_bounded_and_a_customer_has_another_name():
    with pytest.raises(ValueError, match="at most"):
        record(OneRedis(), SECRET, "anna", "rules published", text="x" * 5_000)
    assert audit.pseudonym(SECRET, "u:1") == audit.pseudonym(SECRET, "u:1")
    assert audit.pseudonym(SECRET, "u:1") != audit.pseudonym(OTHER, "u:1")
