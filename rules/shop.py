"""shop.yaml: the shop's own defaults.

Must live here: its keys. Must not: rules.
"""

from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.document import Node
from rules.errors import BadText
from rules.model import Shop
from rules.reading import Keys, Reader
from rules.values import percent

SHOP: Final = Keys(
    "shop.yaml",
    ("timezone", "currency", "languages", "holdout", "consent"),
    unbuilt=("quiet_hours", "caps", "budget", "pauses", "closing_days"),
)
HOLDOUT: Final = Keys("holdout", ("marketing", "everything"))
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
    languages = [
        reader.choice(item, "language", LANGUAGES)
        for item in (reader.items(found["languages"]) if "languages" in found else [])
    ]
    return Shop(
        timezone=reader.parse(found["timezone"], _zone, default.timezone)
        if "timezone" in found
        else default.timezone,
        currency=reader.parse(found["currency"], _currency, default.currency)
        if "currency" in found
        else default.currency,
        languages=tuple(languages) or default.languages,
        holdout_marketing=marketing,
        holdout_everything=everything,
        consent=consent,
    )


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
