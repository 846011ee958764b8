"""The embedded ClickHouse as curl, a JDBC driver or a browser meets it: bytes, headers, statuses."""

import gzip
import io
import json
import zlib
from http.client import HTTPConnection

import httpx
import lz4.frame
import pyarrow as pa
import pytest
import zstandard

from sinks.embedded.blocks import Frames, Unframes
from tests.patience import wait_for

STREAMED = [
    "TabSeparated",
    "TSVWithNames",
    "TSVWithNamesAndTypes",
    "TSVRaw",
    "CSV",
    "JSONEachRow",
    "JSONCompactEachRow",
    "JSONCompactEachRowWithNamesAndTypes",
    "RowBinary",
    "RowBinaryWithNames",
    "RowBinaryWithNamesAndTypes",
]
WHOLE = [
    "JSON",
    "JSONCompact",
    "CSVWithNames",
    "Pretty",
    "XML",
    "Values",
    "Vertical",
    "Markdown",
    "Parquet",
]
ROWS = "SELECT number, 'n' || toString(number) AS name FROM numbers({}) ORDER BY number"


@pytest.fixture
def http(clickhouse_database):
    url, database = clickhouse_database.rsplit("/", 1)
    with httpx.Client(base_url=url, params={"database": database}, timeout=60) as client:
        yield client


def ask(http, sql, **params):
    return http.post("/", content=sql, params=params)


def processes(http, marker):
    sql = f"SELECT count() FROM system.processes WHERE query LIKE '%{marker}%' AND query NOT LIKE '%system.processes%'"
    return int(ask(http, sql).text)


def test_ping_and_the_doors_without_a_query(http):
    assert http.get("/ping", params={}).text == "Ok.\n"
    assert httpx.get(http.base_url).text == "Ok.\n"
    assert http.head("/ping").status_code == 200
    assert http.get("/replicas_status").text == "Ok.\n"
    assert http.options("/").status_code == 204
    assert http.get("/nowhere").status_code == 404
    assert http.delete("/").status_code == 405


def test_a_query_by_get_post_and_both_halves(http):
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert ask(http, "SELECT 1").text == "1\n"
    assert http.post("/", params={"query": "SELECT"}, content=" 1 + 1").text == "2\n"
    head = http.head("/", params={"query": "SELECT 1"})
    assert (head.status_code, head.content) == (200, b"")


def test_get_only_reads(http):
    for sql in (
        "CREATE TABLE g (a Int8) ENGINE = Memory",
        "INSERT INTO g VALUES (1)",
        "DROP TABLE g",
        "SYSTEM RELOAD CONFIG",
    ):
        response = http.get("/", params={"query": sql})
        assert response.headers["x-clickhouse-exception-code"] == "164", sql
    assert http.get("/", params={"query": "SELECT getSetting('readonly')"}).text == "2\n"


def test_the_format_comes_from_clause_header_or_parameter(http):
    assert ask(http, "SELECT 1 AS a FORMAT JSONEachRow").text == '{"a":1}\n'
    assert ask(http, "SELECT 1 AS a", default_format="CSVWithNames").text == '"a"\n1\n'
    header = {"X-ClickHouse-Format": "JSONCompactEachRow"}
    response = http.post("/", content="SELECT 1 AS a", headers=header)
    assert response.text == "[1]\n"
    assert response.headers["x-clickhouse-format"] == "JSONCompactEachRow"
    assert response.headers["content-type"].startswith("application/json")
    assert ask(http, "SELECT 1 AS a FORMAT JSON SETTINGS max_threads = 1;").json()["data"] == [
        {"a": 1}
    ]


def test_headers_of_an_answer(http):
    ask(http, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    response = http.post(
        "/", params={"query": "INSERT INTO t FORMAT TSV", "query_id": "mine"}, content="1\n2\n"
    )
    assert response.status_code == 200
    assert response.headers["x-clickhouse-query-id"] == "mine"
    assert json.loads(response.headers["x-clickhouse-summary"])["written_rows"] == "2"
    assert response.headers["x-clickhouse-timezone"] in {"UTC", "Etc/UTC"}
    assert response.headers["x-clickhouse-server-display-name"]
    assert "x-clickhouse-format" not in response.headers
    assert ask(http, "SELECT 1").headers["x-clickhouse-query-id"]


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FROM nope", 404, "60"),
        ("USE nope", 404, "81"),
        ("SELECT nope", 404, "47"),
        ("SELEC 1", 400, "62"),
        ("", 400, "62"),
        ("SELECT toUInt8('x')", 400, "6"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.2", 408, "159"),
        ("SELECT '" + "x" * 300_000 + "'", 400, "62"),
    ],
)
def test_statuses_of_errors(http, sql, status, code):
    response = ask(http, sql)
    assert (response.status_code, response.headers["x-clickhouse-exception-code"]) == (status, code)
    assert response.text.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version " in response.text


