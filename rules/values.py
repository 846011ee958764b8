"""The typed values of a rule file: durations, money, percent, rates, moments, choices.

Must live here: text -> value, each with an error that says what was allowed; and the three kinds
of a Value (constant, computed, looked up). Must not: YAML, places in files, IO.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from rules.errors import BadText, full_width

SECOND_MS: Final = 1_000
UNITS_MS: Final = {
    "s": SECOND_MS,
    "m": 60 * SECOND_MS,
    "h": 3_600 * SECOND_MS,
    "d": 86_400 * SECOND_MS,
    "w": 604_800 * SECOND_MS,
}
DURATION_MS_MAX: Final = 3_660 * UNITS_MS["d"]
MONEY_FEN_MAX: Final = 10**14
CALENDAR: Final = ("day", "week", "month", "year", "run", "ever")
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w)", re.ASCII)
_LOOSE_DURATION = re.compile(r"(\d+)\s*([A-Za-z]+)", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_MONEY = re.compile(r"(\d{1,12}(?:\.\d{1,2})?)(?: ([A-Z]{3}))?", re.ASCII)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_RATE = re.compile(r"(\d{1,6}) per (\S+)", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?\s?([+-]\d{2}:\d{2}|Z)?", re.ASCII
)


class Missing:
    """The one value of a Value that cannot be known now."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Context(NamedTuple):
    """What a value is read from: the customer, the event at hand, now in ms, names laid over."""

    customer: Any
    event: Any = None
    now: int = 0
    extra: Mapping[str, Any] = {}


class Value(Protocol):
    """A value of a rule: known, computed or looked up."""

    def get(self, context: Context) -> Any:
        """The value now, or MISSING."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the file."""

    value: Any

    def get(self, context: Context) -> Any:  # noqa: ARG002 - a constant needs none
        """The value itself."""
        return self.value


class Read(Protocol):
    """An expression that gives a value: None or NaN when unknown."""

    @property
    def source(self) -> str:
        """As written."""

    def value(
        self, customer: Any, event: Any = None, now: int = 0, extra: Mapping[str, Any] = {}
    ) -> Any:
        """The value now."""


@dataclass(frozen=True, slots=True)
class Computed:
    """`"= EXPR"`: a number is rounded to fen's precision, so that equal inputs give equal bytes.

    A number below `least` is no value: a coupon that takes nothing off is not issued.
    """

    expression: Read
    least: float = -math.inf

    def get(self, context: Context) -> Any:
        """What the expression gives, or MISSING."""
        found = self.expression.value(*context)
        if found is None:
            return MISSING
        if isinstance(found, float):
            rounded = round(found, 2)
            return tidy(rounded) if math.isfinite(found) and rounded >= self.least else MISSING
        return found


@dataclass(frozen=True, slots=True)
class Made:
    """What something makes of a value that is known."""

    value: Value
    make: Callable[[Any], Any]

    def get(self, context: Context) -> Any:
        """What is made of it, or MISSING."""
        found = self.value.get(context)
        return MISSING if found is MISSING else self.make(found)


@dataclass(frozen=True, slots=True)
class Days:
    """A computed duration: the number is one of days, the value one of ms."""

    days: Value

    def get(self, context: Context) -> Any:
        """Milliseconds, or MISSING."""
        found = self.days.get(context)
        far = isinstance(found, int | float) and abs(found) * UNITS_MS["d"] > DURATION_MS_MAX
        return MISSING if found is MISSING or far else round(found * UNITS_MS["d"])


