"""What leaves for a customer: the messages in an outbox entry, and what a channel is.

Must live here: Message, Channel and its answers, which actions become messages. Must not: IO,
cursors, a particular channel. A message's key is `<decision id>:<action>`, the same at every
repeat and on every channel, so that a receiver who honours it sends once.

    Later    the receiver may take it another time: it is tried again until `not_after`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import msgspec
import orjson

from sinks.outbox import Entry
from sinks.relay_loop import Away
from sinks.rows import Row, acts, instant

EXPIRES_MS = 86_400_000


@dataclass(frozen=True)
class Message:
    """One notify action of an acting decision, on its way through one channel. Times in ms."""

    decision_id: str
    action: str
    rule: str
    cid: str
    via: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)
    to: str = ""
    coupons: list[dict[str, Any]] = field(default_factory=list)  # issued by the same decision
    at: int = 0  # the decision's
    log_time: int = 0  # when it was decided, whatever commit holds it
    not_after: int = 0
    version: int = 0  # the decision's log offset
    purpose: str = ""
    book: str = ""  # the version of the rules it was decided under: its template is of that one
    reads: dict[str, Any] = field(default_factory=dict)  # what its template reads of the customer
    made: dict[str, Any] = field(default_factory=dict)  # what the decision's other actions made
    quiet: tuple[int, int, Literal["defer", "drop"]] | None = None  # as rules.shape_shop.Quiet
    next: tuple[str, ...] = ()  # channels to try after this one
    sole: bool = False  # nothing else tells the customer of the decision's coupons
    hop: int = 0  # how often it was put off, or handed to its next channel
    not_before: int = 0
    language: str = ""
    subject: str = ""
    text: str = ""  # these three are made at the send

    @property
    def key(self) -> str:
        """What a receiver tells a repeat by."""
        return f"{self.decision_id}:{self.action}"

    @property
    def mark(self) -> str:
        """What the relay knows this try of it by: each hop is settled by itself."""
        return f"{self.key}@{self.hop}" if self.hop else self.key

    def elsewhere(self) -> "Message | None":
        """The same through its next channel, None after the last."""
        if not self.next:
            return None
        return replace(self, via=self.next[0], next=self.next[1:], hop=self.hop + 1, not_before=0)

    def later(self, at: int) -> "Message":
        """The same, not to be tried before `at` (ms)."""
        return replace(self, hop=self.hop + 1, not_before=at)

    def json(self) -> bytes:
        """The body a receiver gets, in the envelope that Standard Webhooks proposes."""
        said = {
            "type": "notify",
            "timestamp": _iso(self.at),
            "data": {
                "key": self.key,
                "decision_id": self.decision_id,
                "action": self.action,
                "rule": self.rule,
                "customer": self.cid,
                "to": self.to,
                "via": self.via,
                "template": self.template,
                "language": self.language,
                "subject": self.subject,
                "text": self.text,
                "values": self.values,
                "coupons": self.coupons,
                "not_after": _iso(self.not_after),
            },
        }
        return orjson.dumps(said)

    def outcome(self, fact: str, reason: str = "", at: int | None = None) -> Row:
        """The row of `outcomes` for what came of it; the same at every repeat."""
        return {
            "decision_id": self.decision_id,
            "action": self.action,
            "fact": fact,
            "at": instant(self.log_time if at is None else at),
            "cid": self.cid,
            "rule": self.rule,
            "channel": self.via,
            "reason": reason,
            "version": self.version,
        }


@dataclass(frozen=True)
class Sent:
    """The receiver has it."""


@dataclass(frozen=True)
class Failed:
    """The receiver will never take it; `bounced`: there is nobody at this address."""

    reason: str
    bounced: bool = False


Result = Sent | Failed


class Later(Away):
    """Not now: `pause` is how long the receiver asks us to wait, in seconds.

    `answered`: it was there and broke on this message, so the message may be why. `rest`: how
    long to wait with this message alone, twice as long at each repeat.
    """

    def __init__(
        self, reason: str, pause: float = 0.0, *, answered: bool = False, rest: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        self.answered = answered
        self.rest = rest


class Channel(Protocol):
    """A way out. Each has a cursor of its own, so that a dead one holds up no other."""

    async def send(self, message: Message) -> Result:
        """Send once. Raises Later."""

    async def close(self) -> None:
        """Give back what it holds."""


class _Entry(msgspec.Struct):
    decisions: list[dict[str, Any]] = []
    messages: list[Message] = []


_entry = msgspec.json.Decoder(_Entry)


def messages_of(entry: Entry) -> list[Message]:
    """The messages of one entry, through whatever channel.

    Those of an outbox are in its decisions; one that is tried again is there as it was.
    """
    read = _entry.decode(entry.body)
    found = list(read.messages)
    for decision in read.decisions:
        if acts(decision):
            told = [one for one in decision.get("actions") or () if one.get("kind") == "notify"]
            found += [_message(decision, action, sole=len(told) == 1) for action in told]
    return found


def again_body(messages: list[Message]) -> bytes:
    """The entry of messages that are to be tried again."""
    return orjson.dumps({"messages": messages})


def _message(decision: Mapping[str, Any], action: Mapping[str, Any], *, sole: bool) -> Message:
    log_time = decision["at"] + decision.get("latency_ms", 0)
    others = [other for other in decision["actions"] if other is not action]
    chosen = action.get("channel")
    via = list(dict.fromkeys([*([chosen] if chosen else ()), *(action.get("via") or ())]))
    quiet = action.get("quiet")
    return Message(
        decision_id=decision["decision_id"],
        action=action.get("name") or f"notify:{action.get('template', '')}",
        rule=decision["rule"],
        cid=decision["cid"],
        via=via[0] if via else "",
        template=action.get("template", ""),
        values=action.get("with") or {},
        to=action.get("to") or "",
        coupons=[_plain(other) for other in others if other.get("kind") == "coupon"],
        at=decision["at"],
        log_time=log_time,
        not_after=decision.get("not_after") or log_time + EXPIRES_MS,
        version=decision.get("log_offset", 0),
        purpose=decision.get("purpose", ""),
        book=decision.get("version", ""),
        reads=action.get("reads") or {},
        made=_made(others),
        quiet=tuple(quiet) if quiet else None,
        next=tuple(via[1:]),
        sole=sole and not action.get("optional"),
    )


def _made(others: list[dict[str, Any]]) -> dict[str, Any]:
    """What a template may call what the other actions made: by kind, and by an `as` of theirs."""
    made: dict[str, Any] = {}
    for other in others:
        kind, name = other.get("kind"), str(other.get("name", ""))
        thing = other.get("items") if kind == "recommend" else _plain(other)
        common = {"coupon": "coupon", "points": "points", "recommend": "items"}.get(str(kind))
        if common:
            made.setdefault(common, thing)
            if name.isidentifier():
                made[name] = thing
    return made


def _plain(action: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name != "kind"}


def _iso(ms: int) -> str:
    at = datetime.fromtimestamp(instant(ms) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
