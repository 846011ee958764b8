"""Consent: the channels he agreed to for each purpose, and those he unsubscribed from.

The latest word by its own time holds. Never told is not the same as no channels.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import days, short

PURPOSES_MAX: Final = 4
CHANNELS_MAX: Final = 8
MARKETING: Final = "marketing"


class Word(msgspec.Struct, array_like=True):
    """What was said, and when (ms)."""

    at: int = 0
    channels: list[str] = []


class Consent(msgspec.Struct, array_like=True):
    """Purpose -> the latest word; channel -> when he unsubscribed from it (ms)."""

    purposes: dict[str, Word] = {}
    unsubscribed: dict[str, int] = {}


def fold(consent: Consent, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Take the word, unless a later one is known."""
    if event.name == "Message Unsubscribed":
        channel = _channel(event.properties.get("channel") or event.channel)
        if channel:
            _unsubscribe(consent, channel, event.at)
        return
    purpose = short(event.properties.get("purpose") or MARKETING)
    known = consent.purposes.get(purpose)
    if (known is not None and event.at < known.at) or (
        known is None and len(consent.purposes) >= PURPOSES_MAX and purpose != MARKETING
    ):
        return
    channels = dict.fromkeys(_channel(name) for name in event.properties.get("channels", ()))
    consent.purposes[purpose] = Word(event.at, list(channels)[:CHANNELS_MAX])


def _channel(name: str) -> str:
    return short(name.strip().lower())


def _unsubscribe(consent: Consent, channel: str, at: int) -> None:
    if channel in consent.unsubscribed or len(consent.unsubscribed) < CHANNELS_MAX:
        consent.unsubscribed[channel] = max(at, consent.unsubscribed.get(channel, 0))


def merge(mine: Consent, theirs: Consent) -> Consent:
    """The later word for each purpose; the known user's where both spoke at once."""
    united = Consent(dict(mine.purposes), dict(mine.unsubscribed))
    for purpose, word in theirs.purposes.items():
        known = united.purposes.get(purpose)
        if known is None or word.at > known.at:
            united.purposes[purpose] = word
    while len(united.purposes) > PURPOSES_MAX:
        del united.purposes[
            min(united.purposes, key=lambda p: (p == MARKETING, united.purposes[p].at, p))
        ]
    for channel, at in theirs.unsubscribed.items():
        _unsubscribe(united, channel, at)
    return united


def marketing(consent: Consent, now: int) -> list[str] | None:  # noqa: ARG001 - a reader's shape
    """Channels agreed to for marketing, less those unsubscribed from since; None if never told."""
    word = consent.purposes.get(MARKETING)
    if word is None:
        return None
    return [name for name in word.channels if consent.unsubscribed.get(name, 0) <= word.at]


def unsubscribed(consent: Consent, now: int) -> list[str]:  # noqa: ARG001 - a reader's shape
    """Channels he unsubscribed from and did not agree to again."""
    word = consent.purposes.get(MARKETING, Word())
    return sorted(
        name
        for name, at in consent.unsubscribed.items()
        if name not in word.channels or at > word.at
    )


FACET: Final = Facet(
    name="consent",
    version=1,
    state=Consent,
    doc="Channels agreed to, by purpose, and those unsubscribed from; the latest word holds.",
    events=frozenset({"Consent Updated", "Message Unsubscribed"}),
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="consent.marketing",
            type="list",
            unit="channels",
            doc="Channels he agreed to for marketing; missing when he was never asked.",
            read=marketing,
        ),
        Feature(
            name="consent.unsubscribed",
            type="list",
            unit="channels",
            doc="Channels he unsubscribed from and did not agree to again.",
            read=unsubscribed,
        ),
        Feature(
            name="consent.days_since_updated",
            type="number",
            unit="days",
            doc="Since his word on marketing; missing when he was never asked.",
            read=lambda s, now: days(s.purposes.get(MARKETING, Word()).at, now),
        ),
    ),
)
