"""Durations, money, percent, rates, moments, and values that are computed or looked up."""

import math
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rules import values
from rules.errors import BadText
from rules.expressions import expression
from rules.scope import Known, Scope
from rules.values import MISSING, Computed, Constant, Context, Lookup, Rate

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0m", 0), ("30s", 30_000), ("48h", 172_800_000), ("7d", 604_800_000), ("2w", 1_209_600_000)],
)
def test_durations(text: str, milliseconds: int):
    assert values.duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("30 minutes", "did you mean `30m`?"),
        ("30min", "did you mean `30m`?"),
        ("7D", "did you mean `7d`?"),
        ("1 month", "is not a duration"),
        ("1.5h", "is not a duration"),
        ("-3d", "is not a duration"),
        ("30", "is not a duration"),
        ("", "is not a duration"),
        ("３０m", "is not a duration"),
        ("99999d", "at most 3660d"),
        ("1h30m", "is not a duration"),
    ],
)
def test_not_durations(text: str, hint: str):
    with pytest.raises(BadText) as found:
        values.duration(text)
    assert hint in found.value.message


@pytest.mark.parametrize(
    ("text", "amount"),
    [("30", 30), ("9.90", 9.9), ("30 CNY", 30), ("0.1", 0.1), ("1234.56", 1234.56)],
)
def test_money(text: str, amount: float):
    assert values.money(text, "CNY") == amount


@pytest.mark.parametrize(
    "text", ["30 USD", "¥30", "30元", "1,000", "1e3", "-5", "9.999", "30  CNY", "", "9999999999999"]
)
def test_not_money(text: str):
    with pytest.raises(BadText):
        values.money(text, "CNY")


def test_percent():
    assert (values.percent("10%"), values.percent("0.5%"), values.percent("100%")) == (10, 0.5, 100)
    for text in ("10", "10 %", "101%", "-1%", "%", "10％", "１０%"):
        with pytest.raises(BadText):
            values.percent(text)


def test_rates():
    assert values.rate("1 per 7d") == Rate(1, 604_800_000)
    for calendar in ("day", "week", "month", "year", "run", "ever"):
        assert values.rate(f"3 per {calendar}") == Rate(3, 0, calendar)
    for text in (
        "1 per",
        "0 per day",
        "1 a day",
        "per day",
        "1 per fortnight",
        "1 per 0s",
        "一 per day",
    ):
        with pytest.raises(BadText):
            values.rate(text)


def test_moments():
    assert values.moment("2026-11-11 20:00", SHANGHAI) == 1_794_398_400_000
    assert values.moment("2026-11-11T20:00:00", SHANGHAI) == 1_794_398_400_000
    assert values.moment("2026-11-11 12:00 +00:00", SHANGHAI) == 1_794_398_400_000
    assert values.moment("2026-11-11 12:00Z", SHANGHAI) == 1_794_398_400_000
    assert values.moment("2026-11-11", SHANGHAI) == 1_794_326_400_000
    for text in ("11.11", "2026-13-01", "2026-02-30", "2026-11-11 25:00", "soon", "2026/11/11", ""):
        with pytest.raises(BadText):
            values.moment(text, SHANGHAI)


SCOPE = Scope({"a.n": Known("a", "number", lambda s, _: s["n"]),
               "a.t": Known("a", "text", lambda s, _: s["t"]),
               "a.f": Known("a", "flag", lambda s, _: s["f"])})  # fmt: skip


class Person:
    def __init__(self, n: Any = math.nan, t: Any = None, f: Any = None) -> None:
        self.values = {"n": n, "t": t, "f": f}

    def state(self, _facet: str) -> dict[str, Any]:
        return self.values


def test_computed_values_are_rounded_to_fen_and_missing_when_unknown():
    tenth = Computed(expression("a.n * 0.1", SCOPE))
    assert tenth.get(Context(Person(n=123.45))) == 12.35
    assert tenth.get(Context(Person(n=100))) == 10
    assert isinstance(tenth.get(Context(Person(n=100))), int)
    assert tenth.get(Context(Person())) is MISSING
    assert Computed(expression("a.n / 0", SCOPE)).get(Context(Person(n=1))) is MISSING
    assert Computed(expression("a.t", SCOPE)).get(Context(Person())) is MISSING
    assert tenth.get(Context(Person(), None, 0, {"a.n": 50.0})) == 5


def test_a_computed_amount_below_its_least_is_no_value():
    tenth = Computed(expression("a.n * 0.1", SCOPE), least=0.01)
    amounts = [tenth.get(Context(Person(n=n))) for n in (10, 0.01, 0, -5)]
    assert amounts == [1, MISSING, MISSING, MISSING]


def test_looked_up_values_fall_back_to_else():
    table = Lookup(expression("a.t", SCOPE), {"gold": Constant(40)}, Constant(15))
    assert [table.get(Context(Person(t=tier))) for tier in ("gold", "iron", None)] == [40, 15, 15]
    flags = Lookup(
        expression("a.f", SCOPE), {"true": Constant(1), "false": Constant(2)}, Constant(3)
    )
    assert [flags.get(Context(Person(f=flag))) for flag in (True, False, None)] == [1, 2, 3]


def test_missing_is_falsy_and_says_its_name():
    assert not MISSING
    assert repr(MISSING) == "MISSING"
