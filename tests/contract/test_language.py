"""The whole language: wishes of a shop written in it load and are typed; nothing is half there."""

import re
import time
from pathlib import Path

import pytest

from engine.scores import SCORES
from features import catalog
from features.models.names import SCORE_NAMES
from rules import model
from rules.actions import ACTIONS
from rules.actions_people import KINDS
from rules.errors import RuleErrors
from rules.gates import REASONS
from rules.language import FORMS
from rules.load import book_from_sources, load_book
from rules.model import ONCE_PER, Act, Coupon, Notify, Points, Split, Wait
from rules.reads import expressions, laid_over
from rules.subjects import ALL_FIELDS
from rules.trigger_forms import COMPANIONS
from rules.unbuilt import UNBUILT
from rules.values import Computed, Days, Lookup

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
WISHES = sorted((HERE / "language").glob("*.yaml"))
ALL = frozenset[str]()


def sources(*files: Path) -> dict[str, str]:
    segments = (RULES / "segments").glob("*.yaml")
    found = {f"segments/{path.name}": path.read_text() for path in segments}
    return found | {f"campaigns/{path.name}": path.read_text() for path in files}


BOOK = book_from_sources(sources(*WISHES), ALL)


def rule(name: str) -> model.Rule:
    return BOOK.rules[name]


def actions(name: str) -> list[model.Action]:
    return [one for step in rule(name).steps if isinstance(step, Act) for one in step.actions]


def test_the_wishes_are_there():
    assert {
        *("cart-rescue", "win-back", "ship-delay", "welcome", "birthday", "tier-upgrade"),
        *("points-expiring", "replenishment", "price-drop", "bad-review", "live-cart"),
        *("referral", "big-sale", "member-day", "ask-consent", "coupon-expiring", "launch"),
    } <= BOOK.rules.keys()
    used = {type(one.trigger) for one in BOOK.rules.values()}
    assert used == set(model.Trigger.__args__)
    done = {type(one).__name__.lower() for name in BOOK.rules for one in actions(name)}
    assert done == ACTIONS.keys()


def test_the_triggers_are_typed():
    due = rule("birthday").trigger
    assert isinstance(due, model.DueTrigger)
    assert (due.date.name, due.date.yearly, due.date.subject) == ("contact.birthday_md", True, "")
    assert (due.offset.get(None), due.at_minute) == (-3 * 86_400_000, 600)
    late = rule("ship-delay").trigger
    assert isinstance(late, model.DueTrigger)
    assert (late.date.subject, late.date.yearly) == ("order", False)
    assert late.condition.laid == {"order.shipped"}
    live = rule("live-cart").trigger
    assert isinstance(live, model.SequenceTrigger)
    assert [sorted(link.names) for link in live.steps] == [
        ["Live Stream Joined"],
        ["Product Added"],
    ]
    assert live.then_not.names == {"Order Paid", "Order Completed", "Cart Emptied"}
    assert (live.within_ms, live.then_not.for_ms) == (7_200_000, 600_000)
    sale = rule("big-sale").trigger
    assert isinstance(sale, model.ScheduleTrigger)
    assert (sale.moments, sale.audience) == ((1_781_697_600_000, 1_794_312_000_000), "everyone")
    assert rule("member-day").trigger == model.ScheduleTrigger("value", (), "0 10 8 * *", 3_600_000)
    drop = rule("price-drop").trigger
    assert isinstance(drop, model.ItemTrigger)
    assert (drop.names, drop.held_in) == ({"Product Price Changed"}, {"cart", "favourites"})
    assert rule("tier-upgrade").trigger == model.SegmentTrigger("value.gold", enters=True)
    risk = rule("suspicious").trigger
    assert isinstance(risk, model.CrossesTrigger)
    assert (risk.feature, risk.above) == ("risk.abuse", True)
    assert (risk.level.get(None), risk.back.get(None)) == (0.8, 0.6)
    assert rule("ask-consent").trigger == model.RequestTrigger("home-banner")


