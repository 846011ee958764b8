"""What a rule may act once for, and the fields each subject opens to conditions and templates.

Law: a field's value follows from records of the customer that carry the subject's id: `sources`
say from which events, in the order in which they are asked; the latest event wins, unless the
source is the `first` one. A rule reads `order.total` only with `once_per: order`.
Must not live here: keeping the values (the engine does).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rules.scope import Kind

MOMENT: Final = "moment"  # the unit of a field that is a time in ms UTC: `due` and `until` take it
Unit = Literal["", "moment", "money", "id", "points"]
# The properties by which an event names what several events may be about, and what that is.
IDS: Final = {"product_id": "product", "cart_id": "cart", "order_id": "order"}
Ids = tuple[tuple[str, str], ...]


def ids_of(kinds: Collection[str]) -> Ids:
    """Those of IDS that name something of these kinds."""
    return tuple((name, kind) for name, kind in IDS.items() if kind in kinds)


@dataclass(frozen=True)
class Source:
    """An event that tells a field: by a property, by its time (`at`), or by a fixed value.

    `only` are values of further properties that it must have: {"status": {"shipped"}}.
    """

    events: frozenset[str]
    property: str = ""
    at: bool = False
    value: Any = None
    first: bool = False
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class SubjectField:
    """One field: its kind, unit, meaning, where it comes from, and what it is until told."""

    kind: Kind
    doc: str
    sources: tuple[Source, ...] = ()
    unit: Unit = ""
    initial: Any = None  # None: unknown


@dataclass(frozen=True)
class Subject:
    """`ids` are the properties that carry its id; "" when the engine names it itself."""

    doc: str
    ids: tuple[str, ...] = ()
    fields: Mapping[str, SubjectField] = field(default_factory=dict)


def told(names: str, property_: str, *, first: bool = False) -> tuple[Source, ...]:
    """A property of these events (`A|B`)."""
    return (Source(frozenset(names.split("|")), property_, first=first),)


def when(names: str, *, first: bool = True, **only: str) -> tuple[Source, ...]:
    """The time of these events."""
    wanted = {name: frozenset(values.split("|")) for name, values in only.items()}
    return (Source(frozenset(names.split("|")), at=True, first=first, only=wanted),)


def yes(names: str, **only: str) -> tuple[Source, ...]:
    """True once one of these events came."""
    wanted = {name: frozenset(values.split("|")) for name, values in only.items()}
    return (Source(frozenset(names.split("|")), value=True, only=wanted),)


ORDER: Final = "Order Placed|Order Paid|Order Completed|Order Updated"
PAYMENT: Final = "Order Paid|Order Completed"
SHIPPED: Final = "shipped|customs|out_for_delivery|delivered"
SHIPMENT: Final = "Shipment Status Updated"
ADDED: Final = "Product Added"
ABOUT: Final = (
    "Product Viewed|Product Clicked|Product Added|Product Added to Wishlist|Product Launched"
    "|Product Price Changed"
)
TICKET: Final = "Ticket Opened|Ticket Assigned|Ticket Replied|Ticket Resolved|Ticket Reopened"

_ORDER_FIELDS: Final = {
    "id": SubjectField("text", "its id", told(ORDER, "order_id"), "id"),
    "total": SubjectField("number", "what was paid, or is to be", told(ORDER, "total"), "money"),
    "placed_at": SubjectField("number", "when it was placed", when("Order Placed"), "moment"),
    "paid_at": SubjectField("number", "when it was paid", when(PAYMENT), "moment"),
    "promised_ship_at": SubjectField(
        "number", "when it is to leave at the latest",
        told(f"{ORDER}|{SHIPMENT}", "promised_ship_at"), "moment",
    ),
    "promised_delivery_at": SubjectField(
        "number", "when it is to arrive at the latest",
        told(f"{ORDER}|{SHIPMENT}", "promised_delivery_at"), "moment",
    ),
    "paid": SubjectField("flag", "whether it was paid", yes(PAYMENT), initial=False),
    "shipped": SubjectField(
        "flag", "whether it has left", yes(SHIPMENT, status=SHIPPED), initial=False
    ),
    "delivered": SubjectField(
        "flag", "whether it has arrived",
        (*yes("Order Delivered"), *yes(SHIPMENT, status="delivered")), initial=False,
    ),
    "delivered_at": SubjectField(
        "number", "when it arrived",
        (*when("Order Delivered"), *when(SHIPMENT, status="delivered")), "moment",
    ),
    "cancelled": SubjectField("flag", "whether it was cancelled", yes("Order Cancelled"),
                              initial=False),
    "refunded": SubjectField("flag", "whether any of it was refunded", yes("Order Refunded"),
                             initial=False),
    "merchant_id": SubjectField("text", "whose it is", told(ORDER, "merchant_id"), "id"),
    "live_id": SubjectField("text", "the live room it came from", told(ORDER, "live_id"), "id"),
}  # fmt: skip
_PRODUCT_FIELDS: Final = {
    "id": SubjectField("text", "its id", told(f"{ABOUT}|{PAYMENT}", "product_id"), "id"),
    "name": SubjectField("text", "its name", told(f"{ABOUT}|{PAYMENT}", "name")),
    "category": SubjectField("text", "its category", told(f"{ABOUT}|{PAYMENT}", "category")),
    "brand": SubjectField("text", "its brand", told(f"{ABOUT}|{PAYMENT}", "brand")),
    "price": SubjectField("number", "its latest known price", told(ABOUT, "price"), "money"),
    "price_when_added": SubjectField(
        "number", "its price when the customer put it into his cart or favourites",
        told("Product Added|Product Added to Wishlist", "price"), "money",
    ),
    "price_when_bought": SubjectField(
        "number", "its price in his last order", told(PAYMENT, "price"), "money"
    ),
    "added_at": SubjectField("number", "when he last put it into his cart",
                             when(ADDED, first=False), "moment"),
    "viewed_at": SubjectField("number", "when he last looked at it",
                              when("Product Viewed", first=False), "moment"),
    "bought_at": SubjectField("number", "when he last bought it", when(PAYMENT, first=False),
                              "moment"),
    "quantity_bought": SubjectField("number", "how many he last bought", told(PAYMENT, "quantity")),
    "merchant_id": SubjectField("text", "whose it is", told(f"{ABOUT}|{PAYMENT}", "merchant_id"),
                                "id"),
}  # fmt: skip
_COUPON_FIELDS: Final = {
    "id": SubjectField("text", "its id", told("Coupon Issued", "coupon_id"), "id"),
    "code": SubjectField("text", "its code", told("Coupon Issued", "code"), "id"),
    "offer": SubjectField("text", "its offer", told("Coupon Issued", "offer")),
    "off": SubjectField("number", "what it takes off", told("Coupon Issued", "off")),
    "over": SubjectField("number", "from which amount on", told("Coupon Issued", "over"), "money"),
    "issued_at": SubjectField("number", "when it was issued", when("Coupon Issued"), "moment"),
    "expires_at": SubjectField(
        "number", "when it expires", told("Coupon Issued", "expires_at"), "moment"
    ),
    "redeemed": SubjectField("flag", "whether it was used", yes("Coupon Redeemed"), initial=False),
}
_TICKET_FIELDS: Final = {
    "id": SubjectField("text", "its id", told(TICKET, "ticket_id"), "id"),
    "topic": SubjectField("text", "what it is about", told(TICKET, "topic")),
    "priority": SubjectField("text", "its priority", told(TICKET, "priority")),
    "team": SubjectField("text", "who has it", told(TICKET, "team")),
    "opened_at": SubjectField("number", "when it was opened", when("Ticket Opened"), "moment"),
    "due_at": SubjectField("number", "when it is due", told(TICKET, "due_at"), "moment"),
    "resolved": SubjectField(
        "flag", "whether it is resolved",
        (*yes("Ticket Resolved"), Source(frozenset({"Ticket Reopened"}), value=False)),
        initial=False,
    ),
}  # fmt: skip
REVIEWED: Final = "Product Reviewed"
_REVIEW_FIELDS: Final = {
    "rating": SubjectField("number", "its stars", told(REVIEWED, "rating")),
    "text": SubjectField("text", "what it says", told(REVIEWED, "text")),
    "sentiment": SubjectField(
        "number", "how likely what it says is good, 0 to 1", told(REVIEWED, "sentiment")
    ),
    "topics": SubjectField("list", "what it is about", told(REVIEWED, "topics")),
    "product_id": SubjectField("text", "of which product", told(REVIEWED, "product_id"), "id"),
    "order_id": SubjectField("text", "of which order", told(REVIEWED, "order_id"), "id"),
    "merchant_id": SubjectField("text", "of whose product", told(REVIEWED, "merchant_id"), "id"),
}
SPIKED: Final = "Complaint Spiked"
_COMPLAINT_FIELDS: Final = {
    "merchant_id": SubjectField("text", "whose products", told(SPIKED, "merchant_id"), "id"),
    "product_id": SubjectField(
        "text", "which one; unknown: many", told(SPIKED, "product_id"), "id"
    ),
    "topic": SubjectField("text", "what it is about", told(SPIKED, "topic")),
    "count": SubjectField("number", "how many there are", told(SPIKED, "count")),
    "expected": SubjectField("number", "how many are usual", told(SPIKED, "expected")),
    "hours": SubjectField("number", "within how many hours", told(SPIKED, "hours")),
    "examples": SubjectField("list", "what they say", told(SPIKED, "examples")),
}
DRIFTED: Final = "Model Drifted"
_DRIFT_FIELDS: Final = {
    "model": SubjectField("text", "which model", told(DRIFTED, "model")),
    "metric": SubjectField("text", "what of it", told(DRIFTED, "metric")),
    "before": SubjectField("number", "its mean before", told(DRIFTED, "before")),
    "after": SubjectField("number", "its mean since", told(DRIFTED, "after")),
    "examples": SubjectField("number", "how many it had learned", told(DRIFTED, "examples")),
}
REFERRED: Final = "Referral Sent|Referral Accepted"
_REFERRAL_FIELDS: Final = {
    "code": SubjectField("text", "its code", told(REFERRED, "code"), "id"),
    "referrer": SubjectField("text", "who referred", told(REFERRED, "referrer"), "id"),
    "friend": SubjectField("text", "who was referred", told(REFERRED, "friend"), "id"),
    "accepted_at": SubjectField("number", "when", when("Referral Accepted"), "moment"),
}
_LIVE_FIELDS: Final = {
    "id": SubjectField("text", "the room", told("Live Stream Joined", "live_id"), "id"),
    "joined_at": SubjectField("number", "when he joined", when("Live Stream Joined"), "moment"),
    "ended": SubjectField("flag", "whether it is over", yes("Live Ended"), initial=False),
}

SUBJECTS: Final[Mapping[str, Subject]] = {
    "customer": Subject("once ever"),
    "year": Subject("once a calendar year"),
    "month": Subject("once a calendar month"),
    "week": Subject("once a calendar week"),
    "day": Subject("once a day"),
    "tick": Subject("each firing of a schedule, a date, a crossing, a segment's move"),
    "session": Subject("the sender's session, else the visit", ("session_id",)),
    "visit": Subject("a visit: events with less than 30 minutes between them"),
    "cart": Subject("a run of the cart, until it is paid or emptied", ("cart_id",)),
    "order": Subject("an order", ("order_id",), _ORDER_FIELDS),
    "product": Subject("a product", ("product_id",), _PRODUCT_FIELDS),
    "coupon": Subject("a coupon", ("code", "coupon_id"), _COUPON_FIELDS),
    "ticket": Subject("a service ticket", ("ticket_id",), _TICKET_FIELDS),
    "review": Subject("a review: the message that brought it", (), _REVIEW_FIELDS),
    "complaint": Subject("a spike of complaints at a merchant", (), _COMPLAINT_FIELDS),
    "drift": Subject("a model that errs more", (), _DRIFT_FIELDS),
    "referral": Subject("a referral: its code and friend", ("code", "friend"), _REFERRAL_FIELDS),
    "live": Subject("a live room", ("live_id",), _LIVE_FIELDS),
    "lapse": Subject("a silence, with `inactive`"),
    "event": Subject("the event itself: every time"),
}


def fields(subject: str) -> dict[str, SubjectField]:
    """The fields that a subject opens, by their full names: `order.total`."""
    return {f"{subject}.{name}": one for name, one in SUBJECTS[subject].fields.items()}


ALL_FIELDS: Final[Mapping[str, SubjectField]] = {
    name: one for subject in SUBJECTS for name, one in fields(subject).items()
}
