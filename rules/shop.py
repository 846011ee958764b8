"""shop.yaml: the shop's own defaults, caps and budget.

Must live here: its keys. Must not: rules.
"""

from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.document import Fields, Node
from rules.entering import budget, quiet
from rules.errors import BadText
from rules.expressions import Expr
from rules.forms import Form, Key
from rules.model import CHANNELS, PURPOSES, Cap, Rate, Shop
from rules.reading import Reader
from rules.risk import shop_risk
from rules.scope import catalog_scope
from rules.surroundings import language_scope
from rules.values import date, percent, rate

SHOP: Final = Form(
    "shop",
    "shop.yaml",
    {
        "name": Key("text", "what templates call the shop: shop.name", "name: 来客小铺"),
        "timezone": Key(
            "text", "the zone of days, weeks, times and moments", "timezone: Asia/Shanghai"
        ),
        "currency": Key("text", "the money of every amount", "currency: CNY"),
        "exchange": Key(
            "values",
            "what another currency is worth, for amounts like 30 USD",
            "exchange: {USD: 7.2}",
        ),
        "languages": Key(
            "[zh/en]", "every template has a text in each of them", "languages: [zh, en]"
        ),
        "holdout": Key(
            "#holdout",
            "who gets nothing, so that lift can be told",
            "holdout: {marketing: 10%, everything: 1%}",
        ),
        "consent": Key(
            "opt-out*/opt-in", "whether who was never asked counts as yes", "consent: opt-in"
        ),
        "quiet_hours": Key(
            "#quiet",
            "when no marketing is sent",
            'quiet_hours: {from: "22:00", to: "08:00", then: defer}',
        ),
        "caps": Key(
            "[#cap]",
            "how often a customer is reached, over all rules",
            "caps:\n  - {purpose: marketing, via: sms, limit: 2 per 7d}",
        ),
        "budget": Key(
            "#budget",
            "what all rules together may spend",
            "budget: {coupons: 100000 per day, money: 500000 per month}",
        ),
        "pauses": Key(
            "[condition]",
            "no marketing to a customer while one of these holds",
            "pauses:\n  - risk.abuse > 0.9",
        ),
        "risk": Key("#risk", "who gets no gifts", "risk:\n  hold: risk.abuse >= 0.8"),
        "closing_days": Key(
            "[date]", "days on which no marketing is sent", "closing_days: [2026-04-04, 2026-04-05]"
        ),
        "approval": Key(
            "none*/second",
            "second: while it is in force, another than its author approves every change",
            "approval: second",
        ),
    },
)
HOLDOUT: Final = Form(
    "holdout",
    "holdout",
    {
        "marketing": Key("percent", "of each marketing rule's customers (10%)"),
        "everything": Key("percent", "of all customers, from all marketing (0%)"),
    },
)
CAP: Final = Form(
    "cap",
    "a cap",
    {
        "purpose": Key("/".join(PURPOSES), "of which rules (any)"),
        "via": Key("/".join(CHANNELS), "on which channel (any)"),
        "limit": Key("rate", "how often", needed=True),
    },
)
LANGUAGES: Final = ("zh", "en")


def share(reader: Reader, node: Node) -> float:
    """A percentage as a share from 0 to 1."""
    return reader.parse(node, percent, 0.0) / 100


def shop(reader: Reader, node: Node) -> Shop:
    """The shop, with a default for whatever is left out."""
    found = reader.fields(node, SHOP)
    default = Shop()
    holdout = reader.fields(found["holdout"], HOLDOUT) if "holdout" in found else {}
    marketing, everything = (
        share(reader, holdout[key]) if key in holdout else kept
        for key, kept in (
            ("marketing", default.holdout_marketing),
            ("everything", default.holdout_everything),
        )
    )
    consent: Literal["opt-out", "opt-in"] = "opt-out"
    if "consent" in found:
        told = reader.choice(found["consent"], "way of consent", ("opt-out", "opt-in"))
        consent = "opt-in" if told == "opt-in" else "opt-out"
    approval: Literal["none", "second"] = "none"
    if "approval" in found:
        told = reader.choice(found["approval"], "way of approval", ("none", "second"))
        approval = "second" if told == "second" else "none"
    languages = [
        reader.choice(item, "language", LANGUAGES)
        for item in (reader.items(found["languages"]) if "languages" in found else [])
    ]
    zone = default.timezone
    if "timezone" in found:
        zone = reader.parse(found["timezone"], _zone, zone)
    currency = default.currency
    if "currency" in found:
        currency = reader.parse(found["currency"], _currency, currency)
    exchange = _exchange(reader, found["exchange"]) if "exchange" in found else {}
    return Shop(
        timezone=zone,
        currency=currency,
        languages=tuple(languages) or default.languages,
        holdout_marketing=marketing,
        holdout_everything=everything,
        consent=consent,
        quiet=quiet(reader, found["quiet_hours"]) if "quiet_hours" in found else None,
        caps=_caps(reader, found["caps"]) if "caps" in found else (),
        budget=budget(reader, found["budget"], currency, exchange) if "budget" in found else None,
        pauses=_pauses(reader, node, found["pauses"], zone) if "pauses" in found else (),
        risk=shop_risk(reader, found["risk"], language_scope(catalog_scope(zone), reader.unbuilt))
        if "risk" in found
        else default.risk,
        closing_days=frozenset(
            reader.parse(item, date, "")
            for item in (reader.items(found["closing_days"]) if "closing_days" in found else ())
        ),
        approval=approval,
        exchange=exchange,
        name=reader.text(found["name"], "name") if "name" in found else default.name,
    )


def _caps(reader: Reader, node: Node) -> tuple[Cap, ...]:
    caps = []
    for item in reader.items(node):
        found = reader.fields(item, CAP)
        limit = Rate(1, 0, "ever")
        caps.append(
            Cap(
                reader.parse(found["limit"], rate, limit) if "limit" in found else limit,
                reader.choice(found["purpose"], "purpose", PURPOSES) if "purpose" in found else "",
                reader.choice(found["via"], "channel", CHANNELS) if "via" in found else "",
            )
        )
    return tuple(caps)


def _pauses(reader: Reader, node: Node, pauses: Node, zone: str) -> tuple[Expr, ...]:
    scope = language_scope(catalog_scope(zone), reader.unbuilt)
    found = (reader.condition(node, item, scope) for item in reader.items(pauses))
    return tuple(one for one in found if one is not None)


def _exchange(reader: Reader, node: Node) -> dict[str, float]:
    if not isinstance(node, Fields):
        reader.error(node, "exchange is a mapping, such as {USD: 7.2}")
        return {}
    rates: dict[str, float] = {}
    for key, value in node.pairs:
        if reader.parse(key, _currency, ""):
            rates[key.value] = reader.parse(value, _worth, 1.0)
    return rates


def _worth(text: str) -> float:
    if text.replace(".", "", 1).isdigit() and text.isascii() and 0 < float(text) < 1e6:
        return float(text)
    raise BadText(f"`{text}` is not what a currency is worth, like 7.2")


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadText(f"`{text}` is not a time zone like Asia/Shanghai") from None
    return text


def _currency(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
        raise BadText(f"`{text}` is not a currency like CNY")
    return text
