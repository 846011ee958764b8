"""Expressions against a reference that follows Kleene's tables, and against junk."""

import math
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from rules.errors import BadText, RuleErrors
from rules.expressions import condition
from rules.load import load_text
from rules.scope import Known, Scope

NUMBERS = ("a.x", "a.y")
TEXTS = ("a.s", "a.t")
FLAGS = ("a.f", "a.g")
KINDS = (
    dict.fromkeys(NUMBERS, "number") | dict.fromkeys(TEXTS, "text") | dict.fromkeys(FLAGS, "flag")
)
UNKNOWN = None  # of the reference, for every kind


def known(name: str, kind: str) -> Known:
    missing = math.nan if kind == "number" else None
    return Known("a", kind, lambda state, _now: missing if state[name] is None else state[name])


SCOPE = Scope({name: known(name, kind) for name, kind in KINDS.items()}, event=True)


class Person:
    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def state(self, _facet: str) -> dict[str, Any]:
        return self.values


# A tree is (operator, parts...); its text and its reference value are written independently.


def trees() -> st.SearchStrategy[Any]:
    number = st.recursive(
        st.sampled_from([("name", name) for name in NUMBERS])
        | st.integers(-3, 3).map(lambda n: ("number", n)),
        lambda inner: (
            st.tuples(st.sampled_from(["+", "-", "*", "/"]), inner, inner)
            | st.tuples(st.sampled_from(["min", "max"]), inner, inner)
        ),
        max_leaves=4,
    )
    text = st.sampled_from([("name", name) for name in TEXTS]) | st.sampled_from("pq").map(
        lambda s: ("text", s)
    )
    flag = (
        st.sampled_from([("name", name) for name in FLAGS])
        | st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), number, number)
        | st.tuples(st.sampled_from(["==", "!="]), text, text)
        | st.tuples(st.just("in"), text, st.lists(st.sampled_from("pqr"), min_size=1, max_size=3))
        | st.tuples(st.just("has"), st.sampled_from([("name", name) for name in KINDS]))
    )
    return st.recursive(
        flag,
        lambda inner: (
            st.tuples(st.sampled_from(["and", "or", "=="]), inner, inner)
            | st.tuples(st.just("not"), inner)
            | st.tuples(st.just("if"), inner, inner, inner)
        ),
        max_leaves=6,
    )


def written(tree: Any) -> str:
    head, *parts = tree
    if head == "name":
        return parts[0]
    if head == "number":
        return f"({parts[0]})"
    if head == "text":
        return repr(parts[0])
    if head == "in":
        return f"({written(parts[0])} in {parts[1]!r})"
    if head in {"has", "min", "max"}:
        return f"{head}({', '.join(written(part) for part in parts)})"
    if head == "not":
        return f"(not {written(parts[0])})"
    if head == "if":
        return f"({written(parts[1])} if {written(parts[0])} else {written(parts[2])})"
    return f"({written(parts[0])} {head} {written(parts[1])})"


def evaluated(tree: Any, values: dict[str, Any]) -> Any:  # noqa: C901 - one line an operator
    head, *parts = tree
    if head == "name":
        return values[parts[0]]
    if head in {"number", "text"}:
        return parts[0]
    if head == "has":
        return evaluated(parts[0], values) is not UNKNOWN
    if head == "in":
        item = evaluated(parts[0], values)
        return UNKNOWN if item is UNKNOWN else item in parts[1]
    found = [evaluated(part, values) for part in parts]
    if head == "not":
        return UNKNOWN if found[0] is UNKNOWN else not found[0]
    if head == "and":
        return False if False in found else UNKNOWN if UNKNOWN in found else True
    if head == "or":
        return True if True in found else UNKNOWN if UNKNOWN in found else False
    if head == "if":
        return UNKNOWN if found[0] is UNKNOWN else found[1] if found[0] else found[2]
    if UNKNOWN in found:
        return UNKNOWN
    left, right = found
    if head == "/":
        return left / right if right else UNKNOWN
    return {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "min": lambda: min(left, right),
        "max": lambda: max(left, right),
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
    }[head]()


VALUES = st.fixed_dictionaries(
    {name: st.none() | st.integers(-3, 3).map(float) for name in NUMBERS}
    | {name: st.none() | st.sampled_from("pqr") for name in TEXTS}
    | {name: st.none() | st.booleans() for name in FLAGS}
)


