"""Rules that were written from the grammar alone, before the engine was looked at, do what they say.

Their shop has quiet hours, caps and a budget: what an example does not mention must not matter.
"""

from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from rules.book import Book
from rules.json_schema import schema
from rules.load import book_from_sources
from simulator.rule_tests import run_example

TEXT = (Path(__file__).parent / "unseen" / "rules.yaml").read_text(encoding="utf-8")
SHOP = """
timezone: Asia/Shanghai
currency: CNY
quiet_hours: {from: "22:00", to: "08:00", then: defer}
holdout: {marketing: 5%, everything: 1%}
caps:
  - {purpose: marketing, via: sms, limit: 2 per 7d}
  - {purpose: marketing, limit: 4 per day}
budget: {money: 100000 per day, coupons: 20000 per day}
pauses: tickets.open > 0
closing_days: [2026-10-01, 2026-10-02]
"""
NAMES = [
    line.removeprefix("rule: ").strip('"') for line in TEXT.split("\n") if line[:6] == "rule: "
]


@cache
def book() -> Book:
    offers = {f"offers/{name}.yaml": f"offer: {name}\n" for name in ("SAVE", "BIRTHDAY")}
    return book_from_sources({"campaigns/unseen.yaml": TEXT, "shop.yaml": SHOP, **offers})


@pytest.mark.parametrize("name", NAMES)
def test_its_examples_hold(name: str):
    rule = book().rules[name]
    assert rule.examples
    assert not [str(one) for e in rule.examples if not (one := run_example(book(), rule, e)).passed]


def test_an_editor_takes_them_too():
    validator = jsonschema_rs.validator_for(schema("rule"))
    found = [plain(one) for one in yaml.load_all(TEXT, Loader=yaml.BaseLoader)]
    assert len(found) == len(NAMES)
    assert [one["rule"] for one in found if not validator.is_valid(one)] == []


def plain(one):
    """What YAML 1.2's core schema makes of unquoted truths; every number stays a text."""
    if isinstance(one, dict):
        return {key: plain(value) for key, value in one.items()}
    if isinstance(one, list):
        return [plain(value) for value in one]
    return {"true": True, "false": False}.get(one, one)
