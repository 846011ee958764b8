"""The eraser's own small parts: what names a customer, which lines are overwritten."""

import orjson
import pytest

from sinks.erase import ERASED_LINE, names_one_of, overwrite_lines
from sinks.erase_tables import text_marks


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"cid":"u:al"}', True),
        (b'{"id":"u:al:17"}', True),
        (b'{"value":"{\\"userId\\":\\"al\\"}"}', True),
        (b'{"anonymousId":"al"}', True),
        (b'{"cid":"u:alice"}', False),
        (b'{"cid":"a:al"}', False),
        (b'{"text":"al"}', False),
    ],
)
def test_an_entry_names_a_customer_by_his_whole_id(body, named):
    assert names_one_of(["u:al"], body) is named


def test_an_id_with_quotes_is_found_as_json_writes_it():
    cid = 'u:a"l\\é'
    assert names_one_of([cid], orjson.dumps({"cid": cid}))
    assert all(orjson.loads("{" + mark + "}") for mark in text_marks(cid)[2:])


def test_lines_are_overwritten_in_place_and_the_others_stay(tmp_path):
    path = tmp_path / "sent.jsonl"
    lines = [orjson.dumps({"data": {"customer": cid, "n": n}}) for n, cid in
             enumerate(("u:al", "u:alice", "u:al", "u:bo"))]  # fmt: skip
    path.write_bytes(b"\n".join(lines) + b"\n" + lines[0])
    size, node = path.stat().st_size, path.stat().st_ino
    assert overwrite_lines(tmp_path, [b'"customer":"u:al"']) == 3
    found = path.read_bytes()
    assert (len(found), path.stat().st_ino) == (size, node)
    assert [orjson.loads(line) for line in found.splitlines()] == [
        orjson.loads(ERASED_LINE), orjson.loads(lines[1]), orjson.loads(ERASED_LINE),
        orjson.loads(lines[3]), orjson.loads(ERASED_LINE),
    ]  # fmt: skip
