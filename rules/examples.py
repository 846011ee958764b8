"""`examples:` of a rule as typed data. Must not live here: running them."""

from collections.abc import Collection
from typing import Any, Final

from features.values import READERS, BadEvent
from features.vocabulary import PROPERTY_KINDS
from rules.actions import ACTIONS
from rules.document import Fields, Items, Node, Text
from rules.errors import BadText, near, one_of
from rules.events import event_name
from rules.forms import Form, Key
from rules.gates import REASONS
from rules.model import Example, Expectation
from rules.reading import Reader
from rules.scope import Kind, Scope
from rules.shape_shop import Quiet
from rules.values import duration, moment, tidy

EXAMPLE: Final = Form(
    "example",
    "an example",
    {
        "name": Key("text", "what it shows"),
        "start": Key(
            "moment", "when it begins (2026-01-05 00:00, or the end of quiet hours that hold then)"
        ),
        "customer": Key("values", "features laid over the catalog's: {orders.count: 2}"),
        "given": Key("[#given]", "the events, in any order", needed=True),
        "expect": Key(
            "[#expect]",
            "what acts, by some of its actions at least, and the holds that matter; [] for none",
            needed=True,
        ),
        "until": Key("duration", "how long it goes on (until nothing is due)"),
        "arm": Key("treated*/holdout", "which arm the customer is in"),
        "draw": Key("[name]", "the branches of a split or a bandit that fall to him"),
    },
    meant={"events": "given", "when": "given", "then": "expect", "expects": "expect"},
)
GIVEN: Final = Form(
    "given",
    "an event of an example",
    {
        "at": Key("duration | moment", "so long after the start, or a moment", needed=True),
        "event": Key("event", "its name; its properties stand beside"),
        "request": Key("name", "instead of an event: a page asks at this placement"),
    },
    others="any",
)
EXPECT: Final = Form(
    "expect",
    "what is expected",
    {
        "at": Key("duration | moment", "when, as in `given`", needed=True),
        "held": Key("reason", "held back for this reason"),
        **{
            name: Key("[text]", f"the action by its {kind.named}") for name, kind in ACTIONS.items()
        },
    },
    others="any",
)
LASTING: Final = ("valid", "due", "expires", "for")
START: Final = "2026-01-05"
MINUTE_MS: Final = 60_000
MANY: Final = 200


def examples(
    reader: Reader, node: Node, scope: Scope, lots: Collection[str] | None, quiet: Quiet | None
) -> tuple[Example, ...]:
    """All examples of a rule; `lots` names the branches it draws, None when that is not known.

    Who writes no start does not mean a quiet hour: `quiet` are the rule's.
    """
    start = moment(START, scope.zone)
    if quiet and quiet.holds(0):
        start += quiet.ends * MINUTE_MS
    return tuple(
        _example(reader, item, scope, number, lots, start)
        for number, item in enumerate(reader.items(node), start=1)
    )


def _example(
    reader: Reader, node: Node, scope: Scope, number: int, lots: Collection[str] | None, start: int
) -> Example:
    found = reader.fields(node, EXAMPLE)
    if "start" in found:
        start = reader.parse(found["start"], lambda text: moment(text, scope.zone), start)
    name = reader.text(found["name"], "an example's name") if "name" in found else f"{number}"
    given = [
        _given(reader, item, start, scope)
        for item in (reader.items(found["given"])[:MANY] if "given" in found else [])
    ]
    expect = [
        _expected(reader, item, start, scope)
        for item in (reader.items(found["expect"])[:MANY] if "expect" in found else [])
    ]
    holds = "arm" in found and reader.choice(found["arm"], "arm", ("treated", "holdout"))
    return Example(
        name=name,
        start=start,
        customer=_presets(reader, found["customer"], scope) if "customer" in found else {},
        given=tuple(given),
        expect=tuple(sorted(expect, key=lambda one: one.at_ms)),
        until=reader.parse(found["until"], duration, 0) if "until" in found else None,
        arm="holdout" if holds == "holdout" else "treated",
        draws=_draws(reader, found["draw"], lots) if "draw" in found else frozenset(),
        line=node.line,
    )


def _draws(reader: Reader, node: Node, lots: Collection[str] | None) -> frozenset[str]:
    """The branches of a split or a bandit that fall to the customer."""
    found = set()
    for item in reader.items(node):
        name = reader.text(item, "a branch's name", 64)
        found.add(name)
        if lots is not None and name not in lots:
            told = near(name, lots) or (f": it has {one_of(sorted(lots))}" if lots else "")
            reader.error(item, f"no split or bandit of this rule has a branch `{name}`{told}")
    return frozenset(found)


def _at(reader: Reader, node: Node, start: int, scope: Scope) -> int:
    """A time after the start in ms, written as such or as a moment."""

    def read(text: str) -> int:
        if text[:5].count("-") and text[:4].isdigit():
            return moment(text, scope.zone) - start
        return duration(text)

    return reader.parse(node, read, 0)


