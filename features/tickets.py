"""Service tickets: those that are open, and every fact about one as a row of `ticket_facts`.

A Survey Answered of kind csat that names a ticket rates it. At most 20 open ones are kept.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, number
from features.fold import COUNT_MAX, days, short

OPEN_MAX: Final = 20
FACTS: Final = {
    "Ticket Opened": "opened",
    "Ticket Assigned": "assigned",
    "Ticket Replied": "replied",
    "Ticket Resolved": "resolved",
    "Ticket Reopened": "reopened",
    "Survey Answered": "rated",
}
OPENING: Final = frozenset(("opened", "reopened"))


class Tickets(msgspec.Struct, array_like=True):
    """Ticket -> when it was opened; ticket -> when it was resolved last (both ms)."""

    open: dict[str, int] = {}
    closed: dict[str, int] = {}
    count: int = 0
    last_score: float | None = None


def fold(tickets: Tickets, event: Event, emit: Emit) -> None:
    """Note the fact; the latest word by its own time says whether a ticket is open."""
    given, fact = event.properties, FACTS[event.name]
    ticket = given.get("ticket_id", "")
    if not ticket or (fact == "rated" and given.get("kind", "csat").lower() != "csat"):
        return
    emit("ticket_facts", {
        "ticket_id": ticket, "at": event.at, "message_id": event.message_id, "fact": fact,
        "staff_id": given.get("staff_id", ""), "team": given.get("team", ""),
        "merchant_id": given.get("merchant_id", ""), "topic": given.get("topic", ""),
        "channel": given.get("channel") or event.channel, "priority": _word(given.get("priority")),
        "due_at": given.get("due_at"), "score": given.get("score") if fact == "rated" else None,
        "by_bot": int(given.get("by_bot", False)),
    })  # fmt: skip
    name = short(ticket)
    if fact in OPENING and event.at >= tickets.closed.get(name, 0):
        if fact == "opened":
            tickets.count = min(tickets.count + 1, COUNT_MAX)
        tickets.closed.pop(name, None)
        tickets.open[name] = min(event.at, tickets.open.get(name, event.at))
    elif fact == "resolved" and event.at >= tickets.open.get(name, 0):
        tickets.open.pop(name, None)
        tickets.closed[name] = max(event.at, tickets.closed.get(name, 0))
    elif fact == "rated" and "score" in given:
        tickets.last_score = given["score"]
    _trim(tickets)


def _word(given: object) -> str:
    return given if isinstance(given, str) else ""


def _trim(tickets: Tickets) -> None:
    for held in (tickets.open, tickets.closed):
        while len(held) > OPEN_MAX:
            del held[min(held, key=lambda name: (held[name], name))]


def merge(mine: Tickets, theirs: Tickets) -> Tickets:
    """Both one's; a ticket that either knows as resolved since it was opened is."""
    united = Tickets(
        {**theirs.open, **mine.open},
        {**theirs.closed, **mine.closed},
        min(mine.count + theirs.count, COUNT_MAX),
        theirs.last_score if mine.last_score is None else mine.last_score,
    )
    for name, at in united.closed.items():
        if at >= united.open.get(name, at + 1):
            del united.open[name]
    _trim(united)
    return united


FACET: Final = Facet(
    name="tickets",
    version=1,
    state=Tickets,
    doc="His service tickets: how many are open, for how long, how he rated the last.",
    events=frozenset(FACTS),
    fold=fold,
    merge=merge,
    features=(
        number(
            "tickets.open",
            "tickets",
            "Tickets that are not resolved, counted as far as 20.",
            lambda s, _: len(s.open),
        ),
        number(
            "tickets.open_days",
            "days",
            "Since the oldest open ticket was opened; missing when none is open.",
            lambda s, now: days(min(s.open.values(), default=0), now),
        ),
        number("tickets.count", "tickets", "Tickets opened, ever.", lambda s, _: s.count),
        number(
            "tickets.last_score",
            "score",
            "How he rated the last ticket that he rated; missing when he rated none.",
            lambda s, _: math.nan if s.last_score is None else s.last_score,
        ),
    ),
)
