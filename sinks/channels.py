"""What leaves for a customer: the messages in an outbox entry, and what a channel is.

Must live here: Message, Channel and its answers, which actions become messages. Must not: IO,
cursors, a particular channel. A message's key is `<decision id>:<action>`, the same at every
repeat, so that a receiver who honours it sends once.

    Later    the receiver may take it another time: it is tried again until `not_after`
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

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

    @property
    def key(self) -> str:
        """What a receiver tells a repeat by."""
        return f"{self.decision_id}:{self.action}"

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
    """The receiver will never take it."""

    reason: str


Result = Sent | Failed


class Later(Away):
    """Not now: `pause` is how long the receiver asks us to wait, in seconds.

    `answered`: it was there and broke on this message, so the message may be why.
    """

    def __init__(self, reason: str, pause: float = 0.0, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        self.answered = answered


class Channel(Protocol):
    """A way out. Each has a cursor of its own, so that a dead one holds up no other."""

    async def send(self, message: Message) -> Result:
        """Send once. Raises Later."""

    async def close(self) -> None:
        """Give back what it holds."""


class _Entry(msgspec.Struct):
    decisions: list[dict[str, Any]] = []


_entry = msgspec.json.Decoder(_Entry)


def messages_of(entry: Entry) -> list[Message]:
    """The messages of one outbox entry, through whatever channel."""
    read = _entry.decode(entry.body)
    return [
        _message(decision, action, decision["at"] + decision.get("latency_ms", 0))
        for decision in read.decisions
        if acts(decision)
        for action in decision.get("actions") or ()
        if action.get("kind") == "notify"
    ]


def _message(decision: dict[str, Any], action: dict[str, Any], log_time: int) -> Message:
    coupons = [
        {name: value for name, value in other.items() if name != "kind"}
        for other in decision["actions"]
        if other.get("kind") == "coupon"
    ]
    return Message(
        decision_id=decision["decision_id"],
        action=action.get("name") or f"notify:{action.get('template', '')}",
        rule=decision["rule"],
        cid=decision["cid"],
        via=action.get("channel") or (action.get("via") or [""])[0],
        template=action.get("template", ""),
        values=action.get("with") or {},
        to=action.get("to") or "",
        coupons=coupons,
        at=decision["at"],
        log_time=log_time,
        not_after=decision.get("not_after") or log_time + EXPIRES_MS,
        version=decision.get("log_offset", 0),
        purpose=decision.get("purpose", ""),
    )


def _iso(ms: int) -> str:
    at = datetime.fromtimestamp(instant(ms) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
