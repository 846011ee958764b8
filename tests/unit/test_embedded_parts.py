"""The pure parts of the embedded ClickHouse."""

import doctest
import io
import random

import pytest
from chdb import _chdb

import sinks.embedded.content
import sinks.embedded.formats
import sinks.embedded.statement
from sinks.embedded.blocks import BadBlockError, Frames, Unframes
from sinks.embedded.statement import BadStatementError, read


@pytest.mark.parametrize("module", ["statement", "content", "formats"])
def test_the_examples_in_the_docstrings(module):
    assert doctest.testmod(getattr(sinks.embedded, module)).failed == 0


@pytest.mark.parametrize(
    ("sql", "verb", "form"),
    [
        (b"select 1", "SELECT", ""),
        (b"-- c\n/* x */ SELECT format FROM t", "SELECT", ""),
        (b"SELECT a FROM format(TSV, 'a') AS x", "SELECT", ""),
        (b"SELECT 1 FORMAT JSON; -- done", "SELECT", "JSON"),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV SETTINGS a = 1", "(", "CSV"),
        (b"SELECT ';', \";\", `;`, $$ ; $$, $x$ ; $x$, 'it''s \\' ;' -- x\n;", "SELECT", ""),
        ("SELECT '名' AS 名 FORMAT TSV".encode(), "SELECT", "TSV"),
        (b"WITH 1 AS x SELECT x", "WITH", ""),
        (b"create table t (a Int8 comment 'format x') engine=Memory", "CREATE", ""),
    ],
)
def test_statements(sql, verb, form):
    found = read(sql)
    assert (found.verb, found.format, found.data_at) == (verb, form, None)
    assert not found.text.rstrip().endswith(b";")


@pytest.mark.parametrize(
    ("sql", "form", "data"),
    [
        (b"INSERT INTO t VALUES (1,';')", "Values", b" (1,';')"),
        (b"INSERT INTO t (values, format) FORMAT Native\n\x00;\x01", "Native", b"\x00;\x01"),
        (
            b"insert into db.t(a) settings async_insert=1 format  JSONEachRow {}",
            "JSONEachRow",
            b"{}",
        ),
        (b"INSERT INTO format (a) FORMAT CSV\r\n1;2", "CSV", b"1;2"),
        (b"INSERT INTO values VALUES (1)", "Values", b" (1)"),
        (b"INSERT INTO t FORMAT TSV;\n1\n", "TSV", b"1\n"),
        (b"INSERT INTO FUNCTION null('a Int8') VALUES (1)", "Values", b" (1)"),
        (b"INSERT INTO t", "", b""),
    ],
)
def test_inserts(sql, form, data):
    found = read(sql)
    assert (found.verb, found.format, sql[found.data_at :]) == ("INSERT", form, data)


def test_an_insert_of_a_query_has_no_data():
    assert read(b"INSERT INTO t SELECT 1 FORMAT x").data_at is None
    assert (
        read(b"INSERT INTO t WITH 1 AS x SELECT x;").text == b"INSERT INTO t WITH 1 AS x SELECT x"
    )


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (b"", "Empty"),
        (b" -- x", "Empty"),
        (b"SELECT 1; SELECT 2", "Multi"),
        (b"INSERT INTO t SELECT 1; DROP TABLE t", "Multi"),
        (b"SELECT 1 INTO OUTFILE 'x'", "OUTFILE"),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", "INFILE"),
        (b"SELECT " + b"1," * 200_000, "Max query size"),
        (b"\x00", "begins with"),
    ],
)
def test_what_never_reaches_the_engine(sql, words):
    with pytest.raises(BadStatementError, match=words):
        read(sql)


def test_frames_are_the_engines_own(tmp_path):
    """Blocks of a table on disk are read as frames, in every size; a bit changed is found."""
    engine = _chdb.connect(str(tmp_path))
    engine.query(
        "CREATE TABLE q (a UInt64, s String CODEC(NONE), c UInt8 CODEC(ZSTD(1))) ENGINE = MergeTree"
        " ORDER BY a SETTINGS min_bytes_for_wide_part = 0"
    )
    for rows in (*range(1, 40), 5000):
        engine.query(f"INSERT INTO q SELECT number, toString(rand()), 1 FROM numbers({rows})")
    engine.close()
    files = [data for file in tmp_path.glob("store/**/*.bin") if (data := file.read_bytes())]
    assert len({len(data) for data in files}) > 30
    for data in files:
        assert Unframes(io.BytesIO(data)).read(1)
        with pytest.raises(BadBlockError, match="checksum"):
            Unframes(io.BytesIO(data[:-1] + bytes([data[-1] ^ 1]))).read(1 << 20)


def test_frames_survive_any_cut():
    chooser = random.Random(7)
    plain = bytes(chooser.randrange(7) for _ in range(300_000)) * 5
    source, back = Unframes(io.BytesIO(Frames().add(plain))), b""
    while piece := source.read(chooser.randrange(1, 200_000)):
        back += piece
    assert back == plain


@pytest.mark.parametrize(
    "spoil",
    [lambda f: f[:-1], lambda f: f[:20], lambda f: b"x" * 40, lambda f: f[:30] + b"!" + f[31:]],
)
def test_damaged_frames_are_refused(spoil):
    with pytest.raises(BadBlockError):
        Unframes(io.BytesIO(spoil(Frames().add(b"hello" * 100)))).read(10)
