"""Complaints at the merchant they are about: counted by product and topic, and a spike is an event.

Must live here: the letter from the customer's shard, what the merchant `m:<id>` keeps, the event
Complaint Spiked, and forgetting an erased reviewer. Must not: the test (features/models/spikes.py),
what a complaint is (features/reviews.py), the alert (a rule's).

A complaint counts for its product and its topic, and for the topic over all the merchant's
products; one person's counts once in a window. What all products together show is told when no one
product of them stands out. The merchant never learns who wrote: a reviewer is a mark made with the
shop's secret, by which an erasure finds what he said.
"""

import hashlib
import hmac
from typing import Any, Final

import msgspec

from engine.effects import Effects, Letter, Moment
from engine.fields import THINGS
from features.customer import Customer
from features.events import Event, encode
from features.facet import unfolded
from features.fold import short
from features.models.spikes import Kind, Said, Spike, judge, note
from features.reviews import is_complaint, topics

COMPLAINT: Final = "complaint"
FORGET: Final = "forget"
SPIKED: Final = "Complaint Spiked"
MERCHANT: Final = "m:"
OTHER: Final = "other"  # of no topic that is known
KINDS_MAX: Final = 400  # of products and topics
EXAMPLES_MAX: Final = 3
TEXT_MAX: Final = 60  # characters of an example
_PARTING: Final = "\x1f"


class Complaints(msgspec.Struct, array_like=True):
    """Product and topic -> its complaints; product "" are all products."""

    kinds: dict[str, Kind] = {}


def mark(secret: bytes, cid: str) -> str:
    """What stands for a reviewer where he is not to be known."""
    return hmac.new(secret, b"reviewer " + cid.encode(), hashlib.sha256).hexdigest()[:24]


def tell_merchant(cid: str, event: Event, moment: Moment, effects: Effects) -> None:
    """A complaint about a merchant goes to him, if it is one."""
    given = event.properties
    merchant = given.get("merchant_id")
    if not merchant or not is_complaint(event):
        return
    body = {
        "at": event.at, "id": event.message_id, "product": given.get("product_id", ""),
        "topics": topics(event) or [OTHER], "text": given.get("text", "")[:TEXT_MAX],
        "by": mark(moment.settings.secret, cid),
    }  # fmt: skip
    effects.letters.append(Letter(MERCHANT + merchant, COMPLAINT, body, moment.offset))


def forget_at_merchants(
    customer: Customer, ids: list[str], moment: Moment, effects: Effects
) -> None:
    """He is erased: what merchants hold of his words goes."""
    marks = [mark(moment.settings.secret, cid) for cid in ids]
    for merchant in sorted(customer.state("reviews").merchants):
        effects.letters.append(Letter(MERCHANT + merchant, FORGET, {"by": marks}, moment.offset))


def receive_complaint(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """The merchant hears of a complaint: it is counted, and may be one too many."""
    complaints: Complaints = customer.touch(COMPLAINTS)
    product = short(body["product"])
    for topic in body["topics"]:
        products = dict.fromkeys((product, ""))
        spikes = {name: _take_in(complaints, name, topic, body) for name in products}
        stands_out = product and _kind(complaints, product, topic).high
        for name, spike in spikes.items():
            if spike is not None and (name or not stands_out):
                event = _event(customer.cid, complaints, name, topic, spike, body, moment)
                effects.letters.append(event)
    while len(complaints.kinds) > KINDS_MAX:
        del complaints.kinds[min(complaints.kinds, key=lambda name: _age(complaints, name))]


def _age(complaints: Complaints, name: str) -> tuple[int, str]:
    return max(complaints.kinds[name].hours), name


def _kind(complaints: Complaints, product: str, topic: str) -> Kind:
    return complaints.kinds[f"{product}{_PARTING}{topic}"]


def _take_in(
    complaints: Complaints, product: str, topic: str, body: dict[str, Any]
) -> Spike | None:
    kind = complaints.kinds.setdefault(f"{product}{_PARTING}{topic}", Kind(body["at"]))
    fresh = note(kind, Said(body["at"], body["by"], body["text"]))
    for said in kind.held[: -2 * EXAMPLES_MAX]:
        said.text = ""  # no more words are kept than an alarm may show
    return judge(kind) if fresh else None


def _event(
    cid: str,
    complaints: Complaints,
    product: str,
    topic: str,
    spike: Spike,
    body: dict[str, Any],
    moment: Moment,
) -> Letter:
    """The event, sent to the merchant himself: a record like any other."""
    held = [said for said in reversed(_kind(complaints, product, topic).held) if said.text]
    shown = held[:EXAMPLES_MAX]
    properties: dict[str, Any] = {
        "merchant_id": cid.removeprefix(MERCHANT), "topic": topic, "count": spike.many,
        "expected": spike.expected, "hours": spike.hours,
        "examples": [said.text for said in shown], "reviewers": [said.by for said in shown],
    }  # fmt: skip
    if product:
        properties["product_id"] = product
    event = Event(
        type="track", name=SPIKED, message_id=f"{body['id']}:{topic}:{product}", at=body["at"],
        source="laike", received_at=max(body["at"], moment.log_time), properties=properties,
    )  # fmt: skip
    told = {"value": encode(event).decode(), "path": [], "emitted": 1}
    return Letter(cid, "event", told, moment.offset)


def receive_forget(
    customer: Customer,
    body: dict[str, Any],
    moment: Moment,  # noqa: ARG001 - a letter's shape
    effects: Effects,  # noqa: ARG001
) -> None:
    """A reviewer was erased: his words go from here; that there was a complaint stays counted."""
    marks, complaints = set(body["by"]), customer.touch(COMPLAINTS)
    for kind in complaints.kinds.values():
        for said in kind.held:
            if said.by in marks:
                said.text = ""
    for fields in customer.touch(THINGS).kinds.get(COMPLAINT, {}).values():
        if "examples" in fields:
            fields["examples"][1] = []


COMPLAINTS: Final = "complaints"
FACET: Final = unfolded(COMPLAINTS, Complaints)  # letters tell it (`receive`)
