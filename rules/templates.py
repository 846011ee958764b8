"""The texts of messages and pages: sandboxed Jinja2, checked when loaded, rendered when sent.

Law: a template is data of the shop. It sees the names its rule gives it and nothing else; a name
that is missing fails the text, it is never left blank. Must not live here: files, sending.

    NAME.LANGUAGE.CHANNEL.j2    {{ coupon | off }}  {{ coupon.expires_at | day }}  {{ 30 | money }}
"""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rules.errors import BadText, full_width, near
from rules.model import CHANNELS, PAGE, Shop
from rules.values import tidy

# Characters: what a push shows, what WeChat takes, five SMS of 70 Chinese characters each.
LENGTH_MAX: Final = {"push": 240, "wechat": 600, "sms": 350, "email": 100_000, PAGE: 50_000}
PLACES: Final = (*CHANNELS, PAGE)
MARKUP: Final = ("email", PAGE)
SOURCE_MAX: Final = 100_000
Place = tuple[str, str, str]  # template, channel, language


class CannotRender(Exception):  # noqa: N818 - the message fails, not the program
    """This text cannot be made: `reason` is `missing_value`, `too_long` or `no_template`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class _Sandbox(ImmutableSandboxedEnvironment):
    """No globals, and no text multiplied without bound."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operator, for numbers."""
        del context
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not numbers:
            raise SecurityError(f"`{operator}` multiplies numbers only")
        return left * right


class Templates:
    """The templates of one version of the rules; parsed at once, compiled when first rendered."""

    def __init__(self, shop: Shop | None = None) -> None:
        self.shop = shop or Shop()
        self.texts: dict[Place, str] = {}
        self.files: dict[Place, str] = {}
        self.names: dict[Place, dict[str, int]] = {}
        self._made: dict[Place, Template] = {}
        self._reads: dict[str, frozenset[str]] = {}
        self._environments = {markup: self._environment(markup) for markup in (False, True)}

    def _environment(self, markup: bool) -> _Sandbox:
        made = _Sandbox(undefined=StrictUndefined, autoescape=markup, trim_blocks=True)
        made.globals.clear()
        made.filters.update(day=self._day, time=self._time, money=_money, off=self._off)
        return made

    def add(self, place: Place, file: str, text: str) -> None:
        """Take a text in; raises BadText, whose `column` is the line it is about."""
        if len(text) > SOURCE_MAX:
            raise BadText(f"{len(text)} characters: at most {SOURCE_MAX}", 1)
        try:
            tree = self._environments[place[1] in MARKUP].parse(text)
        except TemplateError as error:
            line = getattr(error, "lineno", 1) or 1
            told = full_width((text.split("\n") + [""] * line)[line - 1])
            hint = f"; {told}" if told else ""
            raise BadText(
                f"this cannot be read as a template: {error.message}{hint}", line
            ) from None
        self._check_filters(tree)
        _check_parts(tree)
        self.texts[place], self.files[place] = text, file
        self.names[place] = _names(tree)
        self._reads.pop(place[0], None)

    def _check_filters(self, tree: nodes.Template) -> None:
        known = self._environments[False]
        uses: list[tuple[Any, Mapping[str, Any]]] = []
        uses += [(node, known.filters) for node in tree.find_all(nodes.Filter)]
        uses += [(node, known.tests) for node in tree.find_all(nodes.Test)]
        for node, names in uses:
            if node.name not in names:
                hint = near(str(node.name), names)
                raise BadText(f"there is no filter or test `{node.name}`{hint}", node.lineno)

    def places(self) -> dict[str, frozenset[tuple[str, str]]]:
        """(language, channel) pairs by template."""
        found: dict[str, frozenset[tuple[str, str]]] = {}
        for name, channel, language in self.texts:
            found[name] = found.get(name, frozenset()) | {(language, channel)}
        return found

    def reads(self, template: str) -> frozenset[str]:
        """Every name that the template reads, on any channel: what a decision must carry for it."""
        found = self._reads.get(template)
        if found is None:  # asked for every message that is decided
            kept = (names for place, names in self.names.items() if place[0] == template)
            found = self._reads[template] = frozenset().union(*kept)
        return found

    def place(self, template: str, channel: str, language: str) -> Place:
        """The text in this language, else in the shop's first that has one."""
        for spoken in (language, *self.shop.languages):
            if (template, channel, spoken) in self.texts:
                return (template, channel, spoken)
        raise CannotRender("no_template", f"{template}.{language}.{channel}.j2 is not there")

    def render(self, template: str, channel: str, language: str, context: Mapping[str, Any]) -> str:
        """The text; dotted names of `context` are laid into one another; raises CannotRender."""
        place = self.place(template, channel, language)
        made = self._made.get(place)
        if made is None:
            source = self.texts[place]
            made = self._environments[channel in MARKUP].from_string(source)
            self._made[place] = made
        try:
            text = made.render(nested({**context, "language": place[2]})).strip()
        except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
            raise CannotRender("missing_value", f"{self.files[place]}: {error}") from None
        if len(text) > LENGTH_MAX[channel]:
            raise CannotRender(
                "too_long",
                f"{self.files[place]}: {len(text)} characters, at most {LENGTH_MAX[channel]}",
            )
        return text

    # -- filters

    @pass_context
    def _day(self, context: Context, at: Any) -> str:
        """A moment in ms as a day: 6月18日, 18 June."""
        day = dt.datetime.fromtimestamp(_number(at) / 1_000, self.shop.zone)
        if _language(context) == "zh":
            return f"{day.month}月{day.day}日"
        return f"{day.day} {day:%B}"

    @pass_context
    def _time(self, context: Context, at: Any) -> str:
        """A moment in ms as day and time: 6月18日 20:00."""
        day = dt.datetime.fromtimestamp(_number(at) / 1_000, self.shop.zone)
        return f"{self._day(context, at)} {day:%H:%M}"

    @pass_context
    def _off(self, context: Context, coupon: Mapping[str, Any]) -> str:
        """What a coupon takes off, in words: 9折, 30元; 10% off, 30 CNY off."""
        zh = _language(context) == "zh"
        kind, off = coupon["off_kind"], coupon["off"]
        if kind == "percent":
            return f"{tidy((100 - _number(off)) / 10)}折" if zh else f"{tidy(_number(off))}% off"
        if kind == "free_shipping":
            return "免运费" if zh else "free shipping"
        if kind == "gift":
            return "赠品" if zh else "a gift"
        amount = _money(off)
        chinese = f"{amount}元" if self.shop.currency == "CNY" else f"{amount} {self.shop.currency}"
        return chinese if zh else f"{amount} {self.shop.currency} off"


