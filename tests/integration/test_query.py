"""`laike query`: against an engine that runs, or a folder where none does."""

import csv
import io
import json

import pytest

from sinks.clickhouse import connect, migrate
from sinks.embedded.process import start
from sinks.query import query


def test_json_is_the_last_line(clickhouse_url, tmp_path, capsys):
    sql = "SELECT 1 AS n, toDecimal64(1.5, 2) AS money, toDateTime64(0, 3, 'UTC') AS at, map('a', [1]) AS m, nan AS x, NULL AS y"
    assert query(sql, url=clickhouse_url, data=tmp_path, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["columns"] == ["n", "money", "at", "m", "x", "y"]
    (row,) = answer["rows"]
    assert row[0] == 1
    assert row[1] == "1.50"
    assert row[2].startswith("1970-01-01T00:00:00")
    assert row[3:] == [{"a": [1]}, None, None]
    assert answer["row_count"] == 1


def test_a_question_changes_nothing(clickhouse, clickhouse_url, tmp_path, capsys):
    url = f"{clickhouse_url}/{clickhouse.database}"
    clickhouse.command("CREATE TABLE kept (n Int8) ENGINE = MergeTree ORDER BY n")
    for sql in ("DROP TABLE kept", "INSERT INTO kept VALUES (1)", "TRUNCATE TABLE kept"):
        assert query(sql, url=url, data=tmp_path, as_json=False) == 1, sql
        assert "readonly" in capsys.readouterr().err
    assert query("SHOW TABLES", url=url, data=tmp_path, as_json=False) == 0
    assert query("SELECT 1 SETTINGS max_threads = 1", url=url, data=None, as_json=True) == 0
    assert clickhouse.query("SELECT count() FROM kept").result_rows == [(0,)]


def test_a_table_for_people(clickhouse_url, tmp_path, capsys):
    assert (
        query("SELECT '[bold]x' AS name, 7 AS n", url=clickhouse_url, data=tmp_path, as_json=False)
        == 0
    )
    shown = capsys.readouterr().out
    assert "[bold]x" in shown
    assert "1 row" in shown


def test_what_is_too_wide_for_the_terminal_is_a_line_a_field(
    clickhouse_url, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    sql = "SELECT 'first-order-welcome' AS rule, toDate('2026-10-04') AS day, " + ", ".join(
        f"1234567 AS a_figure_{letter}" for letter in "abcde"
    )
    assert query(sql, url=clickhouse_url, data=tmp_path, as_json=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [["row", "1"], ["rule", "first-order-welcome"], ["day", "2026-10-04"]]
    assert ["a_figure_e", "1234567"] in lines
    query("SELECT 1 AS n WHERE false", url=clickhouse_url, data=tmp_path, as_json=False)
    assert capsys.readouterr().out == "0 rows\n"


FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
]
HARMLESS = ["", "a=1", " =1", "1-1", "'=1", "来, 客", 'say "hi"', "two\nlines"]


def test_csv_cells_that_a_spreadsheet_would_run_are_defused(clickhouse_url, tmp_path, capfd):
    texts = FORMULAS + HARMLESS
    listed = ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in texts)
    sql = f"SELECT arrayJoin([{listed}]) AS `=name`, -5 AS n, toDecimal64(-1.5, 2) AS money, NULL AS x, ['=1'] AS l"
    asked = {"url": clickhouse_url, "data": tmp_path}
    assert query(sql, as_json=False, as_csv=True, **asked) == 0
    header, *rows = csv.reader(io.StringIO(capfd.readouterr().out, newline=""))
    assert header == ["'=name", "n", "money", "x", "l"]
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS] + HARMLESS
    assert {tuple(row[1:]) for row in rows} == {("-5", "-1.50", "", '["=1"]')}
    assert query(sql, as_json=True, **asked) == 0
    answer = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert [row[0] for row in answer["rows"]] == texts


def test_a_terminal_is_not_told_what_to_do_by_a_cell(clickhouse_url, tmp_path, capsys):
    sql = "SELECT '\\x1b]0;mine\\x07\\xc2\\x9b2J' AS name"
    assert query(sql, url=clickhouse_url, data=tmp_path, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


def test_an_error_is_clickhouses_own_words(clickhouse_url, tmp_path, capsys):
    assert query("SELECT nope", url=clickhouse_url, data=tmp_path, as_json=True) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("Unknown expression identifier `nope`")


def test_nothing_to_ask_and_nobody_there(tmp_path, capsys):
    assert query("SELECT 1", url=None, data=tmp_path, as_json=False) == 2
    assert "laike up" in capsys.readouterr().err
    assert query("SELECT 1", url="http://127.0.0.1:1", data=tmp_path, as_json=False) == 1
    told = capsys.readouterr().err.replace("\n", " ")
    assert told.startswith(
        "ClickHouse does not answer at 127.0.0.1:1: if it is starting again, ask"
    )
    assert "Exception" not in told


def test_a_folder_is_opened_for_the_question_or_its_engine_asked(tmp_path, capsys):
    with start(tmp_path / "clickhouse") as server:
        client = connect(server.url)
        migrate(client)
        client.close()
        assert query("SELECT count() FROM rules", url=None, data=tmp_path, as_json=True) == 0
    assert query("SELECT count() FROM rules", url=None, data=tmp_path, as_json=True) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["rows"] == json.loads(second)["rows"] == [[0]]


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES FROM system LIKE 'one'", "DESCRIBE system.one", "EXPLAIN SELECT 1"]
)
def test_other_statements(clickhouse_url, tmp_path, capsys, sql):
    assert query(sql, url=clickhouse_url, data=tmp_path, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["rows"]
