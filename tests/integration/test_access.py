"""Users, sessions, tokens and roles on a real Redis, through the whole application."""

import time

import httpx
import pytest
from argon2 import PasswordHasher

from api.access import passwords
from api.access.accounts import AccountError, Accounts
from api.access.passwords import WeakPassword
from api.access.roles import Role
from api.app import Deps, create_app
from api.headers import HEADERS
from api.sources import Sources, ensure_sources
from engine.audit import read, record, verify
from tests.fakes import MemoryLog

SECRET = b"s" * 16
PASSWORD = "correct horse battery"
ME = "/v1/me"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # a hundredth of the real one


@pytest.fixture
def accounts(redis_empty, monkeypatch):
    monkeypatch.setattr(passwords, "_HASHER", QUICK)
    monkeypatch.setattr(passwords, "_NOBODY", QUICK.hash("nobody's password"))
    with redis_empty.client() as client:
        made = Accounts(client, SECRET)
        for role in Role:
            made.add("cli:test", role.value, role, PASSWORD)
        yield made


@pytest.fixture
async def http(accounts, tmp_path):
    ensure_sources(tmp_path)
    app = create_app(
        Deps(log=MemoryLog(), sources=Sources(tmp_path / "sources.json"), accounts=accounts)
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://laike.test") as client:
        yield client


async def log_in(http, name="admin", password=PASSWORD, **given):
    return await http.post("/v1/login", json={"name": name, "password": password}, **given)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_a_session_from_login_to_logout(http):
    assert (await http.get(ME)).status_code == 401
    answer = await log_in(http)
    assert (answer.status_code, answer.json()) == (200, {"name": "admin", "role": "admin"})
    flags = answer.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "secure", "samesite=strict", "path=/"))
    cookie = http.cookies["laike_session"]
    answer = await http.get(ME)
    assert answer.json() == {"name": "admin", "role": "admin"}
    assert answer.headers["cache-control"] == "no-store"
    assert (await http.post("/v1/logout")).status_code == 204
    http.cookies.set("laike_session", cookie)
    assert (await http.get(ME)).status_code == 401


async def test_over_http_the_cookie_is_not_secure_and_there_is_no_hsts(http):
    answer = await log_in(http)
    assert "strict-transport-security" in answer.headers
    answer = await http.post(
        "http://laike.test/v1/login", json={"name": "admin", "password": PASSWORD}
    )
    assert "secure" not in answer.headers["set-cookie"].lower()
    assert "strict-transport-security" not in answer.headers


async def test_a_cookie_that_was_changed_or_made_up_is_nobodys(http):
    await log_in(http)
    cookie = http.cookies["laike_session"]
    for forged in ("x" + cookie[1:], cookie[:-4] + "AAAA", "bnVsbA==.a.b", "W10=.aa.bb", ""):
        http.cookies.set("laike_session", forged)
        assert (await http.get(ME)).status_code == 401


async def test_every_wrong_login_has_one_answer(http):
    names = ["admin", "nobody", "a" * 64, "é", "*"]
    answers = [await log_in(http, name, "wrong password!") for name in names]
    assert {(a.status_code, a.text) for a in answers} == {
        (401, '{"code":"wrong_login","message":"name or password is wrong"}')
    }
    assert not any("set-cookie" in answer.headers for answer in answers)


async def test_tries_are_counted_and_then_refused_even_with_the_right_password(http):
    answers = [await log_in(http, "viewer", "wrong password!") for _ in range(5)]
    assert {a.status_code for a in answers} == {401}
    answer = await log_in(http, "viewer")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")
    assert int(answer.headers["retry-after"]) > 0
    assert (await log_in(http, "admin")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "https://laike.test.evil.test", "sec-fetch-site": "same-origin"},
    ],
)
async def test_another_pages_calls_do_not_use_the_session(http, accounts, headers):
    await log_in(http)
    for call in (http.get(ME, headers=headers), http.post("/v1/logout", headers=headers)):
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (403, "other_page")
    assert (await log_in(http, headers=headers)).status_code == 403
    token = accounts.create_token("cli:test", "viewer", "ci", Role.viewer, 1)
    assert (await http.get(ME, headers=headers | bearer(token))).status_code == 200
    own = {"origin": "https://laike.test", "sec-fetch-site": "same-origin"}
    assert (await http.get(ME, headers=own)).status_code == 200


async def test_roles_hold_those_before_them(http, accounts):
    for role in Role:
        token = accounts.create_token("cli:test", role.value, "ci", role, 1)
        assert (await http.get(ME, headers=bearer(token))).json()["role"] == role
        status = (await http.get("/v1/audit", headers=bearer(token))).status_code
        assert status == (200 if role is Role.admin else 403)


async def test_a_token_ends_with_its_time_its_revocation_its_user(http, accounts, monkeypatch):
    def made(name, days=1):
        return accounts.create_token("cli:test", "author", name, Role.author, days)

    async def status(token):
        return (await http.get(ME, headers=bearer(token))).status_code

    kept, revoked, short = made("kept"), made("revoked"), made("short", days=0.5)
    accounts.revoke_token("cli:test", "author", "revoked")
    assert [await status(t) for t in (kept, revoked, short)] == [200, 401, 200]
    later = time.time_ns() + 13 * 3600 * 10**9
    monkeypatch.setattr("api.access.accounts.time.time_ns", lambda: later)
    assert [await status(t) for t in (kept, short)] == [200, 401]
    accounts.set_role("cli:test", "author", Role.viewer)
    assert (await http.get(ME, headers=bearer(kept))).json()["role"] == "viewer"
    accounts.remove("cli:test", "author")
    assert await status(kept) == 401
    accounts.add("cli:test", "author", Role.admin, PASSWORD)
    assert await status(kept) == 401
    assert [token.name for token in accounts.tokens()] == []


