"""What is wrong in a file of the language is said: which word, and what was allowed."""

from pathlib import Path

import pytest

from rules.errors import RuleErrors
from rules.load import book_from_sources, read_sources
from tests.rule_texts import LEAST

RULES = Path(__file__).parents[2] / "rules"
SEGMENTS = {
    name: text for name, text in read_sources(RULES).items() if name.startswith("segments/")
}
ALL = frozenset[str]()


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"when": "when: {enters: vpi}"}, "there is no segment `vpi` in segments/: did you mean `vip`"),
        ({"when": "when: {cron: 0 10 8 * *}"}, "a schedule needs `audience`"),
        ({"when": 'when: {cron: "0 25 8 * *", audience: vip}'}, "is not a schedule like"),
        ({"when": 'when: {cron: "0 0 10 8 * *", audience: vip}'}, "minute hour day month weekday"),
        ({"when": 'when: {cron: "0 10 30 2 *", audience: vip}'}, "is not a schedule like"),
        ({"when": "when: {due: cart.value}"}, "`cart.value` is not a date"),
        ({"when": "when: {due: order.promised_ship_at}"}, "is open with `once_per: order` only"),
        ({"when": "when: {due: contact.birthday_md, offset: 3 days}"}, "is not a duration"),
        ({"when": "when: {due: contact.birthday_md}"}, "contact.birthday_md is about no cart"),
        ({"when": "when: {due: contact.birthday_md, at: 10}"}, "is not a time of day"),
        ({"when": "when: {crosses: cart.value}"}, "needs `above` or `below`"),
        ({"when": "when: {crosses: cart.id, above: 3}"}, "a feature that is a number"),
        ({"when": "when: {crosses: cart.value, above: 3, back: 5}"}, "`back` is below the level"),
        ({"when": "when: {item: Product Viewed, held_in: cart}"}, "about a customer, not an item"),
        ({"when": "when: {item: Product Launched}"}, "needs `held_in` or `audience`"),
        ({"when": "when: {sequence: [Product Viewed]}"}, "2 to 10 links"),
        ({"when": "when: {sequence: [Product Viewed, Product Added]}"}, "needs `within`"),
        ({"when": "when: {event: Product Added, spread: 2h}"}, "goes with `at, cron, item`"),
        ({"when": "when: {request: home}"}, "show, recommend and coupon only"),
        ({"when": "when: {event: X}", "once_per": "once_per: tick"}, "each time is `once_per: event`"),
        ({"if": "if: order.total > 3"}, "`order.total` is open with `once_per: order` only"),
        ({"if": "if: segment.vpi"}, "did you mean `segment.vip`?"),
        ({"if": "if: segment.rfm == 3"}, "they can never be equal"),
        ({"budget": "budget: {coupons: 5}"}, "is not a rate"),
        ({"budget": "budget: {money: 20000}"}, "is not an amount like 20000 per day"),
        ({"quiet": "quiet_hours: {from: 22, to: 8}"}, "is not a time of day"),
        ({"quiet": 'quiet_hours: {from: "22:00"}'}, "quiet_hours needs `to`"),
        ({"do": "do:\n  - points: {add: 1.5}"}, "is not a number of points"),
        ({"do": "do:\n  - points: {multiply: 2}"}, "multiply and for go together"),
        ({"do": "do:\n  - pause: {purpose: marketing}"}, "pause needs `for`"),
        ({"do": "do:\n  - tag: {}"}, "tag needs `add` or `remove`"),
        ({"do": "do:\n  - webhook: {name: https://x.y/z}"}, "by its configured name"),
        ({"do": "do:\n  - coupon: {offer: A, off: 5, valid: {until: soon}}"}, "is not a name here"),
        ({"do": "do:\n  - notify: {via: push, template: t, to: frend}"}, "did you mean `friend`?"),
        ({"do": "do:\n  - coupon: {offer: A, off: 30 USD, valid: 1d}"}, "gives no `exchange` for USD"),
    ],
    ids=str,
)  # fmt: skip
def test_the_new_keys_say_what_is_wrong(parts: dict[str, str], why: str):
    text = "\n".join({**LEAST, **parts}.values()) + "\n"
    files = {**SEGMENTS, "campaigns/r.yaml": text}
    with pytest.raises(RuleErrors) as found:
        book_from_sources(files, ALL)
    assert why in str(found.value)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("segments/a.yaml", "segment: a\n", "needs `if` or `tiers`"),
        ("segments/a.yaml", "segment: 9a\nif: cart.value > 1\n", "a segment's name is like"),
        ("segments/a.yaml", "segment: everyone\nif: cart.value > 1\n", "a segment's name is like"),
        ("segments/a.yaml", "segment: a\nif: cart.valu > 1\n", "did you mean `cart.value`?"),
        ("segments/a.yaml", "segment: a\nif: event.total > 1\n", "there is no event here"),
        ("segments/a.yaml", "segment: a\nif: segment.b\n", "is not in reach here"),
        ("offers/a.yaml", "offer: A\nstacks: [B]\n", "there is no offer `B` for `stacks`"),
        ("offers/a.yaml", "offer: A\ncost: {shop: 60%, merchant: 30%}\n", "not to 90%"),
        ("offers/a.yaml", "offer: A\nreturns: {refund: yes}\n", "allowed are back, lost"),
        ("offers/a.yaml", "offer: A\ncodes: poll\n", "allowed are hmac"),
        ("offers/a.yaml", "offer: A\ncodes: {pool: Ours!}\n", "a pool's name is like vip-codes"),
        ("shop.yaml", "closing_days: [2026-02-30]\n", "is not a date"),
        ("shop.yaml", "caps:\n  - {purpose: marketing}\n", "a cap needs `limit`"),
        ("shop.yaml", "exchange: {USD: much}\n", "is not what a currency is worth"),
        ("shop.yaml", "pauses:\n  - cart.valu > 1\n", "did you mean `cart.value`?"),
    ],
)
def test_the_other_files_say_what_is_wrong(file: str, text: str, why: str):
    with pytest.raises(RuleErrors) as found:
        book_from_sources({file: text}, ALL)
    assert why in str(found.value)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"do": "do:\n  - points: {add: 9, to: merchant}"}, "allowed are customer, referrer"),
        (
            {"do": "do:\n  - coupon: {offer: A, off: 9, valid: 1d, to: merchant}"},
            "referrer, friend",
        ),
        ({"digest": "digest: 1 per ever"}, "a digest is at most 100 per a time"),
        ({"digest": "digest: 101 per day"}, "a digest is at most 100 per a time"),
        ({"digest": "digest: 1 per day", "when": "when: {request: home}"}, "there is no digest"),
        ({"if": "if: digest.count > 1"}, "is open in the steps of a rule with `digest` only"),
        ({"in_flight": "in_flight: stay"}, "allowed are finish, move"),
    ],
)
def test_what_is_never_meant_is_refused(changed: dict[str, str], why: str):
    text = "\n".join({**LEAST, **changed}.values()) + "\n"
    with pytest.raises(RuleErrors) as found:
        book_from_sources({"campaigns/r.yaml": text}, ALL)
    assert why in str(found.value)


def test_other_money_counts_by_the_shops_exchange():
    do = "do:\n  - coupon: {offer: A, off: 10 USD, valid: 1d}"
    text = "\n".join({**LEAST, "do": do}.values()) + "\n"
    book = book_from_sources({"campaigns/r.yaml": text, "shop.yaml": "exchange: {USD: 7.2}\n"}, ALL)
    (act,) = book.rules["r"].steps
    assert act.actions[0].off.get(None) == 72
