"""Reading one JSON value as what it must be: number, text, time, flag, list; or saying why not.

Must live here: the checks of the rim, each raising BadEvent with what, where and what is allowed.
Must not: the event as a whole. After the rim these types are trusted and never checked again.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from features.vocabulary import PROPERTY_KINDS

ID_LENGTH_MAX: Final = 200
DEPTH_MAX: Final = 10
MONEY_MAX: Final = 1e12
COUNT_MAX: Final = 2**31 - 1
INTEGER_MAX: Final = 2**63
TIME_MAX: Final = 253_402_300_800_000  # the year 10000, in ms
SHOWN_MAX: Final = 999_999
_WORD = re.compile(r"[A-Za-z_. -]{0,12}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_$][\w$ -]{0,39}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)


class BadEvent(Exception):  # noqa: N818 - an event that goes to quarantine, not a fault of ours
    """This event cannot be taken: `reason` is one of a closed list, `detail` is for a person.

    Reasons: bad_type, bad_number, bad_text, bad_time, too_deep, too_long, unknown_type,
    missing_event, missing_id, missing_property, forbidden, unreadable.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """`value` as an error message quotes it: what cannot be a contact or a secret, else its kind.

    >>> shown("abc"), shown("alice@shop.example"), shown(-1), shown(13812345678)
    ("'abc'", 'text of 18 characters', '-1', 'a larger number')
    """
    if isinstance(value, str):
        return repr(value) if _WORD.fullmatch(value) else f"text of {len(value)} characters"
    if isinstance(value, int | float):
        if isinstance(value, int) and abs(value) >= INTEGER_MAX:
            return "a number of too many digits"
        return "a larger number" if SHOWN_MAX < abs(value) < math.inf else repr(value)
    if value is None:
        return "None"
    kinds = {"list": "a list", "dict": "an object"}
    return kinds.get(type(value).__name__, type(value).__name__)


def bad_type(where: str, expected: str, value: object) -> BadEvent:
    """The error of a value of the wrong type."""
    return BadEvent("bad_type", f"{where}: expected {expected}, got {shown(value)}")


def number(value: object, where: str) -> float:
    """A finite number; a decimal string such as "12.50" counts as one.

    >>> number(" 12.50", "properties.price")
    12.5
    """
    if isinstance(value, str):
        text = value.strip()
        if not _DECIMAL.fullmatch(text):
            raise BadEvent("bad_number", f"{where}: expected a number, got {shown(value)}")
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_type(where, "a number", value)
    if not -INTEGER_MAX < value < INTEGER_MAX:  # nor is nan
        raise BadEvent("bad_number", f"{where}: expected a finite number, got {shown(value)}")
    return value


def money(value: object, where: str) -> float:
    """An amount in major units, from 0 to a million million."""
    amount = number(value, where)
    if not 0 <= amount <= MONEY_MAX:
        raise BadEvent("bad_number", f"{where}: expected 0 to {MONEY_MAX:.0f}, got {shown(amount)}")
    return amount


def count(value: object, where: str) -> int:
    """A whole number of things, 0 or more."""
    quantity = number(value, where)
    if quantity != int(quantity) or not 0 <= quantity <= COUNT_MAX:
        raise BadEvent(
            "bad_number", f"{where}: expected a whole number from 0, got {shown(quantity)}"
        )
    return int(quantity)


def text(value: object, where: str) -> str:
    """Text that can be written as UTF-8; a whole number becomes its digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < INTEGER_MAX:
        value = str(value)
    if not isinstance(value, str):
        raise bad_type(where, "text", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadEvent("bad_text", f"{where}: expected text that UTF-8 can hold") from None
    return value


def identifier(value: object, where: str) -> str:
    """An id: text of at most 200 characters; null is no id."""
    if value is None:
        return ""
    name = text(value, where)
    if len(name) > ID_LENGTH_MAX:
        raise BadEvent(
            "too_long", f"{where}: expected at most {ID_LENGTH_MAX} characters, got {len(name)}"
        )
    return name


def flag(value: object, where: str) -> bool:
    """True or false, also as 0 and 1 or the words."""
    if isinstance(value, bool):
        return value
    for answer, forms in ((True, (1, "1", "true")), (False, (0, "0", "false"))):
        if value in forms:
            return answer
    raise bad_type(where, "true or false", value)


def time(value: object, where: str) -> int:
    """A moment in ms UTC, from ISO 8601 (no zone means UTC) or epoch ms.

    >>> time("2026-11-11T00:00:00.5+08:00", "timestamp")
    1794326400500
    """
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) >= 12:
            value = int(value[:20])
        else:
            value = _iso(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadEvent("bad_time", f"{where}: expected ISO 8601 or epoch ms, got {shown(value)}")
    if not 0 <= value < TIME_MAX:
        raise BadEvent("bad_time", f"{where}: expected a time from 1970 on, got {shown(value)}")
    return int(value)


def _iso(value: str, where: str) -> int:
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadEvent(
            "bad_time", f"{where}: expected ISO 8601 or epoch ms, got {shown(value)}"
        ) from None


def texts(value: object, where: str) -> list[str]:
    """A list of text."""
    if not isinstance(value, list):
        raise bad_type(where, "a list", value)
    return [text(item, f"{where}[{i}]") for i, item in enumerate(value)]


def lines(value: object, where: str) -> list[dict[str, Any]]:
    """The lines of a cart or an order: objects whose properties have their known types."""
    if not isinstance(value, list):
        raise bad_type(where, "a list of products", value)
    for i, item in enumerate(value):
        if isinstance(item, dict) and item.get("products") is not None:
            raise bad_type(f"{where}[{i}].products", "no products within one", item["products"])
    return [properties(item, f"{where}[{i}]") for i, item in enumerate(value)]


def mapping(value: object, where: str) -> dict[str, Any]:
    """An object; null counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_type(where, "an object", value)
    return value


_READERS: Final[dict[str, Callable[[object, str], Any]]] = {
    "text": text,
    "id": identifier,
    "money": money,
    "count": count,
    "number": number,
    "flag": flag,
    "time": time,
    "texts": texts,
    "lines": lines,
}
READERS: Final[dict[str, Callable[[object, str], Any]]] = {
    name: _READERS[kind] for name, kind in PROPERTY_KINDS.items()
}


def properties(value: object, where: str) -> dict[str, Any]:
    """An event's properties with every known one in its own type; null means absent."""
    given = mapping(value, where)
    result: dict[str, Any] = {}
    for name, item in given.items():
        if item is None:
            continue
        reader = READERS.get(name)
        if reader is None:
            plain(item, where, name)
            result[name] = item
        else:
            result[name] = reader(item, f"{where}.{name}")
    return result


def plain(value: object, where: str, name: object = "", depth: int = 2) -> None:
    """Refuse what JSON, msgpack or ClickHouse could not carry, at most 10 levels deep."""
    if not isinstance(name, str):
        raise bad_type(where, "text as a key", name)
    if value is None or isinstance(value, bool):
        return
    at = f"{where}.{name if _NAME.fullmatch(name) else '...'}" if name else where
    if isinstance(value, str):
        text(value, at)
    elif isinstance(value, int | float):
        number(value, at)
    elif depth > DEPTH_MAX:
        raise BadEvent("too_deep", f"{at}: expected at most {DEPTH_MAX} levels")
    elif isinstance(value, list):
        for item in value:
            plain(item, at, "", depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            text(key, at)
            plain(item, at, key, depth + 1)
    else:
        raise bad_type(at, "a JSON value", value)
