"""laike users, tokens, sources, audit and rules propose|approve, on a real Redis."""

import asyncio
import json
import re

import pytest
from argon2 import PasswordHasher
from typer.testing import CliRunner

from api.access import passwords
from api.cli import app
from api.sources import Sources, SourcesError, ensure_sources
from engine.audit import read, verify
from engine.settings import make_secret

PASSWORD = "correct horse battery\n"


@pytest.fixture
def laike(redis_empty, tmp_path, monkeypatch):
    """Run a command on this folder; what it printed, and how it ended."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(1, 64, 1))
    make_secret(tmp_path / "secret")
    for name, value in {"REDIS": redis_empty.url, "LOG": redis_empty.url, "DATA": tmp_path}.items():
        monkeypatch.setenv(f"LAIKE_{name}", str(value))

    def run(*words, stdin=None):
        found = CliRunner().invoke(app, words, input=stdin)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout

    run.folder = tmp_path
    with redis_empty.client() as run.store:
        yield run


def test_users_and_tokens_from_first_to_last(laike):
    assert laike("users", "list") == (0, "no users\n")
    assert (
        laike("users", "add", "anna", "--role", "approver", "--password-stdin", stdin=PASSWORD)[0]
        == 0
    )
    code, token = laike("tokens", "create", "ci", "--user", "anna", "--role", "author")
    assert (code, token.startswith("laike_")) == (0, True)
    assert json.loads(laike("users", "list", "--json")[1]) == {
        "users": [{"name": "anna", "role": "approver"}]
    }
    assert json.loads(laike("tokens", "list", "--json")[1])["tokens"][0]["role"] == "author"
    assert laike("users", "role", "anna", "author")[0] == 0
    assert laike("users", "password", "anna", "--password-stdin", stdin=PASSWORD)[0] == 0
    assert laike("tokens", "revoke", "ci", "--user", "anna")[0] == 0
    assert laike("users", "remove", "anna")[0] == 0
    code, told = laike("audit", "list")
    assert [re.split(" {2,}", line)[3] for line in told.splitlines()[1:]] == [
        *("user added", "token created", "role changed"),
        *("password changed", "token revoked", "user removed"),
    ]
    assert "cli:" in told
    assert laike("users", "role", "anna", "king")[0] == 2


def test_a_password_is_asked_for_twice(laike):
    assert laike("users", "add", "anna", stdin=PASSWORD * 2)[0] == 0
    assert laike("users", "add", "bert", stdin=PASSWORD + "another password\n")[0] == 1


def test_a_source_is_added_rotated_and_revoked(laike):
    first = ensure_sources(laike.folder)["web"]
    file = laike.folder / "sources.json"
    till = laike("sources", "add", "till", "--server", "--rate", "5")[1].strip()
    assert (Sources(file).find(till).trusted, Sources(file).find(till).rate) == (True, 5)
    second = laike("sources", "rotate", "web", "--overlap", "12h")[1].strip()
    assert [Sources(file).find(key).name for key in (first, second)] == ["web", "web"]
    assert ensure_sources(laike.folder)["web"] == second
    third = laike("sources", "rotate", "web", "--now")[1].strip()
    keys = (first, second, third)
    assert [bool(Sources(file).find(key)) for key in keys] == [True, False, True]
    laike("sources", "revoke", "web", "--old")
    assert [bool(Sources(file).find(key)) for key in keys] == [False, False, True]
    laike("sources", "revoke", "till")
    assert Sources(file).find(till) is None
    told = [line.split() for line in laike("sources", "list")[1].splitlines()]
    assert told[2][:4] == ["web", "browser", "no", "0"]
    listed = json.loads(laike("sources", "list", "--json")[1])["sources"]
    assert [(one["name"], one["may_assert"]) for one in listed] == [
        ("server", True),
        ("web", False),
    ]
    with pytest.raises(SourcesError, match="there are: server, web"):
        laike("sources", "rotate", "till")
    for name in ("web", "a b"):
        with pytest.raises(SourcesError):
            laike("sources", "add", name)
    entries, head = read(laike.store)
    assert not verify(entries, head, (laike.folder / "secret").read_bytes().strip()).faults
    recorded = b"".join(one.entry for one in entries)
    assert not any(key.encode() in recorded for key in (*keys, till))


def test_audit_verify_tells_what_was_done_to_the_log(laike):
    assert laike("audit", "verify")[0] == 1
    for name in ("anna", "bert", "cleo"):
        laike("users", "add", name, "--password-stdin", stdin=PASSWORD)
    code, told = laike("audit", "verify", "--json")
    assert (code, json.loads(told)["entries"], json.loads(told)["faults"]) == (0, 3, [])
    noted = f"3:{json.loads(told)['seal']}"
    assert laike("audit", "verify", "--seen", noted)[0] == 0
    assert laike("audit", "verify", "--seen", "3:00")[0] == 1
    assert laike("audit", "verify", "--seen", "three")[0] == 2
    laike.store.xdel("laike:audit", "2-0")
    code, told = laike("audit", "verify", "--json")
    assert (code, len(json.loads(told)["faults"])) == (1, 1)
    assert "stands where 2 belongs" in told


def test_the_switch_for_two_people(laike):
    assert laike("rules", "approval", "two-people")[0] == 0
    assert laike.store.get("laike:access:approval") == b"two-people"
    assert laike("rules", "approval", "off")[0] == 0
    assert laike.store.get("laike:access:approval") is None
    assert laike("rules", "approval", "three")[0] == 2


async def test_rules_are_proposed_and_approved_by_two_with_their_tokens(stack, monkeypatch):
    settings, folder = stack.settings, stack.settings.data / "rules"
    await stack.put_in_place()
    for name in ("REDIS", "LOG", "CLICKHOUSE", "DATA", "PORT"):
        monkeypatch.setenv(f"LAIKE_{name}", str(getattr(settings, name.lower())))
    (folder / "campaigns").mkdir(parents=True)
    (folder / "campaigns" / "a.yaml").write_text("rule: a")

    async def laike(*words, stdin=None, token=""):
        monkeypatch.setenv("LAIKE_TOKEN", token)
        found = await asyncio.to_thread(CliRunner().invoke, app, words, input=stdin)
        return found.exit_code, found.output.strip() or repr(found.exception)

    tokens = {}
    for name, role in (("ann", "author"), ("bob", "approver")):
        await laike("users", "add", name, "--role", role, "--password-stdin", stdin=PASSWORD)
        created = await laike("tokens", "create", "t", "--user", name, "--role", role)
        tokens[name] = created[1]
    await laike("rules", "approval", "two-people")
    code, told = await laike("rules", "propose", str(folder), token=tokens["ann"])
    assert (code, "a.yaml" in told) == (1, True)
    (folder / "campaigns" / "a.yaml").write_text(
        "rule: a\nowner: o\nstatus: live\npurpose: marketing\nwhen: {event: Cart Viewed}\n"
        "once_per: customer\ndo:\n  - notify: {via: [push], template: t}\n"
    )
    proposed = await laike("rules", "propose", str(folder), "--note", "new", token=tokens["ann"])
    assert (proposed[0], proposed[1].splitlines()[1].startswith("1   open   ann")) == (0, True)
    refused = await laike("rules", "approve", "1", token=tokens["ann"])
    assert refused == (1, "laike: this needs the role approver, and yours is author")
    code, told = await laike("rules", "approve", "1", "--json", token=tokens["bob"])
    assert (code, json.loads(told)["state"]) == (0, "approved")
    code, told = await laike("rules", "proposals", token=tokens["bob"])
    assert (code, "approved  ann" in told, told.split()[-2:] == ["bob", '"new"']) == (0, True, True)
    assert "LAIKE_TOKEN is empty" in (await laike("rules", "proposals"))[1]
    assert (await laike("audit", "verify"))[0] == 0
