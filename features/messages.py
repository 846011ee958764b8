"""What came of the messages sent to him, as their channels report it: receipts become outcomes.

A receipt names the decision it is about (`decision_id`, as the message carried it), so that each
is a row of `outcomes` beside the one of the sending. A receipt without it still counts here.
"""

from typing import Any, Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, number
from features.fold import COUNT_MAX, days, short

FACTS: Final = {
    "Message Delivered": "delivered",
    "Message Opened": "opened",
    "Message Clicked": "clicked",
    "Message Bounced": "bounced",
    "Message Unsubscribed": "unsubscribed",
}
DECISION_ID_LENGTH: Final = 26


class Messages(msgspec.Struct, array_like=True):
    """How many were opened and clicked, and when last (ms)."""

    opened: int = 0
    clicked: int = 0
    opened_at: int = 0
    clicked_at: int = 0


def fold(messages: Messages, event: Event, emit: Emit) -> None:
    """Count it, and tell what came of the decision it names."""
    fact = FACTS[event.name]
    if fact == "opened":
        messages.opened = min(messages.opened + 1, COUNT_MAX)
        messages.opened_at = max(messages.opened_at, event.at)
    elif fact == "clicked":
        messages.clicked = min(messages.clicked + 1, COUNT_MAX)
        messages.clicked_at = max(messages.clicked_at, event.at)
    given = event.properties
    decision = given.get("decision_id", "")
    if len(decision) == DECISION_ID_LENGTH and decision.isascii():
        emit("outcomes", {
            "decision_id": decision, "action": short(given.get("action", "")), "fact": fact,
            "ref": event.message_id, "at": event.at, "rule": _rule(given.get("rule")),
            "channel": short((given.get("channel") or event.channel).strip().lower()),
            "reason": short(given.get("reason", "")),
        })  # fmt: skip


def _rule(given: Any) -> str:
    """The rule's name, which a receiver may give back as the message had it."""
    return short(given) if isinstance(given, str) else ""


def merge(mine: Messages, theirs: Messages) -> Messages:
    """Both sides' counts; the later times."""
    return Messages(
        min(mine.opened + theirs.opened, COUNT_MAX),
        min(mine.clicked + theirs.clicked, COUNT_MAX),
        max(mine.opened_at, theirs.opened_at),
        max(mine.clicked_at, theirs.clicked_at),
    )


FACET: Final = Facet(
    name="messages",
    version=1,
    state=Messages,
    doc="Messages he opened and clicked, as their channels report it.",
    events=frozenset(FACTS),
    fold=fold,
    merge=merge,
    features=(
        number(
            "messages.opened",
            "messages",
            "How often he opened a message, ever.",
            lambda s, _: s.opened,
        ),
        number(
            "messages.clicked",
            "messages",
            "How often he clicked in a message, ever.",
            lambda s, _: s.clicked,
        ),
        number(
            "messages.days_since_opened",
            "days",
            "Since he last opened or clicked one; missing when he never did.",
            lambda s, now: days(max(s.opened_at, s.clicked_at), now),
        ),
    ),
)