def test_the_steps_and_actions_are_typed():
    split = rule("welcome").steps[0]
    assert isinstance(split, Split)
    assert [(branch.name, branch.share) for branch in split.branches] == [
        *(("coupon", 0.5), ("words", 0.4), ("nothing", 0.1)),
    ]
    coupon, _, points = actions("birthday")
    assert isinstance(coupon, Coupon)
    assert isinstance(coupon.off, Lookup)
    assert isinstance(points, Points)
    assert (points.multiply.get(None), points.for_ms) == (2, 86_400_000)
    sale = next(one for one in actions("big-sale") if isinstance(one, Coupon))
    assert isinstance(sale.off, Computed)
    assert (sale.valid_ms, sale.valid_until) == (0, 1_794_412_800_000)
    wait = rule("replenishment").steps[1]
    assert isinstance(wait, Wait)
    assert isinstance(wait.looked["for_ms"], Days)
    until = next(step for step in rule("big-sale").steps if isinstance(step, Wait))
    assert until.until == 1_794_326_400_000
    message = next(one for one in actions("member-day") if isinstance(one, Notify))
    assert isinstance(message.looked["template"], Lookup)
    assert [one.to for one in actions("referral")] == ["customer", *["referrer"] * 3]
    assert rule("referral").referrer_limits == (model.Rate(10, 0, "month"),)
    assert rule("referral").budget == model.Budget(
        model.Rate(1_000, 0, "day"), model.Rate(1_000_000, 0, "day")
    )
    assert rule("big-sale").quiet == model.Quiet(23 * 60 + 30, 7 * 60 + 30, "drop")
    assert rule("points-expiring").digest == model.Rate(1, 0, "day")


def test_a_rule_says_which_names_must_be_laid_over():
    assert rule("ship-delay").laid == {
        *("order.promised_ship_at", "order.shipped", "order.total", "order.merchant_id")
    }
    for one in BOOK.rules.values():
        assert one.laid == laid_over(one)
        assert one.laid <= {
            *ALL_FIELDS,
            *SCORE_NAMES,
            "arrived",
            *(f"segment.{n}" for n in BOOK.segments),
        }
        for expr in expressions(one):
            assert expr.features <= catalog.FEATURES.keys()


@pytest.mark.parametrize("file", WISHES, ids=lambda path: path.stem)
def test_what_the_engine_does_not_do_is_refused_by_name(file: Path):
    wanted = frozenset({"do.choose", "do.split", "when.sequence", "rule.budget"})
    used = {key for key in wanted if re.search(rf"\b{key.rpartition('.')[2]}:", file.read_text())}
    if not used:
        assert book_from_sources(sources(file), wanted)
        return
    with pytest.raises(RuleErrors) as found:
        book_from_sources(sources(file), wanted)
    told = [str(one) for one in found.value.errors]
    assert all("is part of the language but not built yet" in one for one in told), told


def test_what_is_not_built_names_what_there_is():
    reasons = {f"held.{reason}" for reason in REASONS}
    known = {f"{form.place}.{key}" for form in FORMS.values() for key in form.keys} | reasons
    known |= {f"once_per.{name}" for name in ONCE_PER} | {f"name.{name}" for name in SCORE_NAMES}
    known |= {"name.arrived", "name.segment", "name.subject", "schedule.at", "guard.wait"}
    known |= {f"{name}.if" for name in COMPANIONS}
    known |= {f"recommend.{kind}" for kind in KINDS}
    looked = ("inactive", "wait", *ACTIONS)
    assert known | {f"{name}.looked" for name in looked} >= UNBUILT


def test_a_score_is_no_feature_of_the_catalog_and_is_there_once_it_is_built():
    assert not SCORE_NAMES.keys() & catalog.FEATURES.keys()
    assert SCORES.keys() <= SCORE_NAMES.keys()
    for name in SCORE_NAMES:
        assert (name in SCORES) == (f"name.{name}" not in UNBUILT), name


# -- segments


def test_the_segments_that_ship():
    shipped = load_book(RULES).segments
    assert {*("rfm", "value", "high_value", "potential", "lapsing", "lost", "vip", "interest")} <= (
        shipped.keys()
    )
    assert shipped["rfm"].tiered
    assert "rfm.champions" in shipped["rfm"].names()
    assert shipped["high_value"].names() == ("high_value",)
    assert shipped["high_value"].tiers[0].stay is not None
    assert all(one.owner and one.title != one.name for one in shipped.values())


def test_the_book_finds_rules_by_what_begins_them():
    assert [one.name for one in BOOK.requests["home-banner"]] == ["ask-consent"]
    assert [one.name for one in BOOK.of_kind(model.CrossesTrigger)] == ["suspicious"]
    assert [one.name for one in BOOK.ears("Product Price Changed").reached] == ["price-drop"]
    assert [one.name for one in BOOK.ears("Live Stream Joined").followed] == ["live-cart"]
    assert "live-cart" in {one.name for one in BOOK.ears("Order Paid").followed}


def test_five_hundred_rules_load_in_no_time():
    text = (RULES / "campaigns" / "cart-rescue.yaml").read_text()
    many = {f"campaigns/r{n}.yaml": text.replace("cart-rescue", f"r{n}") for n in range(500)}
    began = time.process_time()
    assert len(book_from_sources(many, ALL).rules) == 500
    assert time.process_time() - began < 8  # 1.6 s on a quiet machine
