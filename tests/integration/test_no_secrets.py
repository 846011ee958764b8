"""No secret, key or contact stands in a log, a metric, an error or what a command says of itself.

A whole engine as a user starts it, with traffic that carries known ones in every place they do and
do not belong: good events, bad ones, a poison record, receivers that fail, wrong passwords. What
the log channel and the analysts' tables hold is their purpose and is not looked at.
"""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import httpx
import pytest
import redis

from api.up_lock import running
from engine.logs.redis import RedisLog
from engine.records import LETTER, Append
from tests.integration.test_up import LAIKE, api_of, laike, started, wait_for
from tests.patience import SECONDS
from tests.unit.test_house import ROOT

MAIL, PHONE, NAME = "wang.xiaoming@mail.example", "13800138000", "Xiaoming-Wang-Needle"
OTHER_MAIL = "carol+shop@customer.example"  # a shop that takes it for the customer's id
PASSWORD, STORE_PASSWORD = "Correct-Horse-Needle-77", "stores-password-needle"
TOKEN_IN_URL = "T0KEN-in-the-receivers-url"
WRONG_KEY = "server_" + "n33dle" * 6
SHARDS = 8


class Receiver(BaseHTTPRequestHandler):
    """Fails in every way, echoing what it got, until `kind` is set."""

    kind = False
    number = 0
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.number += 1
        status = 200 if Receiver.kind else (500, 302, 400, 429, 503)[Receiver.number % 5]
        if status in {200, 302, 400}:
            Receiver.bodies.append(body)
        self.send_response(status, f"no {MAIL} {PHONE}")
        self.send_header("location", f"https://{MAIL}/{TOKEN_IN_URL}")
        self.send_header("retry-after", PHONE if status == 400 else "0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{TOKEN_IN_URL}?key={TOKEN_IN_URL}"
    server.shutdown()
    server.server_close()


def good(number):
    """A customer who is known by mail and phone, and pays: answered with a coupon and a message."""
    who = {"userId": OTHER_MAIL if number == 0 else f"u{number}"}
    traits = {"email": MAIL, "phone": PHONE, "name": NAME, "address": {"street": NAME}}
    paid = {"order_id": f"o{number}", "total": 300, "products": [], "email": MAIL, "note": PHONE}
    return [
        {"type": "identify", **who, "traits": traits, "context": {"ip": "203.0.113.77"}},
        {"type": "track", **who, "event": "Order Completed", "properties": paid},
    ]


def bad():
    """Contacts and keys where a number, a time, a name or an id belongs."""
    one = {"type": "track", "userId": "u1", "event": "Product Added"}
    wrong = [
        MAIL,
        PHONE * 3,
        int(PHONE) * 10**9,
        [MAIL],
        {MAIL: PHONE},
        f"{NAME} {PHONE}",
        WRONG_KEY,
    ]
    found = [
        {**one, "properties": {field: value}}
        for field in ("price", "quantity", "products", "promised_ship_at", "by_bot", "channels")
        for value in wrong
    ]
    found += [{**one, field: value} for field in ("timestamp", "type") for value in wrong]
    found += [
        {**one, "userId": [MAIL]}, {**one, "userId": MAIL * 20}, {**one, "event": [MAIL, PHONE]},
        {**one, "event": MAIL * 20}, {**one, "userId": None}, {**one, "properties": MAIL},
        {**one, "properties": {MAIL: {PHONE: {"x": 10**400}}}}, {**one, "context": MAIL},
        {**one, "traits": [MAIL]}, {**one, "event": f"Order {MAIL}"}, {**one, "messageId": {MAIL: 1}},
        MAIL, [PHONE], int(PHONE), {**one, "properties": {"a": [[[[[[[[[[[[MAIL]]]]]]]]]]]]}},
    ]  # fmt: skip
    return found


def calls(http, keys, token):
    """Every call that goes wrong; their answers."""
    server, browser = (keys["server"], ""), (keys["web"], "")
    for item in bad():
        if isinstance(item, dict):
            yield http.post("/v1/track", json=item, auth=server)
            yield http.post("/v1/track", json=item, auth=browser)
    yield http.post("/v1/batch", json={"batch": bad()}, auth=server)
    yield http.post("/v1/batch", json={"batch": bad()}, auth=browser)
    yield http.post("/v1/batch", json={"batch": MAIL, "writeKey": keys["server"]})
    for auth in ((WRONG_KEY, ""), (MAIL, PASSWORD), (keys["server"] + "x", "")):
        yield http.post("/v1/track", json={"userId": MAIL}, auth=auth)
    for body in (
        MAIL.encode(),
        f'{{"email": "{MAIL}", "x": {PHONE}'.encode(),
        b"\xff" + MAIL.encode(),
    ):
        yield http.post("/v1/track", content=body, auth=server)
        for encoding in ("gzip", MAIL):
            headers = {"content-encoding": encoding}
            yield http.post("/v1/track", content=body, headers=headers, auth=server)
    yield http.post(f"/beacon/v1/batch?writeKey={WRONG_KEY}", json={"batch": []})
    yield http.get(f"/sourceConfig/?writeKey={WRONG_KEY}")
    yield http.get(f"/v1/projects/{WRONG_KEY}/settings")
    yield http.get(
        f"/v1/nothing/{MAIL}?phone={PHONE}", headers={"authorization": f"Bearer {token}"}
    )
    for body in (
        {"name": "anna", "password": PASSWORD + "x"}, {"name": MAIL, "password": PASSWORD},
        {"name": [MAIL], "password": {"x": PASSWORD}}, {"password": PASSWORD}, {"name": PASSWORD * 9},
        [PASSWORD], PASSWORD,
    ):  # fmt: skip
        yield http.post("/v1/login", json=body)
    for authorization in (f"Bearer {token}x", f"Bearer {PASSWORD}", f"Basic {token}", token):
        headers = {"authorization": authorization}
        yield http.get("/v1/me", headers=headers)
        yield http.get(f"/v1/customers/{MAIL}/export", headers=headers)
        yield http.post("/v1/rules/proposals", json={"x": MAIL}, headers=headers)
    held = {"authorization": f"Bearer {token}"}
    yield http.get("/v1/me", headers=held)
    yield http.post("/v1/erasures", json={"customer": [MAIL], "x": PASSWORD}, headers=held)
    yield http.post("/v1/rules/proposals", json={"x": [MAIL]}, headers=held)
    yield http.get("/v1/audit?after=0", headers=held)
    yield http.get(f"/v1/audit?after={MAIL}", headers=held)
    for path in ("/metrics", "/readyz", "/healthz", "/openapi.json"):
        yield http.get(path)


async def poison(url):
    """Records that no door would let in: they break us, and the exceptions quote them."""
    body = {
        "type": "track", "event": "Product Added", "messageId": MAIL, "timestamp": 1, "receivedAt": 1,
        "source": "x", "userId": "u5", "properties": {"price": MAIL, "quantity": PHONE, "product_id": MAIL},
    }  # fmt: skip
    letter = {"to": 0, "id": "1-0", "from": 99, "prev": "", "kind": MAIL, "cid": "u:x", "body": {}}
    log = RedisLog(url, SHARDS)
    for key, value in ((b"u:u5", json.dumps(body)), (b"u:x", MAIL), (LETTER, json.dumps(letter))):
        await log.append([Append(0, key, value.encode())])
    await log.close()


def command(*arguments, given=None, **environment):
    """What a command says, to stdout and stderr."""
    done = subprocess.run(
        [*LAIKE, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=SECONDS,
        check=False, input=given, env=os.environ | environment,
    )  # fmt: skip
    return done.stdout + done.stderr


def commands(data):
    """What the commands say: of a running engine, of stores with a password that are away."""
    asked = (
        ("doctor", "--json"), ("quarantine", "list", "--limit", "500"),
        ("tokens", "list"), ("audit", "verify"),
        ("query", "SELECT * FROM nothing"), ("query", "SELECT toInt32(detail) FROM quarantine"),
    )  # fmt: skip
    told = [(*arguments, "--data", data) for arguments in asked]
    away = {
        "LAIKE_REDIS": f"redis://:{STORE_PASSWORD}@127.0.0.1:1",
        "LAIKE_LOG": f"redis://:{STORE_PASSWORD}@127.0.0.1:1",
        "LAIKE_CLICKHOUSE": f"http://laike:{STORE_PASSWORD}@127.0.0.1:1",
    }
    wrong = {name: value.replace("://", ":/") for name, value in away.items()}
    with ThreadPoolExecutor(3) as pool:
        said = [pool.submit(command, *arguments) for arguments in told]
        here = {"LAIKE_DATA": str(data)}
        said.append(pool.submit(command, "doctor", "--reach", "--data", data, **away))
        said.append(pool.submit(command, "migrate", **here, **away))
        said.append(pool.submit(command, "worker", **here, **wrong))
        return [one.result() for one in said]


def shown(text, needles):
    """Which of them stand in a text, and where."""
    return {
        name: text[max(0, text.index(needle) - 80) : text.index(needle) + 20]
        for name, needle in needles.items()
        if needle in text
    }


def test_the_search_finds_what_it_looks_for():
    assert set(shown(f"x {MAIL} y", {"mail": MAIL, "phone": PHONE})) == {"mail"}


@pytest.mark.slow
def test_no_secret_key_or_contact_is_told(tmp_path, receiver):
    data = tmp_path / "shop"
    data.mkdir()
    plan = {"targets": {"crm": {"url": receiver, "private": True}}, "via": {"*": "crm"}}
    (data / "channels.json").write_text(json.dumps(plan))
    said = {}
    with started("up", "--no-simulate", "--data", data) as up:
        wait_for(lambda: api_of(data))
        said["users add"] = command(
            "users", "add", "anna", "--role", "admin", "--password-stdin", "--data", data,
            given=PASSWORD + "\n",
        )  # fmt: skip
        made = laike("tokens", "create", "ci", "--user", "anna", "--role", "admin", "--data", data)
        token = made.stdout.split()[-1]  # shown this once, to whom it is made for
        keys = dict(line.split() for line in (data / "write-keys.txt").read_text().splitlines())
        with httpx.Client(base_url=api_of(data), timeout=30) as http:
            for number in range(12):
                answer = http.post(
                    "/v1/batch", json={"batch": good(number)}, auth=(keys["server"], "")
                )
                assert answer.status_code == 200
            asyncio.run(poison(running(data).redis))
            answers = list(calls(http, keys, token))
            wait_for(lambda: Receiver.number >= 8)
            wait_for(lambda: "laike_events_quarantined_total" in http.get("/metrics").text)
            answers += [http.get(path) for path in ("/metrics", "/readyz")]
        Receiver.kind = True
        wait_for(lambda: len(Receiver.bodies) >= 6)
        for number, answer in enumerate(answers):
            request = f"{answer.request.method} {answer.request.url} {number}"
            said[request] = f"{answer.status_code} {answer.headers} {answer.text}"
        for number, told in enumerate(commands(data)):
            said[f"command {number}"] = told
        with redis.Redis.from_url(running(data).redis) as store:
            for pattern in ("laike:sink:*", "laike:worker:*"):
                for key in store.scan_iter(pattern):
                    hashed = store.type(key) == b"hash"
                    found = store.hgetall(key) if hashed else store.get(key)
                    said[key.decode()] = str(found)
        up.send_signal(signal.SIGTERM)
        said["laike up"] = up.communicate(timeout=SECONDS)[0]
    for file in sorted((data / "logs").iterdir()):
        said[file.name] = file.read_text(errors="replace")
    coupons = set(re.findall(r'"code":"([^"]+)"', b"".join(Receiver.bodies).decode()))
    needles = {
        "mail": MAIL, "phone": PHONE, "name": NAME, "mail as id": OTHER_MAIL, "password": PASSWORD,
        "a store's password": STORE_PASSWORD, "the url's token": TOKEN_IN_URL,
        "a wrong key": WRONG_KEY, "the token": token, "the ip": "203.0.113.77",
        **{f"the key of {name}": key for name, key in keys.items()},
        "the key in base64": base64.b64encode(f"{keys['server']}:".encode()).decode()[:40],
        "the secret": (data / "secret").read_text().strip(),
        "the webhook's secret": (data / "webhook-crm.secret").read_text().strip(),
        **{f"coupon {code}": code for code in coupons},
    }  # fmt: skip
    assert len(coupons) >= 6
    assert all(len(needle) > 9 for needle in needles.values())
    assert {"api.log", "worker.log", "redis.log", "clickhouse.log"} <= set(said)
    assert "poison" in said["worker.log"]
    assert "letter of unknown kind '***'" in said["worker.log"]
    assert "channel-crm" in said["api.log"]
    assert sum(text.startswith(("4", "5")) for text in said.values()) > 80
    leaks = {where: found for where, text in said.items() if (found := shown(text, needles))}
    assert not leaks
