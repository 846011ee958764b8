"""The loader: what a folder's files become; text stays text."""

from pathlib import Path
from textwrap import dedent

import pytest

from rules.book import Book
from rules.errors import RuleErrors
from rules.load import book_from_sources, check, load_book, load_text
from rules.model import Act, Coupon, EventTrigger, InactiveTrigger, Notify, Rate, Stop, Wait
from tests.rule_texts import GOOD


def load(text: str, **files: str) -> Book:
    return book_from_sources({"nudge.yaml": dedent(text), **files})


def test_the_whole_of_a_rule_is_typed():
    book = load(
        """\
        rule: whole
        title: 标题（全角没关系）
        owner: "007"
        status: live
        run: 2026-11-11
        active: {from: 2026-11-01, until: 2026-11-11 20:00 +08:00}
        purpose: service
        priority: 70
        when:
          event: [Order Paid, My Own Event]
          if: event.total > 99.5
          count: 3
          within: 24h
        if:
          - cart.value >= 200
          - orders.count < 3
        once_per: month
        stop_on:
          - event: Order Cancelled
            if: event.reason == "x"
          - Order Completed
        limit: {customer: 2 per 7d}
        holdout: 25%
        late: 2h
        do:
          - wait: {for: 30m, since_last: [Cart Viewed]}
          - coupon: {offer: SAVE, off: 10%, over: 99.90, most: 50, valid: 48h}
            as: first
          - notify: {via: [push, sms], template: hello, with: {name: "= cart.value * 2", x: 007}}
            if: orders.count == 0
            optional: true
          - wait: {event: Order Paid, for: 3d}
          - stop: true
            if: orders.count > 0
          - coupon:
              offer: MORE
              off: {by: cart.id, a: 5, else: "= min(cart.value * 0.1, 20)"}
              valid: 1w
        """
    )
    rule = book.rules["whole"]
    assert (rule.owner, rule.run, rule.purpose, rule.priority) == (
        "007",
        "2026-11-11",
        "service",
        70,
    )
    assert rule.active_until - rule.active_from == (10 * 24 + 20) * 3_600_000
    assert rule.trigger == EventTrigger(
        frozenset({"Order Paid", "Order Completed", "My Own Event"}),
        rule.trigger.condition,
        3,
        86_400_000,
    )
    assert rule.limits == (Rate(2, 7 * 86_400_000),)
    assert (rule.holdout, rule.late_ms, rule.once_per) == (0.25, 7_200_000, "month")
    assert {(stop.event, stop.condition is not None) for stop in rule.stop_on} == {
        *(("Order Cancelled", True), ("Order Completed", False), ("Order Paid", False)),
    }
    wait, first, again, stop, last = rule.steps
    assert wait == Wait(1_800_000, frozenset({"Cart Viewed"}))
    assert isinstance(first, Act)
    coupon, notify = first.actions
    assert isinstance(coupon, Coupon)
    assert isinstance(notify, Notify)
    assert (coupon.name, coupon.off.get(None), coupon.off_kind) == ("first", 10, "percent")
    assert (coupon.over.get(None), coupon.most.get(None)) == (99.9, 50)
    assert notify.with_["x"].get(None) == "007"
    assert (notify.via, notify.optional) == (("push", "sms"), True)
    assert (again.event, again.events) == ("Order Paid", {"Order Paid", "Order Completed"})
    assert isinstance(stop, Stop)
    assert (last.step, last.actions[0].name) == ("2", "coupon:MORE")


def test_defaults():
    rule = load(GOOD, **{"shop.yaml": "holdout: {marketing: 5%}"}).rules["nudge"]
    assert (rule.status, rule.run, rule.purpose, rule.priority) == ("live", "1", "marketing", 50)
    assert (rule.holdout, rule.late_ms, rule.title) == (0.05, 3_600_000, "nudge")
    assert load("purpose: service" + GOOD).rules["nudge"].holdout == 0


def test_an_absence_is_looked_up_by_a_feature():
    rule = load(
        """\
        rule: back
        when:
          inactive: {by: seen.device, phone: 30d, else: 60d}
          of: Order Completed
        once_per: lapse
        do:
          - notify: {via: push, template: hello}
        """
    ).rules["back"]
    assert isinstance(rule.trigger, InactiveTrigger)
    assert rule.trigger.of == {"Order Completed", "Order Paid"}
    assert rule.status == "draft"


