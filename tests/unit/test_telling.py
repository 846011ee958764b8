"""The log's net: whatever a library's exception quotes, no contact or secret gets into a line."""

import logging
import subprocess
import sys

import pytest

from engine.telling import Lines, blanked
from tests.unit.test_house import ROOT


@pytest.mark.parametrize(
    "secret",
    [
        "alice@shop.example", "a.b+c@mail.shop.example", "13800138000", "+49 (170) 123-4567",
        "+8613800138000", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "web_" + "aB3-_" * 6,
        "server_" + "x" * 32, "redis://:pw@h", "http://laike:pa55@h:8123/x", "Basic c2VydmVyXzE6eA==",
        "Bearer laike_abcdefgh",
    ],
)  # fmt: skip
def test_a_secret_is_blanked_wherever_it_stands(secret):
    for line in (secret, f"KeyError: {secret!r}", f"at {secret}, again", f'{{"x":"{secret}"}}'):
        assert secret not in blanked(line), line


@pytest.mark.parametrize(
    "line",
    [
        "shard 3: record 1790000000000 is poison", "2026-11-23 12:00:00,123 INFO worker ready, pid 17",
        "redis://127.0.0.1:6379/0 is away", "lag 12345678901234", "rules 9f8a7b6c published",
        "-1380013800", "web_1", "order 20261123-0001", "pi is 3.13800138000",
    ],
)  # fmt: skip
def test_what_an_operator_reads_stays(line):
    assert blanked(line) == line


def test_tracebacks_are_blanked_too():
    try:
        {}["alice@shop.example"]
    except KeyError:
        info = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "poison: %s", ("13800138000",), info)
    told = Lines("%(message)s").format(record)
    assert "poison: ***" in told
    assert "KeyError: '***'" in told
    assert "Traceback" in told


def test_what_nobody_caught_is_logged_in_the_same_way():
    code = "from engine import telling\ntelling.log_to_stderr('%(message)s', ())\nint('alice@shop.example')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert "not caught: ValueError" in done.stderr
    assert "invalid literal for int() with base 10: '***'" in done.stderr
    assert "alice@shop" not in done.stderr.replace(code, "")


def test_a_phone_amid_chinese_is_blanked_and_an_amount_is_not():
    assert blanked("电话13812345678找我") == "电话***找我"
    assert blanked("国外+49 170 1234567打来") == "国外***打来"
    assert blanked("共13812345678.50元") == "共13812345678.50元"
