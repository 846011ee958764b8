"""The whole language: wishes of a shop written in it load and are typed; nothing is half there."""

import re
import time
from pathlib import Path

import jsonschema_rs
import pytest

from engine.scores import SCORES
from features import catalog
from features.models.names import SCORE_NAMES
from rules import model
from rules.actions import ACTIONS
from rules.actions_people import KINDS
from rules.book import Book
from rules.document import Fields, Items, Node, Text, documents
from rules.errors import RuleErrors
from rules.forms import Form, Key
from rules.gates import REASONS
from rules.json_schema import ATOMS, schema
from rules.language import FILES, FORMS, written
from rules.load import book_from_sources, load_book, load_text, read_sources
from rules.model import ONCE_PER, Act, Coupon, Notify, Points, Split, Wait
from rules.reads import expressions, laid_over
from rules.reference import STEPS, VALUES, reference, renewed
from rules.subjects import ALL_FIELDS, SUBJECTS
from rules.trigger_forms import COMPANIONS, WHEN
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


# -- the tables: schema, reference, examples


def plain(node: Node) -> object:
    """A file as YAML 1.2 types it, which is what an editor checks."""
    if isinstance(node, Fields):
        return {key.value: plain(value) for key, value in node.pairs}
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    assert isinstance(node, Text)
    if not node.quoted and node.value in {"true", "false"}:
        return node.value == "true"
    if not node.quoted and re.fullmatch(r"-?\d+", node.value):
        return int(node.value)
    if not node.quoted and re.fullmatch(r"-?\d+\.\d+", node.value):
        return float(node.value)
    return node.value


FOLDERS = {name: place for place, name in FILES.items()}
FILES_OF_OURS = {
    **{f"rules/{name}": text for name, text in read_sources(RULES).items()},
    **{f"campaigns/{path.name}": path.read_text() for path in WISHES},
}


@pytest.mark.parametrize(
    "file", [name for name in FILES_OF_OURS if name.endswith(".yaml")], ids=lambda name: name
)
def test_the_schema_takes_every_file_of_ours(file: str):
    *_, folder, name = f"/{file}".split("/")
    place = FOLDERS.get(folder) or FOLDERS[name]
    validator = jsonschema_rs.validator_for(schema(place, ALL))
    for node in documents(FILES_OF_OURS[file], file, []):
        assert [error.message for error in validator.iter_errors(plain(node))] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"stauts": "live"},
        {"status": "alive"},
        {"limit": "1 per fortnight"},
        {"do": [{"wait": "30 minutes"}]},
        {"do": [{"notify": {"via": ["pusch"], "template": "x"}}]},
        {"do": [{"choose": [{"if": "arrived"}]}]},
        {"when": {"evnt": "x"}},
        {"examples": [{"given": []}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: dict[str, object]):
    good = {
        "rule": "r",
        "when": {"event": "Product Added"},
        "once_per": "cart",
        "do": [{"notify": {"via": "push", "template": "x"}}],
    }
    validator = jsonschema_rs.validator_for(schema("rule", ALL))
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, **wrong})


def test_the_schema_leaves_out_what_is_not_built():
    assert "budget" in schema("rule", ALL)["properties"]
    assert "budget" not in schema("rule", frozenset({"rule.budget"}))["properties"]


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.place)
def test_every_kind_of_a_key_is_known(form: Form):
    for name, key in form.keys.items():
        assert key.doc, name
        for one in written(key.kind):
            assert one.words or one.form in FORMS or one.atom in {*ATOMS, "feature"}, key.kind


def test_the_reference_in_the_readme_is_that_of_the_code():
    readme = (RULES / "README.md").read_text()
    told = "write it anew: .venv/bin/python -m rules.reference rules/README.md"
    assert renewed(readme) == readme, told
    assert reference() in readme


def test_one_example_for_each_thing():
    places = {*STEPS, "stop", "if", "as", "optional"}
    assert places >= FORMS["do"].keys.keys()
    shown = "\n".join(key.example for key in WHEN.keys.values())
    assert all(
        re.search(rf"^{name}: ", shown, re.MULTILINE) or f"{name}:" in shown for name in WHEN.keys
    )
    for place in ("rule", "segment", "offer", "shop"):
        bare = [name for name, key in FORMS[place].keys.items() if not key.example]
        assert set(bare) <= {"do", "examples", "off", "over", "most"}
    assert len(VALUES) == 8


