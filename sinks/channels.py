"""What leaves for somebody: a message, what a channel is, and what it answers.

Must live here: Message, Channel, Sent, Failed, Later. Must not: which actions become messages
(messages.py), IO, cursors, a particular channel. A message's key is `<decision id>:<action>`, the
same at every repeat and on every channel, so that a receiver who honours it sends once.

    Later    the receiver may take it another time: it is tried again until `not_after`
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson

from sinks.relay_loop import Away
from sinks.rows import Row, instant

NOTIFY = "notify"


@dataclass(frozen=True)
class Message:
    """One action of an acting decision, on its way through one channel. Times in ms.

    Of kind `notify` it is for the customer; `alert`, `task` and `webhook` are for the shop's own
    people and systems: no consent, no quiet hours.
    """

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
    pooled: bool = False  # it alone leaves with them, and a code of theirs is of a pool
    kind: str = NOTIFY
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
            "type": self.kind,
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
    long to wait with this message alone, twice as long at each repeat. `unsent`: certainly nothing
    of it arrived.
    """

    def __init__(
        self,
        reason: str,
        pause: float = 0.0,
        *,
        answered: bool = False,
        rest: float = 0.0,
        unsent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.unsent = unsent
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


def _iso(ms: int) -> str:
    at = datetime.fromtimestamp(instant(ms) / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
