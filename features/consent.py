"""Consent: channels agreed to for each purpose, unsubscribed from, and those that bounce.

The latest word by its own time holds. Never told is not the same as no channels. A channel whose
message bounced for good is closed as if he had unsubscribed, until he agrees to it again.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import days, short

PURPOSES_MAX: Final = 4
CHANNELS_MAX: Final = 8
MARKETING: Final = "marketing"
UNSUBSCRIBED: Final = "Message Unsubscribed"
BOUNCED: Final = "Message Bounced"
SOFT: Final = "soft"  # a bounce of this kind closes nothing: a full mailbox, a server away
_CLOSING: Final = frozenset({UNSUBSCRIBED, BOUNCED})


class Word(msgspec.Struct, array_like=True):
    """What was said, and when (ms)."""

    at: int = 0
    channels: list[str] = []


class Consent(msgspec.Struct, array_like=True):
    """Purpose -> the latest word; channel -> when he unsubscribed from it, when it bounced (ms)."""

    purposes: dict[str, Word] = {}
    unsubscribed: dict[str, int] = {}
    bounced: dict[str, int] = {}


def fold(consent: Consent, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Take the word, unless a later one is known."""
    if event.name in _CLOSING:
        channel = _channel(event.properties.get("channel") or event.channel)
        soft = event.name == BOUNCED and event.properties.get("kind") == SOFT
        if channel and not soft:
            closed = consent.bounced if event.name == BOUNCED else consent.unsubscribed
            _close(closed, channel, event.at)
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


def _close(closed: dict[str, int], channel: str, at: int) -> None:
    if channel in closed or len(closed) < CHANNELS_MAX:
        closed[channel] = max(at, closed.get(channel, 0))


def merge(mine: Consent, theirs: Consent) -> Consent:
    """The later word for each purpose; the known user's where both spoke at once."""
    united = Consent(dict(mine.purposes), dict(mine.unsubscribed), dict(mine.bounced))
    for purpose, word in theirs.purposes.items():
        known = united.purposes.get(purpose)
        if known is None or word.at > known.at:
            united.purposes[purpose] = word
    while len(united.purposes) > PURPOSES_MAX:
        del united.purposes[
            min(united.purposes, key=lambda p: (p == MARKETING, united.purposes[p].at, p))
        ]
    for channel, at in theirs.unsubscribed.items():
        _close(united.unsubscribed, channel, at)
    for channel, at in theirs.bounced.items():
        _close(united.bounced, channel, at)
    return united


def marketing(consent: Consent, now: int) -> list[str] | None:
    """Channels agreed to for marketing, less those closed since; None if never told."""
    word = consent.purposes.get(MARKETING)
    if word is None:
        return None
    closed = unsubscribed(consent, now)
    return [name for name in word.channels if name not in closed]


def unsubscribed(consent: Consent, now: int) -> list[str]:
    """Channels closed: unsubscribed from, or bounced, and not agreed to again."""
    if not consent.unsubscribed and not consent.bounced:
        return []
    return sorted({*_still(consent, consent.unsubscribed), *bounced(consent, now)})


def bounced(consent: Consent, now: int) -> list[str]:  # noqa: ARG001 - a reader's shape
    """Channels that bounced for good and that he did not agree to again."""
    return sorted(_still(consent, consent.bounced)) if consent.bounced else []


def _still(consent: Consent, closed: dict[str, int]) -> list[str]:
    """Those that no later word on marketing opens again."""
    word = consent.purposes.get(MARKETING, Word())
    return [name for name, at in closed.items() if name not in word.channels or at > word.at]


FACET: Final = Facet(
    name="consent",
    version=2,
    state=Consent,
    doc="Channels agreed to, by purpose, and those closed since; the latest word holds.",
    events=frozenset({"Consent Updated", *_CLOSING}),
    upgrades={1: msgspec.msgpack.Decoder(Consent).decode},  # it had no `bounced`
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
            doc="Channels he unsubscribed from, or that bounced, and did not agree to again.",
            read=unsubscribed,
        ),
        Feature(
            name="consent.bounced",
            type="list",
            unit="channels",
            doc="Channels whose messages bounced for good, and that he did not agree to again.",
            read=bounced,
        ),
        number(
            "consent.days_since_updated",
            "days",
            "Since his word on marketing; missing when he was never asked.",
            lambda s, now: days(s.purposes.get(MARKETING, Word()).at, now),
        ),
    ),
)
