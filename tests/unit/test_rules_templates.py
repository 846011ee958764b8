"""Templates: names known when loaded, sandboxed, strict, bounded; and said in the reader's words."""

import pytest

from rules.errors import BadText, RuleErrors
from rules.load import book_from_sources
from rules.model import Shop
from rules.templates import LENGTH_MAX, CannotRender, Templates

RULE = """
rule: r
when: {event: Order Paid}
once_per: order
do:
  - coupon: {offer: SAVE, off: 10%, valid: 48h}
    as: mine
  - notify: {via: [push], template: t, with: {gain: 10}}
  - wait: 1d
  - notify: {via: [sms], template: later}
"""
SHOP = "languages: [zh]\n"


def load(**texts: str):
    files = {
        f"templates/{name.replace('_', '.')}.j2": text
        for name, text in {"t_zh_push": "x", "later_zh_sms": "x", **texts}.items()
    }
    return book_from_sources(
        {"campaigns/r.yaml": RULE, "shop.yaml": SHOP, **files}, unbuilt=frozenset()
    )


def errors(**texts: str) -> str:
    with pytest.raises(RuleErrors) as found:
        load(**texts)
    return str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ cart.value | money }} {{ order.total }} {{ coupon.code }} {{ mine.off }} {{ gain }}",
        "{{ event.total }} {{ event.anything }} {{ language }} {{ member.tier }}",
        "{% for one in cart.products %}{{ one }}{{ loop.index }}{% endfor %}",
        "{% set x = cart.items %}{{ x + 1 }}",
        "{% if order.shipped is defined and order.shipped %}1{% endif %}",
        "{{ cart['value'] }}",
    ],
)
def test_a_template_may_read_what_its_rule_gives(text: str):
    assert load(t_zh_push=text).templates.reads("t")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ cart.valu }}", "templates/t.zh.push.j2:1:4: `cart.valu` is not known to the rule r"),
        ("a\n{{ cart.valu }}", "push.j2:2:4: `cart.valu` is not known to the rule r (campaigns/"),
        ("{{ cart.valu }}", "did you mean `cart.value`?"),
        ("{{ coupon.of }}", "did you mean `coupon.off`?"),
        ("{{ product.price }}", "`product.price` is not known"),
        ("{{ name }}", "`name` is not known"),
        ("{{ range(3) }}", "`range` is not known"),
        ("{{ cart.value", "cannot be read as a template"),
        ("{{ cart.value ｝｝", "write `}` instead of the full-width `｝`"),
        ("{{ cart['valu'] }}", "`cart.valu` is not known"),
        ("{% include 'x' %}{{ cart.value }}", "push.j2:1:1: a template stands alone"),
        ("{% import 'os' as os %}{{ os.x }}", "a template stands alone"),
        ("a\n{{ ''.__class__.__mro__ }}", "push.j2:2:1: `__mro__`: no name begins with _"),
        ("{{ cart.value | nothing }}", "there is no filter or test `nothing`"),
    ],
)
def test_a_name_that_is_not_known_is_told_when_loaded(text: str, why: str):
    assert why in errors(t_zh_push=text)


def test_the_event_that_began_the_rule_is_known_after_a_wait_too_one_level_deep():
    assert load(later_zh_sms="{{ event.total }}").rules["r"].hears == {"total"}
    assert "`event.a.b` is not known" in errors(later_zh_sms="{{ event.a.b }}")


def test_a_template_has_a_text_for_each_channel_and_language():
    files = {"campaigns/r.yaml": RULE, "templates/t.zh.push.j2": "x"}
    with pytest.raises(RuleErrors) as found:
        book_from_sources(files, unbuilt=frozenset())
    assert "templates/t.en.push.j2 is missing" in str(found.value)
    assert "there is no template `later` in templates/" in str(found.value)


def templates(text: str, channel: str = "push", language: str = "zh") -> Templates:
    made = Templates(Shop())
    made.add(("t", channel, language), f"templates/t.{language}.{channel}.j2", text)
    return made


def said(text: str, language: str = "zh", channel: str = "push", **context: object) -> str:
    names = {name.replace("__", "."): value for name, value in context.items()}
    return templates(text, channel, language).render("t", channel, language, names)


COUPON = {"off_kind": "percent", "off": 12, "code": "A1", "expires_at": 1_781_784_000_000}


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("{{ coupon | off }}", "8.8折", "12% off"),
        ("{{ coupon.expires_at | day }}", "6月18日", "18 June"),
        ("{{ coupon.expires_at | time }}", "6月18日 20:00", "18 June 20:00"),
        ("{{ 9.9 | money }} {{ 30.0 | money }}", "9.90 30", "9.90 30"),
    ],
)
def test_what_a_coupon_says(text: str, zh: str, en: str):
    assert said(text, coupon=COUPON) == zh
    assert said(text, "en", coupon=COUPON) == en


@pytest.mark.parametrize(
    ("kind", "off", "zh", "en"),
    [
        ("money", 30, "30元", "30 CNY off"),
        ("free_shipping", 0, "免运费", "free shipping"),
        ("gift", "SKU1", "赠品", "a gift"),
        ("percent", 10, "9折", "10% off"),
    ],
)
def test_every_kind_of_coupon_has_words(kind: str, off: object, zh: str, en: str):
    coupon = {"off_kind": kind, "off": off}
    assert (
        said("{{ coupon | off }}", coupon=coupon),
        said("{{ coupon | off }}", "en", coupon=coupon),
    ) == (zh, en)


@pytest.mark.parametrize(
    ("text", "context", "reason"),
    [
        ("{{ cart.value }}", {}, "missing_value"),
        ("{{ cart.value }}", {"cart__value": float("nan")}, "missing_value"),
        ("{{ cart.value | money }}", {"cart__value": "dear"}, "missing_value"),
        ("{{ x }}", {"x": "字" * (LENGTH_MAX["push"] + 1)}, "too_long"),
        ("{{ 'x' * 1000000000 }}", {}, "missing_value"),
        ("{{ 10 ** 10 ** 10 }}", {}, "missing_value"),
        ("{{ ''['__class__']['__mro__'] }}", {}, "missing_value"),
        ("{{ x.append(1) }}", {"x": [1]}, "missing_value"),
        ("{{ 1 / 0 }}", {}, "missing_value"),
    ],
)
def test_a_text_that_cannot_be_made_says_why(text: str, context: dict[str, object], reason: str):
    with pytest.raises(CannotRender) as found:
        said(text, **context)
    assert found.value.reason == reason


def test_an_unknown_value_may_be_asked_for():
    assert said("{{ cart.value if cart is defined else '-' }}") == "-"


def test_markup_is_escaped_where_there_is_markup():
    assert said("{{ x }}", channel="email", x="<b>") == "&lt;b&gt;"
    assert said("{{ x }}", channel="page", x="<b>") == "&lt;b&gt;"
    assert said("{{ x }}", channel="sms", x="<b>") == "<b>"


def test_another_language_stands_in_and_none_is_told():
    assert templates("好").render("t", "push", "en", {}) == "好"
    with pytest.raises(CannotRender, match="no_template"):
        templates("好").render("t", "sms", "zh", {})


def test_a_text_has_an_end():
    with pytest.raises(BadText):
        templates("x" * 200_000)