@given(trees(), VALUES)
def test_compiled_code_agrees_with_kleenes_tables(tree: Any, values: dict[str, Any]):
    try:
        compiled = condition(written(tree), SCOPE)
    except BadText as bad:
        assert "too" in bad.message  # noqa: PT017 - only the bounds may refuse these
        return
    wanted = evaluated(tree, values)
    person = Person(values)
    assert compiled.test(person) is (wanted is True)
    assert compiled.refuted(person) is (wanted is False)
    assert bool(compiled.missing(person)) is (wanted is UNKNOWN) or "/" in written(tree)
    shown = {name: value for name, value in values.items() if value is not None}
    blank = Person(dict.fromkeys(values))
    if shown:
        assert compiled.test(blank, None, 0, shown) is (wanted is True)


PIECES = st.sampled_from(
    [
        *("a.x", "a.s", "a.f", "event.p", "event", "true", "None", "1", "'t'", "[1]", "()", "{}"),
        *("+", "-", "**", "//", "@", "<", "==", "=", ":=", "in", "is", "not", "and", "or", "if"),
        *("else", "for", "lambda", ":", ",", ".", "(", ")", "[", "]", "*", "~", "&&", "≥", "，"),
        *("any(", "max(", "len(", "has(", "__import__(", "a.__class__", "await", "yield", "\n"),
        *("p.q for p in event.l", "1_0", "0x1", "1e3", "1j", "b''", "f''", "\\", "#", "‘", "\t"),
    ]
)


@given(st.text(max_size=60) | st.lists(PIECES, max_size=12).map(" ".join))
@example("'\ud800' == a.s")
@example("a.x" + "." * 900)
def test_junk_is_refused_or_is_a_condition_that_answers(source: str):
    try:
        compiled = condition(source, SCOPE)
    except BadText as bad:
        assert bad.message  # noqa: PT017 - every other exception is a failure
        assert 0 <= bad.column <= len(source) + 1  # noqa: PT017
        return
    for values in (
        dict.fromkeys(KINDS),
        {"a.x": 1.0, "a.y": 2.0, "a.s": "t", "a.t": "p", "a.f": True, "a.g": False},
    ):
        for happened in (None, SimpleNamespace(properties={"p": 1, "l": [{"q": True}, 3, None]})):
            person = Person(values)
            yes, no = compiled.test(person, happened, 5), compiled.refuted(person, happened, 5)
            assert not (yes and no)


OF_EVENTS = [
    condition(source, SCOPE)
    for source in (
        "event.p > 1",
        "event.p == 'a'",
        "event.p",
        "event.p + 1 < 2",
        "len(event.p) > 1",
        "days(event.p) > 1",
        "lower(event.p) == 'a'",
        "'a' in event.p",
        "event.p in [1]",
        "any(i.q == 1 for i in event.p)",
        "all(i == 'a' for i in event.p)",
        "event.p == event.p",
        "round(event.p) * event.p / event.p > min(event.p, 1)",
        "event.p in event.p",
    )
]


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        | st.lists(st.text(max_size=3) | st.dictionaries(st.text(max_size=2), st.integers()), max_size=3),
        max_size=4,
    )
)  # fmt: skip
def test_no_property_of_an_event_makes_a_condition_raise(properties: dict[str, Any]):
    happened = SimpleNamespace(
        properties={**properties, "p": next(iter(properties.values()), None)}
    )
    person = Person(dict.fromkeys(KINDS))
    for compiled in OF_EVENTS:
        compiled.test(person, happened, 5)
        compiled.refuted(person, happened, 5)
        compiled.missing(person, happened, 5)


YAML_PIECES = st.sampled_from(
    [
        *(
            "rule: a\n",
            "when: ",
            "{event: X}\n",
            "do:\n",
            "  - wait: 3d\n",
            "once_per: cart\n",
            "- ",
        ),
        *(
            "if: ",
            "a > 1\n",
            "&a ",
            "*a ",
            "!t ",
            "{",
            "}",
            "[",
            "]",
            ": ",
            "：",
            "\t",
            " #x",
            "'",
            '"',
        ),
        *(
            "|\n",
            ">\n",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "? ",
            "\n",
            "  ",
            "coupon: ",
            "offer: A, ",
            "<<: ",
        ),
        *(
            "examples:\n",
            "  - given: []\n",
            "    expect: []\n",
            "\u2028",
            "\ufeff",
            "=",
            "= a",
            "\x85",
        ),
    ]
)


@given(st.text(max_size=80) | st.lists(YAML_PIECES, max_size=25).map("".join))
def test_any_text_is_a_book_or_a_list_of_errors_with_places(text: str):
    try:
        load_text(text, "x.yaml")
    except RuleErrors as found:
        assert found.errors  # noqa: PT017 - every other exception is a failure
        lines = len(text.splitlines()) + 2
        for error in found.errors:
            assert error.message
            assert 0 <= error.line <= lines
            assert error.column >= 0