def _given(reader: Reader, node: Node, start: int, scope: Scope) -> tuple[int, dict[str, Any]]:
    """One event: `{at: 20m, event: NAME, property: value, ...}`, or a page's request."""
    if not isinstance(node, Fields):
        reader.error(node, "given is a list of {at: 20m, event: NAME, ...}")
        return 0, {}
    found = {key.value: value for key, value in node.pairs}
    if "at" not in found:
        reader.error(node, "an event of an example needs `at`")
    if ("event" in found) == ("request" in found):
        reader.error(node, "an event of an example needs `event`, or `request` instead")
    at = _at(reader, found.pop("at"), start, scope) if "at" in found else 0
    event: dict[str, Any] = {}
    if "request" in found and not reader.refused(found["request"], "given.request"):
        event["request"] = reader.text(found.pop("request"), "a placement's name", 64)
    if "event" in found:
        event["event"] = event_name(reader, found.pop("event"))
    for name, value in found.items():
        event[name] = _property(reader, name, value, start)
    return at, event


def _property(reader: Reader, name: str, node: Node, start: int) -> Any:
    """A property as JSON: a known one in its own type, a time also as an offset."""
    kind = PROPERTY_KINDS.get(name, "")
    if kind == "time" and isinstance(node, Text):
        try:
            return start + duration(node.value)
        except BadText:
            pass
    value = _json(reader, node)
    if kind not in {"", "lines"} or not isinstance(node, Text):
        try:
            return READERS[name](value, name) if name in READERS else value
        except BadEvent as bad:
            reader.error(node, bad.detail)
    return value


def _json(reader: Reader, node: Node) -> Any:
    """Text as JSON would have it: unquoted numbers, true and false are those."""
    if isinstance(node, Items):
        return [_json(reader, item) for item in node.items]
    if isinstance(node, Fields):
        return {key.value: _property(reader, key.value, value, 0) for key, value in node.pairs}
    return _scalar(node) if isinstance(node, Text) else None


def _scalar(node: Text) -> Any:
    text = node.value
    if node.quoted:
        return text
    if text in {"true", "false"}:
        return text == "true"
    digits = text.removeprefix("-")
    if digits.replace(".", "", 1).isdigit() and digits.isascii() and len(text) < 16:
        leading_zero = len(digits) > 1 and digits[0] == "0" and digits[1] != "."
        if not (leading_zero or digits.startswith(".") or digits.endswith(".")):
            return tidy(float(text))
    return text


def _presets(reader: Reader, node: Node, scope: Scope) -> dict[str, Any]:
    """`customer: {feature: value}`: laid over the catalog in this example."""
    if not isinstance(node, Fields):
        reader.error(node, "customer is a mapping of features to values")
        return {}
    presets: dict[str, Any] = {}
    for key, value in node.pairs:
        kind = scope.kind_of(key.value)
        if kind is None:
            told = scope.closed.get(key.value)
            hint = near(key.value, scope.features)
            told = told or f"is not a feature of the catalog{hint}"
            reader.error(key, f"`{key.value}` {told}")
            continue
        presets[key.value] = _preset(reader, key.value, kind, value)
    return presets


def _preset(reader: Reader, name: str, kind: Kind, node: Node) -> Any:
    if kind == "list" and isinstance(node, Items):
        return [item.value for item in node.items if isinstance(item, Text)]
    value = _scalar(node) if isinstance(node, Text) else None
    fits = {
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "text": isinstance(node, Text),
        "flag": isinstance(value, bool),
        "list": False,
        "any": True,
    }
    if not fits[kind]:
        reader.error(node, f"`{name}` is a {kind}: give it such a value")
        return None
    if kind == "number" and isinstance(value, int | float):
        return float(value)
    return node.value if kind == "text" and isinstance(node, Text) else value


def _expected(reader: Reader, node: Node, start: int, scope: Scope) -> Expectation:
    """`{at: 50m, notify: cart_waiting}`, `{at: 50m, held: limit}`."""
    if not isinstance(node, Fields):
        reader.error(node, "expect is a list of {at: 50m, notify: TEMPLATE} or []")
        return Expectation(0)
    found = {key.value: value for key, value in node.pairs}
    if "at" not in found:
        reader.error(node, "what is expected needs `at`, such as 50m")
    at = _at(reader, found.pop("at"), start, scope) if "at" in found else 0
    held = _reason(reader, found.pop("held")) if "held" in found else ""
    actions: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    refused = False
    for name, value in found.items():
        refused = refused or (name in ACTIONS and reader.refused(value, f"do.{name}"))
        if name in ACTIONS:
            actions += [
                (name, reader.text(item, f"a {name}'s name")) for item in reader.items(value)
            ]
        elif isinstance(value, Text):
            fields[name] = value.value
            if name in LASTING:
                reader.parse(value, duration, 0)
        else:
            reader.error(value, f"`{name}` is one plain value here")
    if bool(held) == bool(actions) and not refused:
        reader.error(
            node, f"what is expected is either held: REASON or one of {', '.join(ACTIONS)}"
        )
    return Expectation(at, tuple(sorted(actions)), held, fields)


def _reason(reader: Reader, node: Node) -> str:
    """A hold's reason; `unknown:FEATURE` names what was missing."""
    if isinstance(node, Text) and node.value.startswith("unknown:"):
        return node.value
    return reader.choice(node, "reason to hold", REASONS, "held")
