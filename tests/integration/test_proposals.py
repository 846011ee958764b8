"""Rules under approval, through the application on a real Redis and ClickHouse."""

import json

import httpx
import pytest
from argon2 import PasswordHasher

from api import rules_calls
from api.access import passwords
from api.access.accounts import Accounts
from api.access.roles import Role
from api.app import Deps, create_app
from api.proposals import Proposals
from api.rules_in_force import WANTED, ask_two_people, kept, publish
from api.sources import Sources, ensure_sources
from api.up_rules import Rules
from engine.audit import read, verify
from rules.load import book_from_sources, load_text
from sinks.clickhouse import connect, migrate
from tests.fakes import MemoryLog

SECRET = b"s" * 16
RULE = """
rule: nudge
owner: growth
status: live
purpose: marketing
when: {event: Product Viewed}
once_per: customer
do:
  - notify: {via: [push], template: hello}
"""
BY = "/v1/rules/proposals"


@pytest.fixture
def accounts(redis_empty, monkeypatch):
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(1, 64, 1))
    with redis_empty.client() as store:
        made = Accounts(store, SECRET)
        for name, role in [
            ("vera", "viewer"),
            ("ann", "author"),
            ("bob", "approver"),
            ("cid", "approver"),
        ]:
            made.add("cli:test", name, Role(role), "correct horse battery")
        yield made


@pytest.fixture
def tables(clickhouse_database):
    with connect(clickhouse_database) as client:
        migrate(client)
        yield clickhouse_database, client


@pytest.fixture
async def api(accounts, tables, tmp_path):
    proposals = Proposals(accounts.store, SECRET, lambda: connect(tables[0]))
    ensure_sources(tmp_path)
    app = create_app(
        Deps(
            log=MemoryLog(),
            sources=Sources(tmp_path / "sources.json"),
            accounts=accounts,
            routers=[rules_calls.router(accounts, proposals)],
        )
    )
    tokens = {
        name: accounts.create_token("cli:test", name, "t", user.role, 1)
        for name, user in accounts.users().items()
    }
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://laike.test") as http:

        async def call(who, method, path, **given):
            headers = {"authorization": f"Bearer {tokens[who]}"}
            return await http.request(method, path, headers=headers, **given)

        yield call


def rule(priority=50):
    return {"campaigns/nudge.yaml": f"{RULE}priority: {priority}\n"}


async def propose(api, who="ann", priority=50):
    return await api(who, "POST", BY, json={"sources": rule(priority), "note": "why"})


async def code(answer):
    found = await answer
    return found.status_code, found.json().get("code")


async def test_what_another_approved_is_in_force_and_in_the_audit_log(api, accounts, tables):
    ask_two_people(accounts.store, SECRET, "cli:test", True)
    made = (await propose(api)).json()
    assert (made["state"], made["rules"], made["author"]) == ("open", ["nudge"], "ann")
    assert accounts.store.get(WANTED) is None
    judged = (await api("bob", "POST", f"{BY}/1/approve")).json()
    assert (judged["state"], judged["judged_by"]) == ("approved", "bob")
    assert accounts.store.get(WANTED).decode() == made["version"]
    assert kept(accounts.store, made["version"]).rules["nudge"].owner == "growth"
    shown = (await api("vera", "GET", "/v1/rules")).json()
    assert (shown["version"], shown["two_people"]) == (made["version"], True)
    assert [(one["name"], one["status"]) for one in shown["rules"]] == [("nudge", "live")]
    rows = tables[1].query("SELECT rule, version, published_by FROM rules").result_rows
    assert rows == [("nudge", made["version"], "bob")]
    entries, head = read(accounts.store)
    told = [json.loads(one.entry) for one in entries][-3:]
    assert [(one["who"], one["what"]) for one in told] == [
        ("ann", "rules proposed"),
        ("bob", "rules approved"),
        ("bob", "rules published"),
    ]
    assert not verify(entries, head, SECRET).faults


async def test_an_author_never_approves_his_own_where_two_are_asked_for(api, accounts):
    ask_two_people(accounts.store, SECRET, "cli:test", True)
    await propose(api, "bob")
    assert await code(api("bob", "POST", f"{BY}/1/approve")) == (403, "own_proposal")
    assert accounts.store.get(WANTED) is None
    assert (await api("cid", "POST", f"{BY}/1/approve")).status_code == 200
    ask_two_people(accounts.store, SECRET, "cli:test", False)
    await propose(api, "bob", priority=60)
    assert (await api("bob", "POST", f"{BY}/2/approve")).status_code == 200


