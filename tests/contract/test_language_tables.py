"""The tables of the language: schema, reference and examples are made of them, and hold."""

import re
from pathlib import Path

import jsonschema_rs
import pytest

from rules.book import Book
from rules.document import Fields, Items, Node, Text, documents
from rules.forms import Form, Key
from rules.json_schema import ATOMS, schema
from rules.language import FILES, FORMS, written
from rules.load import book_from_sources, load_text, read_sources
from rules.model import ONCE_PER
from rules.reference import STEPS, VALUES, reference, renewed
from rules.subjects import ALL_FIELDS, SUBJECTS
from rules.trigger_forms import WHEN
from tests.rule_texts import LEAST

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
WISHES = sorted((HERE / "language").glob("*.yaml"))
ALL = frozenset[str]()


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


SUBJECT_OF = {"due": "year", "at": "tick", "cron": "tick", "enters": "tick", "leaves": "tick"}
SUBJECT_OF |= {"crosses": "tick", "inactive": "lapse", "request": "session", "item": "product"}


def loads(**parts: str) -> Book:
    given = {**LEAST, **parts}
    return load_text("\n".join(given.values()) + "\n", unbuilt=ALL)


@pytest.mark.parametrize("name", [name for name, key in WHEN.keys.items() if key.example])
def test_an_example_of_a_trigger_loads(name: str):
    example = WHEN.keys[name].example.replace("\n", "\n  ")
    once = SUBJECT_OF.get(name, "cart")
    do = LEAST["do"] if name != "request" else "do:\n  - show: {template: hello}"
    assert loads(when=f"when:\n  {example}", once_per=f"once_per: {once}", do=do)


@pytest.mark.parametrize(
    "name", [n for n, key in FORMS["rule"].keys.items() if key.example and n not in LEAST]
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
