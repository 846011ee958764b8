"""`laike rules preview`, every shipped text as a customer reads it, and what a row carries for it."""

import json
import re

import pytest
from typer.testing import CliRunner

from api.cli import RULES, app
from api.preview import shown
from features import catalog
from features.customer import Customer
from features.events import parse
from rules.load import load_book
from rules.reads import templates_named, told
from rules.subjects import ALL_FIELDS
from tests.memory_engine import MemoryEngine

BOOK = load_book(RULES)
MARKETING = {
    name
    for rule in BOOK.rules.values()
    if rule.purpose == "marketing"
    for action, _ in told(rule)
    for name in templates_named(action)
}
MADE = {"items", "language", "event", "shop.name"}  # what the engine or the shop gives
RULE = """
rule: r
status: live
owner: growth
holdout: 0%
once_per: cart
limit: 1 per 7d
when: {event: Product Added}
do:
  - notify: {via: [push], template: t}
    optional: true
"""
SOURCES = {
    "campaigns/r.yaml": RULE,
    "shop.yaml": 'languages: [zh]\nquiet_hours: {from: "22:00", to: "08:00", then: drop}\n',
    "templates/t.zh.push.j2": "{{ cart.value }} {{ orders.days_since_last | default('') }}",
}


def said(*arguments: str):
    return CliRunner().invoke(app, ["rules", "preview", *arguments])


def test_a_text_is_shown_with_the_rules_own_coupon_or_the_one_given():
    assert said("cart_coupon", "--language", "zh").stdout.startswith("送您一张9折券，最多减50元：")
    answer = said("cart_coupon", "--language", "en", "--with", "coupon.off=20", "--json")
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["text"].startswith("20% off what is in your cart")
    assert found["characters"] == len(found["text"])


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["cart_coupn"], 2, "cart_coupon"),
        (["cart_coupon", "--channel", "fax"], 2, "push, wechat"),
        (["cart_coupon", "--with", "x"], 2, "NAME=VALUE"),
        (["cart_waiting", "--channel", "email"], 1, "no_template"),
    ],
)
def test_what_cannot_be_shown_says_why(arguments, code, why):
    found = said(*arguments)
    assert (found.exit_code, why in found.output) == (code, True)


@pytest.mark.parametrize("place", sorted(BOOK.templates.texts), ids=".".join)
def test_every_shipped_text_can_be_made_and_reads_well(place):
    template, channel, language = place
    reads = BOOK.templates.reads(template)
    given = {name: _sample(name) for name in reads - MADE if not name.startswith("coupon.")}
    text = shown(BOOK, template, channel, language, given).text
    assert text == text.strip()
    assert not re.search(r"\d\.0\b|None|nan|\{|  ", text), text
    if language == "zh":
        assert not re.search(r"[一-鿿] ?[,:;!?]", text), "full-width signs between Chinese words"
    else:
        assert not re.search(r"[一-鿿，。！？：]", text)
    if channel == "sms" and template in MARKETING:
        assert text.endswith(("拒收请回复R", "Reply STOP to opt out."))


def _sample(name: str):
    """A value of the name's kind; what a rule gives by `with` is a number."""
    known = catalog.FEATURES.get(name)
    kind = known.type if known else getattr(ALL_FIELDS.get(name), "kind", "number")
    return {"text": "gold", "list": ["p1"], "flag": True}.get(kind, 3)


async def test_a_row_carries_what_its_text_reads_and_when_it_must_not_go():
    engine = MemoryEngine(SOURCES)
    engine.send(0, "Product Added", userId="u", cart_id="c", product_id="p", price=30, quantity=1)
    await engine.run()
    [decided] = [row for row in engine.decisions() if row["result"] == "act"]
    [row] = decided["actions"]
    assert row["reads"] == {"cart.value": 30.0}, "what is unknown is left out"
    assert (row["quiet"], row["optional"]) == ([1320, 480, "drop"], True)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"traits": {"language": "EN"}}, "en"),
        ({"traits": {"locale": "zh_CN"}, "context": {"locale": "en-US"}}, "zh"),
        ({"context": {"locale": "en-US"}}, "en"),
        ({"traits": {"language": 7}, "context": {}}, None),
        ({"traits": {"language": "x" * 99}}, None),
    ],
)
def test_the_language_is_his_own_word_else_his_apps(call, code):
    customer = Customer.decode("u:1", None, catalog.REGISTRY)
    event = parse({"type": "identify", "userId": "1", **call}, source="s", received_at=1)
    catalog.apply(customer, event, lambda *_: None)
    assert catalog.value(customer, "language.code", 1) == code