async def test_the_shops_own_file_may_ask_for_a_second_and_then_only_a_second_takes_it_out(
    api, accounts, tables
):
    second = book_from_sources({**rule(), "shop.yaml": "approval: second\n"})
    publish(second, accounts.store, tables[1], "ann", 1, SECRET)
    assert (await api("vera", "GET", "/v1/rules")).json()["two_people"]
    await propose(api, "bob")  # without the line
    assert await code(api("bob", "POST", f"{BY}/1/approve")) == (403, "own_proposal")
    assert (await api("cid", "POST", f"{BY}/1/approve")).status_code == 200
    assert not (await api("vera", "GET", "/v1/rules")).json()["two_people"]
    await propose(api, "bob", priority=60)
    assert (await api("bob", "POST", f"{BY}/2/approve")).status_code == 200


async def test_who_may_do_what(api):
    assert (await propose(api, "vera")).status_code == 403
    await propose(api)
    for who in ("vera", "ann"):
        for verb in ("approve", "reject"):
            assert await code(api(who, "POST", f"{BY}/1/{verb}")) == (403, "forbidden")
    assert [p["id"] for p in (await api("vera", "GET", BY)).json()] == [1]


async def test_a_proposal_is_judged_once(api):
    await propose(api)
    assert (await api("bob", "POST", f"{BY}/1/reject")).json()["state"] == "rejected"
    assert await code(api("cid", "POST", f"{BY}/1/approve")) == (409, "judged")
    assert await code(api("cid", "POST", f"{BY}/9/approve")) == (404, "no_proposal")


async def test_what_was_proposed_on_other_rules_is_stale(api, accounts):
    await propose(api, priority=51)
    await propose(api, priority=52)
    assert (await api("bob", "POST", f"{BY}/1/approve")).status_code == 200
    assert await code(api("bob", "POST", f"{BY}/2/approve")) == (409, "stale")
    states = [one["state"] for one in (await api("vera", "GET", BY)).json()]
    assert states == ["open", "approved"]  # the newest first; a stale one is judged by nobody
    assert (await api("bob", "POST", f"{BY}/1/approve")).status_code == 200  # twice is once
    assert await code(propose(api, priority=51)) == (409, "no_change")


async def test_an_approval_cut_off_before_its_publishing_is_finished_by_the_next(
    api, accounts, monkeypatch
):
    made = (await propose(api)).json()
    with monkeypatch.context() as broken:
        broken.setattr("api.rules_in_force.publish_rules", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await api("bob", "POST", f"{BY}/1/approve")
    assert accounts.store.get(WANTED) is None
    assert (await api("bob", "POST", f"{BY}/1/approve")).status_code == 200
    assert accounts.store.get(WANTED).decode() == made["version"]


async def test_files_with_errors_are_told_with_their_places(api):
    bad = {"campaigns/a.yaml": "rule: a\nwhen: 3\n"}
    answer = await api("ann", "POST", BY, json={"sources": bad})
    assert (answer.status_code, answer.json()["code"]) == (422, "rule_errors")
    assert "campaigns/a.yaml:" in answer.json()["message"]
    wide = {"campaigns/a.yaml": "#" * 1_000_001}
    assert await code(api("ann", "POST", BY, json={"sources": wide})) == (422, "rule_errors")


def test_where_two_are_asked_for_saved_files_change_nothing(accounts, tables, tmp_path):
    store, (url, client) = accounts.store, tables
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(RULE)
    told = []
    files = Rules(folder, SECRET, told.append)
    first = files.publish(store, client).hash
    ask_two_people(store, SECRET, "cli:test", True)
    (folder / "a.yaml").write_text(f"{RULE}priority: 70\n")
    files.publish_changed(store, url)
    assert store.get(WANTED).decode() == files.hash == first
    assert "laike rules propose" in told[-1]
    approved = load_text(f"{RULE}priority: 80\n", "a.yaml")
    publish(approved, store, client, "bob", 1, SECRET)
    started_anew = Rules(folder, SECRET, told.append)
    assert started_anew.publish(store, client).hash == approved.hash == started_anew.hash
    ask_two_people(store, SECRET, "cli:test", False)
    assert started_anew.publish(store, client).hash not in {first, approved.hash}


def test_the_same_rules_again_are_no_entry(accounts, tables):
    book = load_text(RULE, "a.yaml")
    for at in (1, 2):
        publish(book, accounts.store, tables[1], "bob", at, SECRET)
    told = [json.loads(one.entry)["what"] for one in read(accounts.store)[0]]
    assert told.count("rules published") == 1
