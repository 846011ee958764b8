"""The embedded ClickHouse through an unmodified clickhouse-connect: what a server does, it does."""

import datetime as dt
import gzip
import statistics
import threading
import time
import uuid
from decimal import Decimal

import clickhouse_connect
import lz4.frame
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from sinks.embedded.process import start
from tests.patience import wait_for

ROWS = [
    [1, "one", dt.datetime(2026, 1, 1, 8, 0, 0, 125000, tzinfo=dt.UTC), Decimal("1.50")],
    [2, "zwei 二", dt.datetime(2026, 2, 1, tzinfo=dt.UTC), Decimal("-0.01")],
    [3, "tab\tline\nquote'", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), Decimal(0)],
]
COLUMNS = ["id", "name", "at", "price"]
TABLE = (
    "CREATE TABLE t (id UInt64, name LowCardinality(String), at DateTime64(3, 'UTC'),"
    " price Decimal(18, 2)) ENGINE = MergeTree ORDER BY id"
)


def client_of(url, **options):
    host, port = url.split("//")[1].split("/")[0].split(":")
    options.setdefault("autogenerate_session_id", False)
    return clickhouse_connect.get_client(host=host, port=int(port), **options)


@pytest.fixture
def table(clickhouse):
    clickhouse.command(TABLE)
    return clickhouse


def test_version_and_timezone_are_a_servers(clickhouse):
    assert int(clickhouse.server_version.split(".")[0]) >= 25
    assert clickhouse.command("SELECT timezone()") in {"UTC", "Etc/UTC"}
    assert clickhouse.ping()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_native_insert_and_query_with_every_compression(table, clickhouse_database, compress):
    client = client_of(clickhouse_database, compress=compress, database=table.database)
    summary = client.insert("t", ROWS, column_names=COLUMNS)
    assert summary.written_rows == 3
    rows = client.query(
        "SELECT id, name, at, price FROM t ORDER BY id", settings={"session_timezone": "UTC"}
    ).result_rows
    expected = [(a, b, at.replace(tzinfo=None), d) for a, b, at, d in ROWS]
    assert rows == expected


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "gzip"])
def test_arrow_insert_and_query(table, compression):
    block = pa.table({"id": pa.array([1, 2], pa.uint64()), "name": ["a", "b"]})
    table.insert_arrow("t", block, settings={"wait_end_of_query": 1})
    if compression:
        client = client_of(table.url, compress=compression, database=table.database)
        client.insert_arrow("t", block)
    found = table.query_arrow("SELECT id, toString(name) AS name FROM t ORDER BY id")
    assert found.num_rows == (4 if compression else 2)
    with table.query_arrow_stream("SELECT id FROM t") as stream:
        assert sum(batch.num_rows for batch in stream) == found.num_rows


@pytest.mark.parametrize(
    ("form", "block"),
    [
        ("JSONEachRow", b'{"id":1,"name":"x"}\n{"id":2}\n'),
        ("CSV", b"1,x,2026-01-01 00:00:00,0\n2,y,2026-01-01 00:00:00,0\n"),
        ("TabSeparated", b"1\tx\t2026-01-01 00:00:00\t0\n2\ty\t2026-01-01 00:00:00\t0"),
        ("Values", b"(1,'x',0,0),(2,'y;',0,0)"),
    ],
)
@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_raw_inserts(table, form, block, compression):
    pack = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress}
    packed = pack[compression](block) if compression else block
    table.raw_insert("t", insert_block=packed, fmt=form, compression=compression)
    assert table.command("SELECT count(), sum(id) FROM t") == ["2", "3"]


def test_insert_of_many_blocks_arrives_whole(table):
    rows = [[n, f"n{n % 50}", ROWS[0][2], Decimal(n)] for n in range(120_000)]
    table.insert("t", rows, column_names=COLUMNS)
    assert table.command("SELECT count(), sum(id) FROM t") == ["120000", str(sum(range(120_000)))]


def test_insert_of_values_and_of_a_query_by_command(table):
    table.command("INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b;')")
    table.command("INSERT INTO t (id) SELECT number + 10 FROM numbers(3)")
    assert (
        table.command("SELECT groupArray(id) FROM (SELECT id FROM t ORDER BY id)")
        == "[1,2,10,11,12]"
    )


def test_settings_in_the_query_and_of_the_client(clickhouse):
    assert clickhouse.command("SELECT getSetting('max_threads')", settings={"max_threads": 1}) == 1
    client = client_of(clickhouse.url, settings={"max_block_size": 777})
    assert client.command("SELECT getSetting('max_block_size')") == 777
    assert clickhouse.command("SELECT getSetting('max_block_size')") != 777  # nothing stays behind


@pytest.mark.parametrize(
    "value", ["plain", "quote ' and \\ back", "tab\tnew\nline", "二维", "{x:String}", ""]
)
def test_parameters_are_bound_by_the_server(clickhouse, value):
    found = clickhouse.query("SELECT {x:String} AS x", parameters={"x": value}).result_rows
    assert found == [(value,)]