BASE = {
    "rule": "r",
    "when": "when: {event: Product Added}",
    "once_per": "once_per: cart",
    "do": "do:\n  - notify: {via: push, template: hello}",
}
SUBJECT_OF = {"due": "year", "at": "tick", "cron": "tick", "enters": "tick", "leaves": "tick"}
SUBJECT_OF |= {"crosses": "tick", "inactive": "lapse", "request": "session", "item": "product"}


def loads(**parts: str) -> Book:
    given = {**BASE, "rule": "rule: r", **parts}
    return load_text("\n".join(given.values()) + "\n", unbuilt=ALL)


@pytest.mark.parametrize("name", [name for name, key in WHEN.keys.items() if key.example])
def test_an_example_of_a_trigger_loads(name: str):
    example = WHEN.keys[name].example.replace("\n", "\n  ")
    once = SUBJECT_OF.get(name, "cart")
    do = BASE["do"] if name != "request" else "do:\n  - show: {template: hello}"
    assert loads(when=f"when:\n  {example}", once_per=f"once_per: {once}", do=do)


@pytest.mark.parametrize(
    "name", [n for n, key in FORMS["rule"].keys.items() if key.example and n not in BASE]
)
def test_an_example_of_a_top_key_loads(name: str):
    assert loads(**{name: FORMS["rule"].keys[name].example})


@pytest.mark.parametrize("name", STEPS)
def test_an_example_of_a_step_loads(name: str):
    text = STEPS[name].replace("{coupon: {offer: SAVE}}", "{coupon: {offer: S, off: 5, valid: 1d}}")
    steps = f"{text}\n- notify: {{via: push, template: last}}\n".replace("\n", "\n  ")
    assert loads(do=f"do:\n  {steps}")


@pytest.mark.parametrize("place", ["segment", "offer", "shop"])
def test_an_example_of_a_key_of_another_file_loads(place: str):
    others = {
        "segment": ["segment: s", "if: cart.value > 1"],
        "offer": ["offer: FREESHIP"],
        "shop": [],
    }
    for name, key in FORMS[place].keys.items():
        base = [
            line for line in others[place] if not key.example.startswith(line.partition(":")[0])
        ]
        if name in {"stay", "tiers"}:
            base = [line for line in base if not line.startswith("if")]
        file = "shop.yaml" if place == "shop" else f"{FILES[place]}/x.yaml"
        files = {file: "\n".join([*base, key.example]) + "\n"}
        if "FREESHIP" in key.example:
            files["offers/other.yaml"] = "offer: FREESHIP\n"
            files[file] = files[file].replace("offer: FREESHIP\n", "offer: A\n", 1)
        assert book_from_sources(files, ALL) is not None


def test_a_key_is_told_of_once():
    assert isinstance(Key("text", "x"), Key)
    assert {form.place for form in FORMS.values()} == FORMS.keys()


def test_every_subject_is_one_of_the_language():
    assert tuple(sorted(SUBJECTS)) == tuple(sorted(ONCE_PER))
    for name, field in ALL_FIELDS.items():
        assert field.doc, name
        for source in field.sources:
            known = source.property or source.at or source.value is not None
            assert known, name


# -- errors of the new things


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
        ({"do": "do:\n  - coupon: {offer: A, off: 30 USD, valid: 1d}"}, "not what a coupon takes"),
    ],
    ids=str,
)  # fmt: skip
def test_the_new_keys_say_what_is_wrong(parts: dict[str, str], why: str):
    text = "\n".join({**BASE, "rule": "rule: r", **parts}.values()) + "\n"
    files = {**sources(), "campaigns/r.yaml": text}
    with pytest.raises(RuleErrors) as found:
        book_from_sources(files, ALL)
    assert why in str(found.value)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("segments/a.yaml", "segment: a\n", "needs `if` or `tiers`"),
        ("segments/a.yaml", "segment: Ä\nif: cart.value > 1\n", "a segment's name is like"),
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
    text = "\n".join({**BASE, "rule": "rule: r", **changed}.values()) + "\n"
    with pytest.raises(RuleErrors) as found:
        book_from_sources({"campaigns/r.yaml": text}, ALL)
    assert why in str(found.value)


def test_other_money_counts_by_the_shops_exchange():
    do = "do:\n  - coupon: {offer: A, off: 10 USD, valid: 1d}"
    text = "\n".join({**BASE, "rule": "rule: r", "do": do}.values()) + "\n"
    book = book_from_sources({"campaigns/r.yaml": text, "shop.yaml": "exchange: {USD: 7.2}\n"}, ALL)
    (act,) = book.rules["r"].steps
    assert act.actions[0].off.get(None) == 72


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
