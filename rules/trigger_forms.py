"""The keys of `when`: which there are, and which go with which.

Must live here: the tables. Must not: reading them (triggers.py).
"""

from typing import Final

from rules.forms import Form, Key
from rules.model import EVERYONE, HOLDERS

WHEN: Final = Form(
    "when",
    "when",
    {
        "event": Key("[event]", "an event of the customer, or any of several", "event: Order Paid"),
        "if": Key(
            "condition",
            "asked of the event at hand, and of the customer; on a line of its own",
            "event: Order Paid\nif: event.total >= 300",
        ),
        "count": Key(
            "whole",
            "on the count-th within `within`, counted for each subject of once_per; a period, an "
            "event and a review have none: for the customer",
            "event: Product Viewed\ncount: 3\nwithin: 24h",
        ),
        "within": Key("duration", "how far apart count or sequence may be", ""),
        "sequence": Key(
            "[#sequence]",
            "events in this order, first to last within `within`",
            "sequence:\n  - event: Product Viewed\n    count: 2\n"
            "  - event: Checkout Started\nwithin: 10m\nthen_not: {event: Order Paid, for: 5m}",
        ),
        "then_not": Key("#then_not", "what must stay away after the sequence", ""),
        "inactive": Key(
            "duration | lookup",
            "a silence: no event of `of` for so long",
            "inactive: {by: member.tier, platinum: 30d, else: 60d}\nof: Order Completed",
        ),
        "of": Key("[event]", "what is not heard (any event the customer made himself)", ""),
        "enters": Key("segment", "the customer comes into a segment or a tier", "enters: vip"),
        "leaves": Key("segment", "the customer goes out of a segment or a tier", "leaves: vip"),
        "crosses": Key(
            "feature",
            "a number rises `above`, or falls `below`; again only once it was `back`",
            "crosses: risk.abuse\nabove: 0.8\nback: 0.6",
        ),
        "above": Key("number", "the level it rises to", ""),
        "below": Key("number", "the level it falls to", "crosses: churn.risk\nbelow: 0.2"),
        "back": Key("number", "how far it must come back before it counts again", ""),
        "due": Key(
            "feature",
            "a date of the customer or of the rule's subject; moves when the date moves",
            'due: contact.birthday_md\noffset: -3d\nat: "10:00"',
        ),
        "offset": Key("offset | lookup", "so long after the date; -3d: before it", ""),
        "at": Key(
            "time | [moment]",
            "with due: the time of that day; alone: the moments of a schedule",
            "at: [2026-06-18 20:00, 2026-11-11 00:00]\naudience: everyone",
        ),
        "cron": Key(
            "text",
            "minute hour day month weekday, in the shop's zone",
            'cron: "0 10 8 * *"\naudience: vip\nspread: 2h',
        ),
        "audience": Key(
            "segment", f"whom a schedule or an item's event reaches, or {EVERYONE}", ""
        ),
        "spread": Key("duration", "each customer's turn comes within this time, evenly", ""),
        "item": Key(
            "[event]",
            "an event about a product, room or merchant, reaching its customers",
            "item: Product Price Changed\nheld_in: [cart, favourites]",
        ),
        "held_in": Key(f"[{'/'.join(HOLDERS)}]", "who holds the item where", ""),
        "request": Key("name", "a page asks at this placement, and waits", "request: home-banner"),
    },
    meant={
        "events": "event",
        "times": "count",
        "on": "event",
        "condition": "if",
        "schedule": "cron",
        "segment": "enters",
        "date": "due",
        "placement": "request",
        "absent": "inactive",
        "silence": "inactive",
        "and": "sequence",
    },
)
SEQUENCE: Final = Form(
    "sequence",
    "a link of a sequence",
    {
        "event": Key("[event]", "the event of this link", needed=True),
        "if": Key("condition", "asked of that event"),
        "count": Key("whole", "so many of them"),
    },
)
THEN_NOT: Final = Form(
    "then_not",
    "then_not",
    {
        "event": Key("[event]", "what must stay away", needed=True),
        "for": Key("duration", "for so long after the last link", needed=True),
        "if": Key("condition", "asked of that event"),
    },
)
COMPANIONS: Final = {
    "event": ("if", "count", "within"),
    "inactive": ("of", "if"),
    "sequence": ("within", "then_not", "if"),
    "enters": ("if",),
    "leaves": ("if",),
    "crosses": ("above", "below", "back", "if"),
    "due": ("offset", "at", "if"),
    "at": ("audience", "spread", "if"),
    "cron": ("audience", "spread", "if"),
    "item": ("held_in", "audience", "spread", "if"),
    "request": ("if",),
}
WITH_EVENT: Final = ("event", "sequence", "item", "request")  # a page's question is read as one
