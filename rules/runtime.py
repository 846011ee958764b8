"""What the code made from an expression may call: small total functions over unknown values.

Law: nothing here raises, whatever an event holds; unknown is NaN for a number, else None.
"""

import datetime as dt
import math
from typing import Any, Final
from zoneinfo import ZoneInfo

from features.fold import DAY_MS

NAN: Final = math.nan
_FAR_MS: Final = 10**14


def raw(event: Any, name: str) -> Any:
    """A property as it came, None when there is no event or no such property."""
    return None if event is None else event.properties.get(name)


def field(item: Any, name: str) -> Any:
    """A property of one item of an event's list."""
    return item.get(name) if isinstance(item, dict) else None


def number(value: Any) -> float:
    """A JSON value as a double; text is unknown, the rim has turned known prices to numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return NAN
    return NAN


def text(value: Any) -> str | None:
    """A JSON value as text; an id that came as an integer is the same id."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    return None


def flag(value: Any) -> bool | None:
    """A JSON value as yes or no."""
    return value if isinstance(value, bool) else None


def listed(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """A JSON value as a list."""
    return value if isinstance(value, list | tuple) else None


def double(value: Any) -> float:
    """A feature's number as a double, so that arithmetic never leaves doubles."""
    return value if type(value) is float else number(value)


def divide(left: float, right: float) -> float:
    """A quotient; by zero is unknown."""
    return left / right if right else NAN


def least(*values: float) -> float:
    """The smallest; unknown if any is."""
    return NAN if any(value != value for value in values) else min(values)  # noqa: PLR0124


def greatest(*values: float) -> float:
    """The largest; unknown if any is."""
    return NAN if any(value != value for value in values) else max(values)  # noqa: PLR0124


def rounded(value: float, digits: int = 0) -> float:
    """Half to even, as Python; an infinite number is unknown."""
    return float(round(value, digits)) if math.isfinite(value) else NAN


def length(value: Any) -> float:
    """How many items, or characters of a text."""
    return float(len(value)) if isinstance(value, list | tuple | str) else NAN


def lowered(value: str | None) -> str | None:
    """A text in lower case."""
    return None if value is None else value.lower()


def contains(holder: Any, item: Any) -> bool | None:
    """Whether a list holds an item, or a text a shorter text."""
    if item is None or (isinstance(item, float) and math.isnan(item)):
        return None
    if isinstance(holder, str):
        return item in holder if isinstance(item, str) else None
    if isinstance(holder, list | tuple | set | frozenset):
        return item in holder
    return None


def same(left: Any, right: Any) -> bool | None:
    """Equality of two properties of unknown kind: unequal kinds are unequal."""
    if left is None or right is None:
        return None
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def days_since(value: Any, now: int, zone: ZoneInfo) -> float:
    """Days from a moment (ISO text, or ms since 1970) to now; negative before it."""
    at = number(value)
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
            at = moment.timestamp() * 1_000
        except (ValueError, OverflowError):
            return NAN
    return (now - at) / DAY_MS if abs(at) < _FAR_MS else NAN
