"""A rule file that means harm: refused at once, at its place, whatever it would cost to read on."""

import time

import pytest

from rules.document import DOCUMENTS_MAX, ERRORS_MAX, documents
from rules.errors import RuleErrors
from rules.load import check, load_text

SECONDS_MAX = 8.0  # of CPU, where none takes a tenth of that


def errors(text):
    began = time.process_time()
    with pytest.raises(RuleErrors) as found:
        load_text(text, "x.yaml")
    assert time.process_time() - began < SECONDS_MAX
    return found.value.errors


LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
)

HOSTILE = {
    "an alias bomb": (LAUGHS, "x.yaml:1:4: `&a` is a YAML anchor, which is not allowed"),
    "an alias": ("rule: *x\n", "x.yaml:1:7: `*x` is a YAML alias, which is not allowed"),
    "an anchor": ("rule: a\ntitle: &t b\n", "x.yaml:2:8: `&t` is a YAML anchor"),
    "a Python object": (
        "rule: !!python/object/apply:os.system ['true']\n",
        "x.yaml:1:7: `tag:yaml.org,2002:python/object/apply...` is a YAML tag",
    ),
    "a Python name": ("rule: !!python/name:os.system\n", "x.yaml:1:7: `tag:yaml.org,2002:python"),
    "a tag of one's own": ("rule: a\nif: !now x\n", "x.yaml:2:5: `!now` is a YAML tag"),
    "a tag as long as a file": ("!" * 190_000, "x.yaml:1:1: `"),
    "a merge": ("rule: a\n<<: {title: b}\n", "x.yaml:2:1: `<<` is not a key"),
    "a directive": ("%TAG ! tag:x:\n---\nrule: a\n", "x.yaml:"),
    "a key twice": (
        "rule: a\ntitle: b\nrule: c\n",
        "x.yaml:3:1: `rule` is here twice: first in line 1",
    ),
    "a key twice, within": (
        "rule: a\nwhen: {event: X, event: Y}\n",
        "x.yaml:2:18: `event` is here twice",
    ),
    "one key ten thousand times": (
        "".join(f"k: {n}\n" for n in range(10_000)),
        f"x.yaml:102:1: over {ERRORS_MAX} errors: the rest is not read",
    ),
    "brackets 10,000 deep": ("do: " + "[" * 10_000, "x.yaml:1:24: nested deeper than 20"),
    "braces 10,000 deep": ("do: " + "{a: " * 10_000, "nested deeper than 20"),
    "dashes 10,000 deep": ("- " * 10_000 + "x", "x.yaml:1:41: nested deeper than 20"),
    "keys 10,000 deep": ("? " * 10_000 + "x", "nested deeper than 20"),
    "levels 600 deep": ("".join(" " * n + "a:\n" for n in range(600)), "nested deeper than 20"),
    "ten megabytes": ("x" * 10_000_000, "x.yaml:0:0: 10000000 characters: at most 200000"),
    "15,000 steps": ("do:\n" + "- wait: 1d\n" * 15_000, "too long a file"),
    "20,000 documents": ("---\na: 1\n" * 20_000, f"too many documents in one file: at most {DOCUMENTS_MAX}"),
    "broken documents": ("rule: [\n---\n" * 10_000, "too many documents"),
    "30,000 aliases": ("- *a\n" * 30_000, f"over {ERRORS_MAX} errors"),
    "a quote without end": ("'" * 199_999, "cannot be read as YAML"),
    "a NUL": ("rule: a\x00b\n", "x.yaml:1:1: this cannot be read as YAML"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_at_once_at_its_place(text, told):
    found = [str(error) for error in errors(text)]
    assert any(told in error for error in found), found[:5]
    assert all(len(error) < 600 for error in found)
    assert len(found) < 600


def test_nothing_of_an_alias_bomb_is_ever_multiplied():
    found = []
    [root] = documents(LAUGHS, "x.yaml", found)
    assert found
    nodes, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        nodes += 1
        waiting += getattr(node, "items", [])
        waiting += [part for pair in getattr(node, "pairs", []) for part in pair]
    assert nodes < 200


def test_ten_megabytes_on_disk_are_not_even_read(tmp_path):
    (tmp_path / "big.yaml").write_bytes(b"#" * 10_000_000)
    began = time.process_time()
    [error] = check(tmp_path)
    assert str(error) == "big.yaml:0:0: too large: at most 1000000 bytes"
    assert time.process_time() - began < SECONDS_MAX


def test_what_is_not_a_file_is_not_opened(tmp_path):
    """A link to a device that never ends, a folder with a rule's name."""
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    assert check(tmp_path) == []


@pytest.mark.parametrize("text", ["007", "1e3", "off", "2026-11-11", "null", "0x1f", "~"])
def test_a_text_stays_a_text(text):
    [root] = documents(f"a: {text}\n", "x.yaml", [])
    [(_, value)] = root.pairs
    assert value.value == text
