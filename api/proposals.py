"""Rules under approval: one proposes a folder's rules, one approves them, then they are in force.

Must live here: proposals, verdicts, who may judge. Must not: HTTP, what a rule means.

    laike:rules:proposals   a hash: number -> {author, at, version, base, rules, note}
    laike:rules:verdicts    a hash: number -> {state, by, at}; none: it is open

A proposal is of the book that was in force when it was made, its base: once another is, it cannot
be approved any more, or it would undo the other unseen. With `two-people` its author never may.

    ProposalError   it cannot be made or judged so; `code` says which of the reasons
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, Literal

import msgspec
import redis
from clickhouse_connect.driver.client import Client

from api import rules_in_force
from engine.audit import record
from rules.errors import RuleError, RuleErrors
from rules.load import BYTES_MAX, FILES_MAX, book_from_sources

PROPOSALS: Final = "laike:rules:proposals"
VERDICTS: Final = "laike:rules:verdicts"
NUMBERS: Final = "laike:rules:proposal"
OPEN_MAX: Final = 100

State = Literal["open", "approved", "rejected"]


class ProposalError(Exception):
    """What was asked of a proposal cannot be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a proposal."""

    state: State = "open"
    by: str = ""
    at: int = 0


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A book somebody wants in force; `base` is what was when he did."""

    author: str
    at: int
    version: str
    base: str
    rules: tuple[str, ...]
    note: str = ""


class Proposals:
    """All of them; `clickhouse` opens a client when a book is published."""

    def __init__(self, store: redis.Redis, secret: bytes, clickhouse: Callable[[], Client]) -> None:
        self._store = store
        self._secret = secret
        self._clickhouse = clickhouse

    def propose(self, author: str, sources: Mapping[str, str], note: str) -> tuple[int, Proposal]:
        """A new one; RuleErrors with all that is wrong in the files."""
        _bounded(sources)
        book = book_from_sources(sources)
        found: Any = self._store.hlen(PROPOSALS), self._store.hlen(VERDICTS)
        if found[0] - found[1] >= OPEN_MAX:
            raise ProposalError("too_many_open", f"{OPEN_MAX} proposals are open: judge some first")
        base = rules_in_force.wanted(self._store)
        if base == book.hash:
            raise ProposalError("no_change", "these rules are in force already")
        made = Proposal(
            author=author,
            at=_now(),
            version=book.hash,
            base=base,
            rules=tuple(sorted(book.rules)),
            note=note,
        )
        number: Any = self._store.incr(NUMBERS)
        self._record(author, "rules proposed", proposal=number, version=book.hash)
        rules_in_force.keep(book, self._store)
        self._store.hset(PROPOSALS, str(number), msgspec.json.encode(made))
        return number, made

    def all(self) -> list[tuple[int, Proposal, Verdict]]:
        """Every proposal and what became of it, the newest first."""
        proposals: Any = self._store.hgetall(PROPOSALS)
        verdicts: Any = self._store.hgetall(VERDICTS)
        found = [
            (int(n), _proposal(text), _verdict(verdicts.get(n))) for n, text in proposals.items()
        ]
        return sorted(found, key=lambda one: -one[0])

    def find(self, number: int) -> tuple[Proposal, Verdict]:
        """One proposal and what became of it."""
        text: Any = self._store.hget(PROPOSALS, str(number))
        if text is None:
            raise ProposalError("no_proposal", f"there is no proposal {number}")
        verdict: Any = self._store.hget(VERDICTS, str(number))
        return _proposal(text), _verdict(verdict)

    def approve(self, who: str, number: int) -> None:
        """Have it published. Twice is once: what was cut off between is finished."""
        proposal, verdict = self.find(number)
        if who == proposal.author and rules_in_force.two_people(self._store):
            raise ProposalError("own_proposal", "another than its author approves a proposal")
        if verdict.state != "approved":
            self._judge(who, number, "approved", proposal)
        in_force = rules_in_force.wanted(self._store)
        if in_force == proposal.version:
            return
        book = rules_in_force.kept(self._store, proposal.version)
        if in_force != proposal.base or book is None:
            raise _stale(number)
        with closing(self._clickhouse()) as client:
            rules_in_force.publish(book, self._store, client, who, _now(), self._secret)

    def reject(self, who: str, number: int) -> None:
        """It will not be published; its author may do so too."""
        proposal, _ = self.find(number)
        self._judge(who, number, "rejected", proposal)

    def _judge(self, who: str, number: int, state: State, proposal: Proposal) -> None:
        if state == "approved" and rules_in_force.wanted(self._store) != proposal.base:
            raise _stale(number)
        verdict = Verdict(state=state, by=who, at=_now())
        if not self._store.hsetnx(VERDICTS, str(number), msgspec.json.encode(verdict)):
            _, found = self.find(number)
            raise ProposalError("judged", f"proposal {number} was {found.state} by {found.by}")
        self._record(who, f"rules {state}", proposal=number, version=proposal.version)

    def _record(self, who: str, what: str, **details: Any) -> None:
        record(self._store, self._secret, who, what, **details)


def _stale(number: int) -> ProposalError:
    told = f"other rules are in force than when proposal {number} was made: propose anew"
    return ProposalError("stale", told)


def _bounded(sources: Mapping[str, str]) -> None:
    """The limits that files have on a disk."""
    wrong = [
        RuleError(name, 0, 0, f"too large: at most {BYTES_MAX} bytes")
        for name, text in sources.items()
        if len(text.encode("utf-8", "replace")) > BYTES_MAX
    ]
    if len(sources) > FILES_MAX:
        wrong.append(RuleError("", 0, 0, f"{len(sources)} files: at most {FILES_MAX}"))
    if wrong:
        raise RuleErrors(wrong)


def _proposal(text: bytes) -> Proposal:
    return msgspec.json.decode(text, type=Proposal)


def _verdict(text: bytes | None) -> Verdict:
    return msgspec.json.decode(text, type=Verdict) if text else Verdict()


def _now() -> int:
    return time.time_ns() // 1_000_000
