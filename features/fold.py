"""What every fold shares: bounded text, money in minor units, ages, decay, hashed ids.

Must live here: small pure functions that keep a state small and sane. Must not: a facet.
Times are ms UTC and 0 means never; money in a state is minor units (fen).
"""

import math
from collections.abc import Iterable
from copy import copy
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeVar

from features.events import Event

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
TEXT_BYTES_MAX: Final = 64
ID_BYTES: Final = 6
IDS_MAX: Final = 1000
COUNT_MAX: Final = 2**31 - 1
MINOR_MAX: Final = 2**53  # what a double still counts one by one


class Told(Protocol):
    """What was told once, and when (ms)."""

    at: int


T = TypeVar("T", bound=Told)


def short(text: str) -> str:
    """`text`, or if it takes over 64 bytes its beginning and a hash: still one id a thing."""
    if len(text) <= 16:  # never over 64 bytes in UTF-8
        return text
    data = text.encode()
    if len(data) <= TEXT_BYTES_MAX:
        return text
    head = data[: TEXT_BYTES_MAX - 17].decode(errors="ignore")
    return f"{head}~{blake2b(data, digest_size=8).hexdigest()}"


def minor(amount: float) -> int:
    """Major units to minor ones.

    >>> minor(12.345), minor(0.285)
    (1234, 28)
    """
    return min(round(amount * 100), MINOR_MAX)


def major(amount: int) -> float:
    """Minor units to major ones."""
    return amount / 100


def age(since: int, now: int, unit_ms: int) -> float:
    """How long ago `since` was, in units; nan if never, and never below 0."""
    return max(0, now - since) / unit_ms if since else math.nan


def days(since: int, now: int) -> float:
    """How long ago `since` was, in days; nan if never, and never below 0."""
    return max(0, now - since) / DAY_MS if since else math.nan


def earlier(one: int, other: int) -> int:
    """The earlier of two times of which either may be never (0)."""
    return min(one, other) if one and other else one or other


def decayed(weight: float, since: int, now: int, half_life_ms: int) -> float:
    """What is left of `weight` after so long."""
    return float(weight * 2.0 ** (-max(0, now - since) / half_life_ms))


def hashed(kind: str, identifier: str) -> bytes:
    """Six bytes that stand for an id in a list of ids seen."""
    return blake2b(f"{kind}:{identifier}".encode(), digest_size=ID_BYTES).digest()


def remembers(ids: bytes, one: bytes) -> bool:
    """Whether `one` is among the six-byte ids."""
    at = ids.find(one)
    while at >= 0:
        if at % ID_BYTES == 0:
            return True
        at = ids.find(one, at + 1)
    return False


def remember(ids: bytes, more: bytes) -> bytes:
    """The ids with `more` behind them: the last 1,000."""
    return (ids + more)[-IDS_MAX * ID_BYTES :]


def newest(items: Iterable[tuple[str, int]], most: int) -> list[str]:
    """The names with the latest times, latest first, ties by name."""
    return [name for name, _ in sorted(items, key=lambda item: (-item[1], item[0]))[:most]]


def later(mine: T, theirs: T) -> T:
    """A copy of the later word; of the known user's where both spoke at once."""
    return copy(theirs if theirs.at > mine.at else mine)


def lines(event: Event) -> list[dict[str, Any]]:
    """The products of an event: its list, or its own properties if they name one product."""
    listed: list[dict[str, Any]] | None = event.properties.get("products")
    if listed:
        return listed
    return [event.properties] if event.properties.get("product_id") else []