async def test_a_session_ends_with_another_password_role_or_the_user(http, accounts):
    changes = [
        lambda: accounts.set_password("cli:test", "approver", PASSWORD + "!"),
        lambda: accounts.set_role("cli:test", "approver", Role.viewer),
        lambda: accounts.remove("cli:test", "approver"),
    ]
    password = PASSWORD
    for change in changes:
        assert (await log_in(http, "approver", password)).status_code == 200
        assert (await http.get(ME)).status_code == 200
        change()
        password = PASSWORD + "!"
        assert (await http.get(ME)).status_code == 401


async def test_nothing_that_opens_a_door_is_stored_or_recorded_in_plain(http, accounts):
    token = accounts.create_token("cli:test", "admin", "ci", Role.admin, 1)
    await log_in(http)
    store = accounts.store
    held = [store.dump(key) for key in store.scan_iter()]
    plain = [*store.hgetall("laike:access:users").values(), *store.scan_iter(), *held]
    entries, head = read(store)
    plain += [one.entry for one in entries]
    for secret in (PASSWORD, token, token.removeprefix("laike_")):
        assert not any(secret.encode() in text for text in plain)
    assert not verify(entries, head, SECRET).faults
    assert len(entries) == 5


def test_what_cannot_be_a_user_or_a_token(accounts):
    with pytest.raises(AccountError, match="already"):
        accounts.add("cli:test", "admin", Role.admin, PASSWORD)
    for name in ("", "cli:root", "a b", "x" * 65):
        with pytest.raises(AccountError, match="no name"):
            accounts.add("cli:test", name, Role.admin, PASSWORD)
    with pytest.raises(WeakPassword, match="12 to 256"):
        accounts.add("cli:test", "new", Role.admin, "short")
    with pytest.raises(AccountError, match="never exceeds"):
        accounts.create_token("cli:test", "viewer", "t", Role.admin, 1)
    with pytest.raises(AccountError, match="at most 366"):
        accounts.create_token("cli:test", "viewer", "t", Role.viewer, 1000)
    with pytest.raises(AccountError, match="no token"):
        accounts.revoke_token("cli:test", "viewer", "t")
    with pytest.raises(AccountError, match="no user"):
        accounts.remove("cli:test", "nobody")
    assert set(accounts.users()) == {role.value for role in Role}


async def test_the_audit_log_is_shown_in_pages(http, accounts):
    token = bearer(accounts.create_token("cli:test", "admin", "ci", Role.admin, 1))
    page = (await http.get("/v1/audit?after=1&limit=2", headers=token)).json()["entries"]
    assert [(e["seq"], e["who"], e["what"]) for e in page] == [
        (2, "cli:test", "user added"),
        (3, "cli:test", "user added"),
    ]
    record(accounts.store, SECRET, "x", "y")
    accounts.store.xadd("laike:audit", {"e": b"{", "h": b""})
    answer = await http.get("/v1/audit", headers=token)
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_broken")


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/me", "/openapi.json", "/v1/login"])
async def test_every_answer_carries_the_headers(http, path):
    answer = await http.get(path)
    assert HEADERS.items() <= dict(answer.headers).items()
    if answer.status_code >= 400:
        assert set(answer.json()) == {"code", "message"}


async def test_a_senders_error_carries_them_too(http):
    answer = await http.post("/v1/track", json={})
    assert answer.status_code == 401
    assert HEADERS.items() <= dict(answer.headers).items()


async def test_an_error_repeats_nothing_that_was_sent(http):
    answer = await http.post("/v1/login", json={"name": "x" * 65, "password": "hunter2-" * 100})
    assert answer.status_code == 422
    assert set(answer.json()) == {"code", "message"}
    assert "hunter2" not in answer.text
    answer = await http.post("/v1/login", content=b'{"name": "x", "password": "hunter2')
    assert (answer.status_code, "hunter2" in answer.text) == (422, False)


async def test_a_body_is_bounded_whether_it_says_its_length_or_not(http):
    async def pieces():
        for _ in range(6):
            yield b"x" * 1024 * 1024

    answer = await http.post("/v1/login", content=b"x" * (5 * 1024 * 1024))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await http.post("/v1/login", content=pieces())).status_code in {400, 413}


async def test_a_fault_of_ours_tells_nothing(http, accounts, monkeypatch):
    monkeypatch.setattr(type(accounts), "of_token", lambda *_: 1 / 0)
    answer = await http.get(ME, headers=bearer("laike_x"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "division" not in answer.text
    assert HEADERS.items() <= dict(answer.headers).items()


async def test_redis_away_is_503(http, redis_empty):
    token = bearer("laike_x")
    redis_empty.stop()
    try:
        answer = await http.get(ME, headers=token)
    finally:
        redis_empty.restart()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_away")


async def test_the_document_names_the_ways_to_be_somebody(http):
    document = (await http.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["scheme"] == "bearer"
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "laike_session")
    assert document["paths"]["/v1/me"]["get"]["security"] == [{"token": []}, {"session": []}]
    assert {"401", "403", "503"} <= set(document["paths"]["/v1/audit"]["get"]["responses"])