def nested(context: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names laid into one another.

    >>> nested({"cart.value": 3, "coupon": {"code": "A"}, "coupon.off": 5})
    {'cart': {'value': 3}, 'coupon': {'code': 'A', 'off': 5}}
    """
    made: dict[str, Any] = {}
    for name, value in sorted(context.items()):
        *above, last = name.split(".")
        inside = made
        for part in above:
            below = inside.get(part)
            below = dict(below) if isinstance(below, Mapping) else {}
            inside[part] = below
            inside = below
        if value is not None and not (isinstance(value, float) and math.isnan(value)):
            inside[last] = value
    return made


def _check_parts(tree: nodes.Template) -> None:
    """A template stands alone, and calls nothing inside of what it reads."""
    for node in tree.find_all((nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)):
        raise BadText("a template stands alone: it includes and imports no other", node.lineno)
    for one in tree.find_all(nodes.Getattr):
        if one.attr.startswith("_"):
            raise BadText(f"`{one.attr}`: no name begins with _", one.lineno)


def _names(tree: nodes.Template) -> dict[str, int]:
    """The dotted names a template reads from outside, each with its first line."""
    outside = meta.find_undeclared_variables(tree)
    found: dict[str, int] = {}

    def visit(node: nodes.Node) -> None:
        name = _dotted(node)
        if name.partition(".")[0] in outside:
            found.setdefault(name, node.lineno)
        elif not name:
            for child in node.iter_child_nodes():
                visit(child)

    visit(tree)
    return found


def _dotted(node: nodes.Node) -> str:
    """`cart.value` of such a node, also written cart["value"]; "" of any other."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        inner = _dotted(node.node)
        return f"{inner}.{node.attr}" if inner else ""
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        inner = _dotted(node.node)
        return f"{inner}.{node.arg.value}" if inner and isinstance(node.arg.value, str) else ""
    return ""


def _language(context: Context) -> str:
    return str(context.get("language", ""))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is needed, not {str(value)[:40]}")
    return value


def _money(amount: Any) -> str:
    """An amount as it is written: 30, 9.90."""
    number = _number(amount)
    return str(int(number)) if float(number).is_integer() else f"{number:.2f}"