@dataclass(frozen=True, slots=True)
class Lookup:
    """`{by: FEATURE, a: V, else: V}`: a missing feature takes `else`."""

    by: Read
    cases: Mapping[str, Value]
    otherwise: Value

    def get(self, context: Context) -> Any:
        """The value of the case that the feature names."""
        found = self.by.value(*context)
        if isinstance(found, bool):
            found = "true" if found else "false"
        return self.cases.get(found, self.otherwise).get(context)


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` per rolling `per_ms`, or per `calendar` unit in the shop's zone (one of the two)."""

    count: int
    per_ms: int
    calendar: str = ""


def tidy(number: float) -> int | float:
    """An integral number as an int, so that it prints as it was written."""
    return int(number) if float(number).is_integer() else number


def duration(text: str, least_ms: int = 0) -> int:
    """Milliseconds of an elapsed time.

    >>> duration("48h")
    172800000
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        loose = _LOOSE_DURATION.fullmatch(text.strip())
        hint = full_width(text)
        if loose and loose[2][0].lower() in UNITS_MS and loose[2].lower() not in {"mo", "month"}:
            hint = f"did you mean `{loose[1]}{loose[2][0].lower()}`?"
        raise BadText(_with(f"`{text}` is not a duration like 30s, 30m, 48h, 7d or 2w", hint))
    milliseconds = int(found[1]) * UNITS_MS[found[2]]
    if milliseconds < least_ms:
        raise BadText(f"`{text}` is too short: at least {least_ms // SECOND_MS}s")
    if milliseconds > DURATION_MS_MAX:
        raise BadText(f"`{text}` is too long: at most {DURATION_MS_MAX // UNITS_MS['d']}d")
    return milliseconds


def offset(text: str) -> int:
    """Milliseconds with a sign, + or none for later.

    >>> offset("-3d")
    -259200000
    """
    earlier = text.startswith("-")
    return duration(text.removeprefix("-" if earlier else "+")) * (-1 if earlier else 1)


def clock(text: str) -> int:
    """Minutes after midnight of a time of day.

    >>> clock("10:00")
    600
    """
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise BadText(_with(f'`{text}` is not a time of day like "10:00"', full_width(text)))
    return int(found[1]) * 60 + int(found[2])


def date(text: str) -> str:
    """A day, as it is written.

    >>> date("2026-11-11")
    '2026-11-11'
    """
    try:
        return dt.date.fromisoformat(text).isoformat() if len(text) == 10 else _no_date(text)
    except ValueError:
        return _no_date(text)


def _no_date(text: str) -> str:
    raise BadText(_with(f"`{text}` is not a date like 2026-11-11", full_width(text)))


def money(text: str, currency: str, exchange: Mapping[str, float] = {}) -> int | float:
    """An amount in major units of the shop's currency; others by the shop's own exchange.

    >>> money("30", "CNY"), money("9.90 CNY", "CNY"), money("10 USD", "CNY", {"USD": 7.2})
    (30, 9.9, 72)
    """
    found = _MONEY.fullmatch(text)
    if found is None:
        raise BadText(
            _with(f"`{text}` is not an amount like 30, 9.90 or 30 {currency}", full_width(text))
        )
    rate = Decimal(str(exchange.get(found[2], 1)))
    if found[2] and found[2] != currency and found[2] not in exchange:
        raise BadText(
            f"`{text}`: the shop's currency is {currency}, and shop.yaml gives no `exchange` "
            f"for {found[2]}"
        )
    fen = round(Decimal(found[1]) * 100 * rate)
    if fen > MONEY_FEN_MAX:
        raise BadText(f"`{text}` is too much: at most {MONEY_FEN_MAX // 100}")
    return tidy(fen / 100)


def percent(text: str) -> int | float:
    """A percentage from 0 to 100, as that number.

    >>> percent("10%")
    10
    """
    found = _NUMBER.fullmatch(text[:-1]) if text.endswith("%") else None
    if found is None:
        raise BadText(_with(f"`{text}` is not a percentage like 10%", full_width(text)))
    number = float(found[0])
    if number > 100:
        raise BadText(f"`{text}` is more than 100%")
    return tidy(number)


def rate(text: str) -> Rate:
    """How often.

    >>> rate("1 per 7d"), rate("3 per month")
    (Rate(count=1, per_ms=604800000, calendar=''), Rate(count=3, per_ms=0, calendar='month'))
    """
    found = _RATE.fullmatch(text)
    allowed = "1 per 7d (rolling) or 1 per day, week, month, year, run or ever"
    if found is None:
        raise BadText(_with(f"`{text}` is not a rate like {allowed}", full_width(text)))
    if int(found[1]) < 1:
        raise BadText(f"`{text}`: at least 1; to stop a rule set its status to paused")
    if found[2] in CALENDAR:
        return Rate(int(found[1]), 0, found[2])
    try:
        return Rate(int(found[1]), duration(found[2], least_ms=SECOND_MS))
    except BadText:
        raise BadText(f"`{text}` is not a rate like {allowed}") from None


def money_rate(text: str, currency: str, exchange: Mapping[str, float] = {}) -> Rate:
    """How much money a period: the count is in minor units (fen).

    >>> money_rate("20000 per day", "CNY")
    Rate(count=2000000, per_ms=0, calendar='day')
    """
    amount, per, period = text.partition(" per ")
    if not per:
        raise BadText(_with(f"`{text}` is not an amount like 20000 per day", full_width(text)))
    fen = round(money(amount, currency, exchange) * 100)
    if not fen:
        raise BadText(f"`{text}`: more than 0; to stop a rule set its status to paused")
    known = rate(f"1 per {period}")
    return Rate(fen, known.per_ms, known.calendar)


def moment(text: str, zone: ZoneInfo) -> int:
    """Milliseconds UTC of a written moment, in the shop's zone unless it names its own.

    >>> moment("2026-11-11 20:00", ZoneInfo("Asia/Shanghai"))
    1794398400000
    """
    found = _MOMENT.fullmatch(text)
    message = f"`{text}` is not a moment like 2026-11-11 20:00 or 2026-11-11 20:00 +08:00"
    if found is None:
        raise BadText(_with(message, full_width(text)))
    try:
        at = dt.datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}{found[3] or ''}")
        at = at if at.tzinfo else at.replace(tzinfo=zone)
        return round(at.timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise BadText(f"{message}: there is no such day or time") from None


def _with(message: str, hint: str) -> str:
    return f"{message}: {hint}" if hint else message
