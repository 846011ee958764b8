"""The kill switch from the command to the shards: wanted, noted, appended, decided by."""

import json

import pytest
from typer.testing import CliRunner

from api.cli import app
from engine import switches
from engine.audit import read
from engine.duties import WANTED
from engine.records import KILL
from engine.settings import make_secret
from engine.switching import throw
from rules.load import book_from_sources

RULE = """
rule: look
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
do:
  - notify: {via: [push], template: seen}
"""


@pytest.fixture
def laike(redis_empty, tmp_path, monkeypatch):
    make_secret(tmp_path / "secret")
    for name, value in {"REDIS": redis_empty.url, "LOG": redis_empty.url, "DATA": tmp_path}.items():
        monkeypatch.setenv(f"LAIKE_{name}", str(value))

    def run(*words):
        found = CliRunner().invoke(app, ["kill", *words, "--json"])
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout

    run.folder = tmp_path
    with redis_empty.client() as run.store:
        yield run


def killed(laike, *words):
    code, told = laike(*words)
    assert code == 0
    return json.loads(told)["killed"]


def test_rules_are_stopped_and_let_live_each_with_an_entry_in_the_audit_log(laike):
    book = book_from_sources({"campaigns/look.yaml": RULE})
    laike.store.set("laike:rules:wanted", book.hash)
    laike.store.set(f"laike:rules:{book.hash}", json.dumps(dict(book.sources)))
    assert killed(laike) == []
    assert killed(laike, "look") == ["rule:look"]
    assert killed(laike, "--purpose", "marketing") == ["purpose:marketing", "rule:look"]
    assert killed(laike, "--all") == ["*", "purpose:marketing", "rule:look"]
    assert killed(laike, "look", "--off", "--all") == ["purpose:marketing"]
    assert killed(laike) == ["purpose:marketing"]
    assert laike("lok")[0] == 2
    assert laike("--purpose", "fun")[0] == 2
    whats = [json.loads(one.entry)["what"] for one in read(laike.store)[0]]
    assert whats == ["rules killed"] * 3 + ["rules let live"]
    assert CliRunner().invoke(app, ["audit", "verify"]).exit_code == 0


def test_what_is_wanted_is_what_a_shard_is_told(redis_empty):
    assert WANTED[KILL] == switches.WANTED
    with redis_empty.client() as store:
        found = throw(store, b"secret", "cli:me", ["rule:look"], on=True)
        assert switches.read(store.get(switches.WANTED)) == found == ("rule:look",)
        assert throw(store, b"secret", "cli:me", ["rule:look"], on=False) == ()
        assert store.get(switches.WANTED) == b"[]"  # a text: shards are told that it is over
