"""The actions of a rule: a table of readers, one for each kind.

To add an action: a frozen shape in model.py, a reader here, a line in READERS.
Must not live here: doing any of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.document import Fields, Node, Text
from rules.errors import BadText, near, one_of
from rules.expressions import Expr
from rules.model import CHANNELS, Action, Coupon, Notify, Offer, OffKind
from rules.reading import Keys, Reader
from rules.scope import Scope
from rules.values import Constant, Value, duration, money, percent

COUPON: Final = Keys(
    "coupon", ("offer", "off", "over", "most", "valid"), needed=("offer",), unbuilt=("to",)
)
NOTIFY: Final = Keys(
    "notify", ("via", "template", "with"), needed=("via", "template"), unbuilt=("to",)
)
UNBUILT: Final = (
    *("show", "points", "tag", "audience", "recommend", "task", "alert", "pause"),
    *("webhook", "emit"),
)
VALID_MIN_MS: Final = 60_000


@dataclass(frozen=True)
class Surroundings:
    """What an action's reader may look at: the folder's offers and templates, None if it has none.

    `templates` maps a template's name to its (language, channel) pairs.
    """

    scope: Scope
    currency: str = "CNY"
    languages: tuple[str, ...] = ("zh", "en")
    offers: Mapping[str, Offer] | None = None
    templates: Mapping[str, frozenset[tuple[str, str]]] | None = None


@dataclass(frozen=True)
class Beside:
    """What stands beside any action."""

    name: str = ""
    condition: Expr | None = None
    optional: bool = False


@dataclass
class _Off:
    """Reads `off` and notes of which kinds its values are."""

    currency: str
    kinds: set[OffKind] = field(default_factory=set)

    def read(self, text: str) -> object:
        if text.endswith(("%", "％")):
            self.kinds.add("percent")
            number = percent(text)
            if not 0 < number <= 100:
                raise BadText(f"`{text}`: a coupon takes off more than 0% (10% is 9折)")
            return number
        if text == "free shipping":
            self.kinds.add("free_shipping")
            return 0
        if text.startswith("gift "):
            self.kinds.add("gift")
            return text.removeprefix("gift ").strip()
        self.kinds.add("money")
        try:
            amount = money(text, self.currency)
        except BadText:
            allowed = "10% (9折), 30, free shipping or gift SKU"
            raise BadText(f"`{text}` is not what a coupon takes off: {allowed}") from None
        if not amount:
            raise BadText("a coupon takes off more than 0")
        return amount


def off(reader: Reader, node: Node, scope: Scope, currency: str) -> tuple[Value, OffKind]:
    """What a coupon takes off, and of which kind it is; all cases of a look-up are of one kind."""
    table = _Off(currency)
    value = reader.value(node, scope, "number", table.read, least=0.01)
    if len(table.kinds) > 1:
        reader.error(node, f"`off` mixes {one_of(sorted(table.kinds))}: all cases of one kind")
    return value, next(iter(sorted(table.kinds)), "money")


def amount(reader: Reader, node: Node, scope: Scope, currency: str) -> Value:
    """An amount of money, written or computed."""
    return reader.value(node, scope, "number", lambda text: money(text, currency), least=0)


def valid(reader: Reader, node: Node) -> int:
    """How long a coupon lives, in ms."""
    if isinstance(node, Fields):
        reader.fields(node, Keys("valid", (), unbuilt=("until",)))
        return VALID_MIN_MS
    return reader.parse(node, lambda text: duration(text, VALID_MIN_MS), VALID_MIN_MS)


def coupon(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`coupon: {offer, off, over, most, valid}`; what is left out comes from the offer."""
    found = reader.fields(node, COUPON)
    name = reader.text(found["offer"], "an offer's name", 64) if "offer" in found else ""
    known = Offer(name)
    if near_by.offers is not None and name:
        if name not in near_by.offers:
            hint = near(name, near_by.offers) or f"; there are {one_of(sorted(near_by.offers))}"
            reader.error(found["offer"], f"there is no offer `{name}` in offers/{hint}")
        known = near_by.offers.get(name, known)
    value, kind = known.off, known.off_kind
    if "off" in found:
        value, kind = off(reader, found["off"], near_by.scope, near_by.currency)
    if value is None and name:
        reader.error(node, f"coupon needs `off`: neither it nor the offer `{name}` says how much")
    over, most = (
        amount(reader, found[key], near_by.scope, near_by.currency) if key in found else default
        for key, default in (("over", known.over), ("most", known.most))
    )
    lives = valid(reader, found["valid"]) if "valid" in found else known.valid_ms
    if lives is None and name:
        reader.error(node, "coupon needs `valid`, such as 48h: whatever leaves expires")
    return Coupon(
        name=beside.name or f"coupon:{name}",
        offer=name,
        off=value or Constant(None),
        off_kind=kind,
        valid_ms=lives or VALID_MIN_MS,
        over=over,
        most=most,
        condition=beside.condition,
        optional=beside.optional,
    )