def test_parameters_of_other_types(clickhouse):
    found = clickhouse.query(
        "SELECT {n:UInt64} + 1, {l:Array(String)}, {d:Date} FROM system.{t:Identifier}",
        parameters={"n": 41, "l": ["a'", "b"], "d": dt.date(2026, 1, 2), "t": "one"},
    ).result_rows
    assert found == [(42, ["a'", "b"], dt.date(2026, 1, 2))]


def test_long_parameters_travel_as_a_form(clickhouse):
    text = "x" * 200_000
    assert clickhouse.query("SELECT length({x:String})", parameters={"x": text}).result_rows == [
        (200_000,)
    ]


def test_external_data(clickhouse):
    data = ExternalData(
        file_name="people", data=b"1,ann\n2,bob\n", fmt="CSV", structure="id UInt32, name String"
    )
    rows = clickhouse.query("SELECT name FROM people WHERE id = 2", external_data=data).result_rows
    assert rows == [("bob",)]


def test_sessions_keep_tables_and_settings(clickhouse_url):
    session = str(uuid.uuid4())
    client = client_of(clickhouse_url, session_id=session)
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    client.insert("mine", [[7]], column_names=["a"])
    client.command("SET max_block_size = 4321")
    assert client.command("SELECT a FROM mine") == 7
    assert (
        client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 99}) == 99
    )
    assert client.command("SELECT getSetting('max_block_size')") == 4321
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client_of(clickhouse_url).command("SELECT a FROM mine")


def test_a_session_is_one_clients_at_a_time(clickhouse_url):
    session = str(uuid.uuid4())
    one, two = (client_of(clickhouse_url, session_id=session) for _ in range(2))
    slow = threading.Thread(target=one.command, args=("SELECT sleep(3), 'mine'",))
    slow.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(3), ''mine''%'"
    wait_for(lambda: client_of(clickhouse_url).command(running) == 1, pause=0.02)
    with pytest.raises(DatabaseError) as caught:
        two.command("SELECT 1")
    slow.join()
    assert caught.value.code == 373
    assert two.command("SELECT 1") == 1


def test_session_check_and_its_time(clickhouse_url):
    with pytest.raises(DatabaseError) as caught:
        client_of(clickhouse_url).command(
            "SELECT 1", settings={"session_id": "none", "session_check": 1}
        )
    assert caught.value.code == 372
    with pytest.raises(DatabaseError) as caught:
        client_of(clickhouse_url).command(
            "SELECT 1", settings={"session_id": "x", "session_timeout": 99999}
        )
    assert caught.value.code == 374


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT nope", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope", 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM nope.t", 81, "UNKNOWN_DATABASE"),
        ("SELECT nope(1)", 46, "UNKNOWN_FUNCTION"),
        ("SELECT 1 FROM (", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("INSERT INTO nope VALUES (1)", 60, "UNKNOWN_TABLE"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 358, "INTO_OUTFILE_NOT_ALLOWED"),
        ("SELECT 1 FORMAT Nope", 73, "UNKNOWN_FORMAT"),
    ],
)
def test_errors_carry_clickhouses_code_and_name(clickhouse, sql, code, name):
    with pytest.raises(DatabaseError) as caught:
        clickhouse.command(sql)
    assert (caught.value.code, caught.value.name) == (code, name)


def test_an_unknown_setting_is_refused(clickhouse):
    with pytest.raises(DatabaseError) as caught:
        clickhouse.query("SELECT 1", settings={"no_such_setting": 1})
    assert caught.value.code == 115


def test_a_wrong_user_or_password_is_refused(clickhouse_url):
    for who in ({"username": "eve"}, {"username": "default", "password": "guess"}):
        with pytest.raises(DatabaseError) as caught:
            client_of(clickhouse_url, **who)
        assert caught.value.code == 516


def test_a_query_has_limits(clickhouse):
    with pytest.raises(DatabaseError) as caught:
        clickhouse.query(
            "SELECT count() FROM numbers(1000000000000)", settings={"max_execution_time": 0.3}
        )
    assert caught.value.code == 159
    with pytest.raises(DatabaseError) as caught:
        clickhouse.query(
            "SELECT groupArray(number) FROM numbers(50000000)",
            settings={"max_memory_usage": 10_000_000},
        )
    assert caught.value.code == 241


def test_a_bad_row_inserts_nothing(table):
    with pytest.raises(DatabaseError) as caught:
        table.raw_insert("t", insert_block=b'{"id":1}\n{"id":"x"}\n', fmt="JSONEachRow")
    assert caught.value.code in {26, 27, 72, 117}
    assert table.command("SELECT count() FROM t") == 0