def test_the_index_holds_what_can_fire_and_what_can_be_touched():
    draft = GOOD.replace("live", "draft").replace("nudge", "later")
    paused = GOOD.replace("live", "paused").replace("nudge", "held") + "stop_on: [Cart Emptied]\n"
    shadow = GOOD.replace("live", "shadow").replace("nudge", "shade") + "priority: 90\n"
    book = load(f"{GOOD}---{draft}---{paused}---{shadow}")
    assert [rule.name for rule in book.by_event["Product Added"]] == ["shade", "nudge"]
    assert book.watched == {"Cart Emptied"}
    assert sorted(book.rules) == ["held", "later", "nudge", "shade"]


def test_the_hash_is_that_of_the_sources_and_survives_a_round_trip(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(GOOD)
    book = load_book(tmp_path)
    assert book_from_sources(book.sources).hash == book.hash
    (tmp_path / "a.yaml").write_text(GOOD + "# a word\n")
    assert load_book(tmp_path).hash != book.hash


def test_a_slip_of_a_name_is_legal_in_quotes():
    book = load(GOOD.replace("Product Added", '"Products Added"'))
    assert list(book.by_event) == ["Products Added"]


def test_examples_are_typed_by_the_catalog():
    rule = load(
        GOOD
        + """
examples:
  - start: 2026-11-11 08:00
    customer: {cart.value: 3, consent.marketing: [push], seen.device: 7, visits.active: true}
    given:
      - {at: 2m, event: Order Paid, order_id: 007, total: 9.50, promised_ship_at: 2d, own: 5}
    expect: [{at: 3d, coupon: X, notify: [a, b], off: 10%}]
""".replace("\n\n", "\n")
    ).rules["nudge"]
    (example,) = rule.examples
    assert example.customer == {
        "cart.value": 3.0,
        "consent.marketing": ["push"],
        "seen.device": "7",
        "visits.active": True,
    }
    at, event = example.given[0]
    assert at == 120_000
    assert event == {
        "event": "Order Paid",
        "order_id": "007",
        "total": 9.5,
        "promised_ship_at": example.start + 172_800_000,
        "own": 5,
    }
    assert example.expect[0].actions == (("coupon", "X"), ("notify", "a"), ("notify", "b"))
    assert example.expect[0].fields == {"off": "10%"}


def test_offers_fill_in_and_templates_must_be_there():
    rule = GOOD.replace("hello}", "hello}\n  - coupon: {offer: SAVE}")
    files = {
        "campaigns/nudge.yaml": rule,
        "offers/SAVE.yaml": "offer: SAVE\noff: free shipping\nvalid: 3d\nover: 50\n",
        "templates/hello.zh.push.j2": "你好",
        "shop.yaml": "languages: [zh]\n",
    }
    (act,) = book_from_sources(files).rules["nudge"].steps
    coupon = act.actions[1]
    assert (coupon.off_kind, coupon.valid_ms, coupon.over.get(None)) == (
        "free_shipping",
        3 * 86_400_000,
        50,
    )
    files["campaigns/nudge.yaml"] = rule.replace("SAVE", "SAV").replace("[push]", "[push, sms]")
    with pytest.raises(RuleErrors) as found:
        book_from_sources(files)
    told = str(found.value)
    assert "there is no offer `SAV` in offers/: did you mean `SAVE`?" in told
    assert "templates/hello.zh.sms.j2 is missing" in told


def test_an_empty_file_is_no_rule_and_no_error():
    assert not load_text("# nothing yet\n").rules


def test_what_would_be_passed_over_in_silence_is_told(tmp_path):
    (tmp_path / "campaign").mkdir()
    (tmp_path / "campaign" / "a.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "shop.yaml").write_text("\n", encoding="utf-8")
    assert [str(one) for one in check(tmp_path)] == [
        "campaign:0:0: this folder is not read: did you mean `campaigns`?",
        "shop.yaml:0:0: an empty file: delete it",
    ]


def test_a_segments_name_is_of_any_script_and_a_hyphen_is_no_minus_in_a_condition():
    files = {
        "segments/a.yaml": "segment: brand-fans\nif: orders.count >= 2\n",
        "segments/b.yaml": "segment: 高价值\nif: orders.net >= 1000\n",
        "campaigns/r.yaml": f"{GOOD}if: segment.brand_fans or segment.高价值\n",
    }
    book = book_from_sources(files)
    assert set(book.segments) == {"brand-fans", "高价值"}
    assert {"segment.brand_fans", "segment.高价值"} <= next(iter(book.rules.values())).laid
    with pytest.raises(RuleErrors, match="another segment named `brand_fans`"):
        book_from_sources({**files, "segments/c.yaml": "segment: brand_fans\nif: orders.count > 2"})