def test_credentials(http):
    assert (
        http.get("/", params={"query": "SELECT 1", "user": "default", "password": ""}).text == "1\n"
    )
    for headers in (
        {"X-ClickHouse-User": "eve"},
        {"X-ClickHouse-Key": "x"},
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer x"},
    ):
        response = http.post("/", content="SELECT 1", headers=headers)
        assert (response.status_code, response.headers["x-clickhouse-exception-code"]) == (
            403,
            "516",
        )


def test_a_page_of_the_web_is_refused(http):
    assert (
        http.post("/", content="SELECT 1", headers={"Origin": "https://evil.example"}).status_code
        == 403
    )
    assert http.post("/", content="SELECT 1", headers={"Host": "evil.example"}).status_code == 403
    assert (
        http.post("/", content="SELECT 1", headers={"Origin": "http://localhost:8000"}).status_code
        == 200
    )


@pytest.mark.parametrize("form", STREAMED + WHOLE)
def test_a_result_in_pieces_is_one_document(http, form):
    """What is streamed over many blocks equals what one block gives."""
    many = ask(http, ROWS.format(150_000), default_format=form)
    one = ask(
        http, ROWS.format(150_000), default_format=form, max_block_size="200000", max_threads="1"
    )
    assert many.status_code == 200
    if form in {"JSON", "JSONCompact", "XML"}:  # their statistics name the time taken
        assert many.text.split("statistics")[0] == one.text.split("statistics")[0]
    else:
        assert many.content == one.content
    if form in STREAMED:
        assert "content-length" not in many.headers
        held = ask(http, ROWS.format(150_000), default_format=form, wait_end_of_query="1")
        assert held.content == many.content
        assert json.loads(held.headers["x-clickhouse-summary"])["result_rows"] == "150000"
    empty = ask(http, ROWS.format(0), default_format=form)
    assert empty.status_code == 200


def test_totals_come_last(http):
    sql = "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k"
    assert ask(http, sql).text == "0\t5\n1\t5\n\n0\t10\n"


def test_arrow_in_pieces(http):
    data = ask(http, ROWS.format(150_000), default_format="ArrowStream").content
    assert pa.ipc.open_stream(io.BytesIO(data)).read_all().num_rows == 150_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "lz4", "zstd"])
def test_answers_are_compressed_when_asked(http, coding):
    with httpx.Client(base_url=http.base_url) as raw:
        request = raw.build_request(
            "POST",
            "/",
            params={"enable_http_compression": "1"},
            content=ROWS.format(100_000),
            headers={"Accept-Encoding": f"br, {coding}"},
        )
        response = raw.send(request, stream=True)
        assert response.headers["content-encoding"] == coding
        data = b"".join(response.iter_raw())
    plain = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }[coding](data)
    assert plain == ask(http, ROWS.format(100_000)).content
    response = http.post("/", content="SELECT 1", headers={"Accept-Encoding": coding})
    assert "content-encoding" not in response.headers  # only with enable_http_compression


@pytest.mark.parametrize("coding", ["gzip", "deflate", "lz4", "zstd"])
def test_bodies_may_be_compressed(http, coding):
    pack = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "lz4": lz4.frame.compress,
        "zstd": zstandard.compress,
    }[coding]
    assert (
        http.post("/", content=pack(b"SELECT 41 + 1"), headers={"Content-Encoding": coding}).text
        == "42\n"
    )
    broken = http.post("/", content=b"not compressed", headers={"Content-Encoding": coding})
    assert broken.status_code == 400
    assert coding in broken.text


def test_an_unknown_coding_is_named(http):
    response = http.post("/", content=b"x", headers={"Content-Encoding": "snappy"})
    assert response.status_code == 400
    assert "snappy" in response.text
    assert "zstd" in response.text


def test_clickhouses_own_frames_both_ways(http):
    ask(http, "CREATE TABLE f (a UInt32) ENGINE = MergeTree ORDER BY a")
    rows = "".join(f"{n}\n" for n in range(300_000)).encode()
    sent = http.post(
        "/",
        params={"query": "INSERT INTO f FORMAT TSV", "decompress": "1"},
        content=Frames().add(rows),
    )
    assert sent.status_code == 200, sent.text
    got = ask(http, "SELECT a FROM f ORDER BY a", compress="1").content
    source, plain = Unframes(io.BytesIO(got)), b""
    while piece := source.read(1 << 20):
        plain += piece
    assert plain == rows
    frames = bytearray(Frames().add(b"1\n"))
    frames[3] ^= 1
    bad = http.post(
        "/", params={"query": "INSERT INTO f FORMAT TSV", "decompress": "1"}, content=bytes(frames)
    )
    assert bad.status_code == 400
    assert "checksum" in bad.text


