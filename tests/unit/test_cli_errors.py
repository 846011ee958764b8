"""What a person can do something about is told in one line, without a traceback."""

import socket
from importlib import import_module

import pytest

from api.cli_errors import FAILED, MISUSED, code_of
from tests.unit.test_cli import laike


@pytest.mark.parametrize(("module", "names"), [*FAILED.items(), *MISUSED.items()], ids=str)
def test_each_of_them_exists(module, names):
    for name in names:
        assert issubclass(getattr(import_module(module), name), Exception)


def test_a_fault_of_ours_has_no_code():
    assert code_of(KeyError("x")) is None
    assert code_of(PermissionError(13, "Permission denied", "laike.json")) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"\x1f\x8bnot gzip after all", "compression method"),
        (b"PAR1 but no Parquet", "Parquet"),
        (b"a,b\n1,2\n", "no mapping"),
    ],
    ids=["missing", "gzip", "parquet", "columns"],
)
def test_a_file_that_cannot_be_replayed(tmp_path, content, told):
    file = tmp_path / "orders.csv"
    if content is not None:
        file.write_bytes(content)
    done = laike("replay", str(file), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_nobody_cannot_be_erased(tmp_path):
    done = laike("erase", "", "--proof", "a ticket", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "expected a customer's id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_door_whose_port_is_taken(tmp_path):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = laike("api", LAIKE_DATA=str(tmp_path), LAIKE_PORT=str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