@pytest.mark.parametrize(
    ("engine", "settings", "name"),
    [
        ("CONSTRAINT low CHECK id < 3", {}, "VIOLATED_CONSTRAINT"),
        ("", {"max_execution_time": 0.000001}, "TIMEOUT_EXCEEDED"),
        ("", {"max_partitions_per_insert_block": 1}, "TOO_MANY_PARTS"),
    ],
)
def test_what_keeps_rows_out_while_they_are_written_is_an_error(clickhouse, engine, settings, name):
    columns = ", ".join(filter(None, ["id UInt64", engine]))
    clickhouse.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY id PARTITION BY id")
    rows = [[n] for n in range(5)]
    with pytest.raises(DatabaseError, match=name) as told:
        clickhouse.insert("t", rows, column_names=["id"], settings=settings)
    assert "file" not in str(told.value)
    assert clickhouse.command("SELECT count() FROM t") == 0
    clickhouse.insert("t", rows[:2], column_names=["id"])
    assert clickhouse.command("SELECT count() FROM t") == 2


def test_an_insert_with_settings_and_comments(table):
    block = b"1,x,2026-01-01 00:00:00,0\n"
    for head in (
        b"INSERT INTO t SETTINGS max_insert_threads = 1, input_format_parallel_parsing = 0 FORMAT CSV\n",
        b"INSERT INTO t /* settings */ (id, name, at, price) -- to the end\n FORMAT CSV\n",
    ):
        table.raw_insert(insert_block=head + block)
    assert table.command("SELECT sum(id) FROM t") == 2


def test_a_folder_may_have_any_name(tmp_path):
    with start(tmp_path / "a{b,c}*[d] 'é'") as server:
        client = client_of(server.url)
        client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        client.insert("t", [[7]], column_names=["a"])
        assert client.command("SELECT sum(a) FROM t") == 7
        client.close()


def test_a_big_result_is_whole(clickhouse):
    total = rows = 0
    with clickhouse.query_column_block_stream("SELECT number FROM numbers(3000000)") as stream:
        for (column,) in stream:
            total += sum(column)
            rows += len(column)
    assert (rows, total) == (3_000_000, sum(range(3_000_000)))
    assert len(clickhouse.query("SELECT number FROM numbers(500000)").result_rows) == 500_000


def test_an_error_in_the_middle_of_a_stream_is_seen(clickhouse):
    sql = "SELECT throwIf(number = 2500000) FROM numbers(5000000)"
    with (
        pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF"),
        clickhouse.query_row_block_stream(sql) as stream,
    ):
        for _ in stream:
            pass


def test_empty_results_and_headers(clickhouse):
    assert clickhouse.query("SELECT 1 AS a WHERE 0").result_rows == []
    assert clickhouse.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)
    assert clickhouse.command("SELECT 1 WHERE 0") == ""
    assert clickhouse.query_df("SELECT 1 AS a").to_dict("list") == {"a": [1]}


def test_describe_show_explain_exists(table):
    assert [row[0] for row in table.query("DESCRIBE t").result_rows] == COLUMNS
    assert table.query("SHOW TABLES").result_rows == [("t",)]
    assert table.command("EXISTS TABLE t") == 1
    assert table.query("EXPLAIN SELECT * FROM t").row_count > 0


def test_an_insert_does_not_wait_behind_queries(table):
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            client_of(table.url).query("SELECT sleep(3)")

    threads = [threading.Thread(target=busy) for _ in range(6)]
    for thread in threads:
        thread.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(3)%'"
    wait_for(lambda: table.command(running) > 1, pause=0.02)
    took = []
    for n in range(10):
        began = time.monotonic()
        table.insert("t", [[n, "x", ROWS[0][2], 1]], column_names=COLUMNS)
        took.append(time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()
    assert statistics.median(took) < 2.0  # behind queries of 3 s it would wait for them
    assert table.command("SELECT count() FROM t") == 10


def test_many_clients_at_once(table):
    failures = []

    def work(n):
        try:
            client = client_of(table.url, database=table.database)
            for at in range(10):
                client.insert("t", [[n * 100 + at, "x", ROWS[0][2], 1]], column_names=COLUMNS)
                assert client.command(f"SELECT {n} * 1000 + {at}") == n * 1000 + at
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert table.command("SELECT count(), uniq(id) FROM t") == ["120", "120"]


def test_a_restart_keeps_the_data(tmp_path):
    for expected in (1, 2):
        with start(tmp_path / "data") as server:
            client = client_of(server.url)
            client.command(
                "CREATE TABLE IF NOT EXISTS kept (a UInt8) ENGINE = MergeTree ORDER BY a"
            )
            client.insert("kept", [[expected]], column_names=["a"])
            assert client.command("SELECT count() FROM kept") == expected
            client.close_connections()
            assert server.stop() == 0


async def test_the_async_client(clickhouse_url):
    host, port = clickhouse_url.split("//")[1].split(":")
    client = await clickhouse_connect.get_async_client(
        host=host, port=int(port), autogenerate_session_id=False
    )
    try:
        assert (await client.query("SELECT 1")).result_rows == [(1,)]
    finally:
        await client.close()