def test_the_head_of_an_insert_may_stand_in_url_or_body(http):
    ask(http, "CREATE TABLE h (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    native = ask(http, "SELECT toUInt32(1) AS a, 'x' AS b FORMAT Native").content
    assert (
        http.post("/", content=b"INSERT INTO h (a, b) FORMAT Native\n" + native).status_code == 200
    )
    assert (
        http.post("/", params={"query": "INSERT INTO h FORMAT Native"}, content=native).status_code
        == 200
    )
    assert (
        http.post("/", params={"query": "INSERT INTO h VALUES"}, content="(2, 'y')").status_code
        == 200
    )
    assert (
        http.post("/", params={"query": "INSERT INTO h FORMAT CSV 3,z"}, content="4,w").status_code
        == 200
    )
    assert http.post("/", content='INSERT INTO h FORMAT JSONEachRow {"a":5}').status_code == 200
    assert (
        http.put("/", params={"query": "INSERT INTO h FORMAT TSV"}, content="6\tq\n").status_code
        == 200
    )
    assert (
        ask(http, "SELECT groupArray(a) FROM (SELECT a FROM h ORDER BY a)").text
        == "[1,1,2,3,4,5,6]\n"
    )


def test_parameters_in_url_and_insert(http):
    assert ask(http, "SELECT {a:UInt8} + {b:UInt8}", param_a="1", param_b="2").text == "3\n"
    ask(http, "CREATE TABLE p (a UInt32) ENGINE = MergeTree ORDER BY a")
    response = http.post(
        "/",
        params={"query": "INSERT INTO {t:Identifier} FORMAT TSV", "param_t": "p"},
        content="1\n",
    )
    assert response.status_code == 200, response.text
    missing = ask(http, "SELECT {a:UInt8}")
    assert missing.headers["x-clickhouse-exception-code"] == "456"


def test_a_failure_after_the_first_byte_is_marked_and_cut(http):
    sql = "SELECT number, throwIf(number = 2000000) FROM numbers(4000000)"
    with http.stream("POST", "/", content=sql) as response:
        assert response.status_code == 200
        tag, data = response.headers["x-clickhouse-exception-tag"], b""
        pieces = response.iter_bytes()
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - what came before counts
            while True:
                data += next(pieces)
    assert f"__exception__\r\n{tag}\r\nCode: 395".encode() in data
    waited = ask(http, sql, wait_end_of_query="1")
    assert waited.status_code == 500


def test_a_client_that_leaves_cancels_its_query(http):
    host, port = http.base_url.host, http.base_url.port
    connection = HTTPConnection(host, port)
    connection.request(
        "POST", "/", body="SELECT count() FROM numbers(1000000000000) WHERE 'leaver' != ''"
    )
    assert wait_for(lambda: processes(http, "leaver"), pause=0.02) == 1
    connection.close()
    wait_for(lambda: not processes(http, "leaver"), pause=0.02)


def test_a_slow_reader_holds_only_its_own_query(http):
    with http.stream("POST", "/", content="SELECT number FROM numbers(100000000)") as slow:
        next(slow.iter_raw(1000))
        for _ in range(5):
            assert ask(http, "SELECT 1").text == "1\n"
    assert ask(http, "SELECT 1").text == "1\n"


def test_chunked_bodies_and_keep_alive(http):
    ask(http, "CREATE TABLE c (a UInt32) ENGINE = MergeTree ORDER BY a")
    pieces = (f"{n}\n".encode() for n in range(50_000))
    assert (
        http.post("/", params={"query": "INSERT INTO c FORMAT TSV"}, content=pieces).status_code
        == 200
    )
    assert ask(http, "SELECT count() FROM c").text == "50000\n"


def test_nonsense_gets_an_answer(http):
    for sql in (
        b"\x00\xff\xfe",
        b"\xe4\xba",
        b"'",
        b"INSERT",
        b"INSERT INTO",
        b"SELECT 'open",
        b"/* open",
        b";",
        b"(((",
    ):
        response = http.post("/", content=sql)
        assert response.status_code in {400, 404, 500}, sql
        assert response.headers["x-clickhouse-exception-code"], sql
    form = http.post("/", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert form.status_code == 400
    assert (
        ask(http, "SELECT 1", **{"max threads; DROP": "1"}).headers["x-clickhouse-exception-code"]
        == "115"
    )
    assert ask(http, "SELECT 1", database="no`pe").status_code == 404