def notify(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`notify: {via: [push, sms], template, with: {}}`."""
    found = reader.fields(node, NOTIFY)
    via: list[str] = []
    for item in reader.items(found["via"]) if "via" in found else []:
        channel = reader.choice(item, "channel", CHANNELS)
        if channel in via:
            reader.error(item, f"`{channel}` is in `via` twice")
        via.append(channel)
    template = ""
    if "template" in found:
        template = reader.text(found["template"], "a template's name", 64)
    if near_by.templates is not None and template:
        _check_template(reader, found["template"], template, via, near_by)
    with_: dict[str, Value] = {}
    if "with" in found:
        inside = found["with"]
        if isinstance(inside, Fields):
            for key, value in inside.pairs:
                with_[key.value] = reader.value(value, near_by.scope, "any", str)
        else:
            reader.error(inside, "with is a mapping of names to values")
    return Notify(
        name=beside.name or f"notify:{template}",
        via=tuple(via),
        template=template,
        with_=with_,
        condition=beside.condition,
        optional=beside.optional,
    )


def _check_template(
    reader: Reader, node: Node, template: str, via: list[str], near_by: Surroundings
) -> None:
    templates = near_by.templates or {}
    if template not in templates:
        hint = near(template, templates)
        reader.error(node, f"there is no template `{template}` in templates/{hint}")
        return
    language = near_by.languages[0]
    for channel in via:
        if (language, channel) not in templates[template]:
            file = f"templates/{template}.{language}.{channel}.j2"
            reader.error(node, f"`{template}` has no text for {channel}: {file} is missing")


ActionReader = Callable[[Reader, Node, Surroundings, Beside], Action]
READERS: Final[Mapping[str, ActionReader]] = {"coupon": coupon, "notify": notify}


def offer(reader: Reader, node: Node, scope: Scope, currency: str) -> Offer:
    """A file of offers/: a kind of coupon and its defaults."""
    keys = Keys(
        "an offer",
        ("offer", "title", "off", "over", "most", "valid"),
        needed=("offer",),
        unbuilt=("codes", "cost", "stack", "limit", "budget"),
        meant={"name": "offer"},
    )
    found = reader.fields(node, keys)
    name = reader.text(found["offer"], "an offer's name", 64) if "offer" in found else ""
    value: Value | None = None
    kind: OffKind = "money"
    if "off" in found:
        value, kind = off(reader, found["off"], scope, currency)
    over, most = (
        amount(reader, found[key], scope, currency) if key in found else None
        for key in ("over", "most")
    )
    return Offer(
        name=name,
        title=reader.text(found["title"], "a title") if "title" in found else name,
        off=value,
        off_kind=kind,
        over=over,
        most=most,
        valid_ms=valid(reader, found["valid"]) if "valid" in found else None,
    )


def action_name(reader: Reader, node: Node) -> str:
    """An `as`: the action's own name, of which a coupon's code is made."""

    def check(text: str) -> str:
        if not text.replace("_", "").replace("-", "").isalnum() or len(text) > 64:
            raise BadText(f"`{text}`: a name is made of letters, digits, - and _, 64 at most")
        return text

    return reader.parse(node, check, "") if isinstance(node, Text) else ""
