"""laike learn models, pin, unpin, report: on a real Redis, and on a made-up report."""

import asyncio
import json
import random

import orjson
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from api.cli import app
from api.cli_settings import engine_settings
from engine.audit import read
from engine.learner import LearnerTask
from engine.settings import make_secret
from engine.snapshots import WANTED, Snapshots
from engine.stores.redis import keys
from features.models.purchase import INPUTS, MODEL
from simulator import learning
from simulator.learning_section import Chart, Curve, Section, data_file


@pytest.fixture
def laike(redis_empty, tmp_path, monkeypatch):
    """Run a command on this folder; what it printed, and how it ended."""
    make_secret(tmp_path / "secret")
    named = {"REDIS": redis_empty.url, "LOG": redis_empty.url, "DATA": tmp_path, "SHARDS": 1}
    for name, value in named.items():
        monkeypatch.setenv(f"LAIKE_{name}", str(value))

    def run(*words):
        found = CliRunner().invoke(app, ["learn", *words])
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout

    run.url = redis_empty.url
    with redis_empty.client() as run.store:
        yield run


async def nowhere(_rows):
    """Nobody looks at the figures."""


async def taught(laike, halves):
    """Learn so many examples and publish, as often."""
    chance = random.Random(3)
    async with Redis.from_url(laike.url) as redis:
        learner = LearnerTask(redis, 1, engine_settings(None).secret, nowhere)
        await learner.restore()
        for _ in range(halves):
            examples = [
                {
                    "model": MODEL,
                    "features": [chance.random() for _ in INPUTS],
                    "label": n % 2,
                    "at": n,
                }
                for n in range(50)
            ]
            body = orjson.dumps({"log_time": 1_767_571_200_000, "examples": examples})
            await redis.xadd(keys(0)["outbox"], {"b": body})
            await learner.step()
            await learner.publish()


async def scorer_in_force(laike):
    async with Redis.from_url(laike.url) as redis:
        store = Snapshots(redis, 1, engine_settings(None).secret)
        return (await store.open((await redis.get(WANTED)).decode()))["scorers"][MODEL]


def test_snapshots_are_listed_pinned_and_let_go(laike):
    assert laike("models")[1].strip() == "no model has learned yet"
    asyncio.run(taught(laike, 3))
    found = json.loads(laike("models", MODEL, "--json")[1])
    rows = found["models"]
    assert [row["examples"] for row in rows] == [150, 100, 50]
    assert [row["decides"] for row in rows] == [True, False, False]
    assert all(row["bytes"] > 100 for row in rows)
    assert [row["state_bytes"] > row["bytes"] for row in rows] == [True, True, False]
    assert {"log_loss", "auc"} <= rows[0]["figures"].keys()
    old = rows[2]
    assert laike("pin", MODEL, old["snapshot"][:8])[0] == 0
    asyncio.run(taught(laike, 1))
    assert asyncio.run(scorer_in_force(laike)) == old["snapshot"]
    rows = json.loads(laike("models", "--json")[1])["models"]
    rows = [row for row in rows if row["model"] == MODEL]
    assert [(row["examples"], row["decides"], row["pinned"]) for row in rows] == [
        *((150, False, False), (100, False, False), (50, True, True)),
    ]
    code, told = laike("models")
    assert code == 0
    assert old["snapshot"][:8] in told
    assert "decides, pinned" in told
    assert laike("unpin", MODEL)[0] == 0
    asyncio.run(taught(laike, 1))
    assert asyncio.run(scorer_in_force(laike)) != old["snapshot"]
    assert [json.loads(one.entry)["what"] for one in read(laike.store)[0]] == [
        "model pinned",
        "model unpinned",
    ]


def test_a_version_is_pinned_by_what_a_decision_says_of_it(laike):
    asyncio.run(taught(laike, 2))
    rows = json.loads(laike("models", MODEL, "--json")[1])["models"]
    code, told = laike("pin", MODEL, rows[1]["version"][:8], "--json")
    assert (code, json.loads(told)["pinned"]) == (0, rows[1]["snapshot"])


def test_what_cannot_be_pinned_is_said(laike):
    asyncio.run(taught(laike, 1))
    assert laike("pin", "no_model", "4f1c")[0] == 2
    assert laike("pin", MODEL, "zzzz")[0] == 2
    assert laike("pin", MODEL, "")[0] == 2
    assert laike("unpin", MODEL)[0] == 2
    assert laike("models", "purchase_24hours")[0] == 2
    (row,) = json.loads(laike("models", MODEL, "--json")[1])["models"]
    laike.store.delete(f"laike:model:{row['snapshot']}")
    assert laike("pin", MODEL, row["snapshot"])[0] == 2
    assert laike.store.hgetall("laike:model:pins") == {}


def baskets(path):
    file = data_file(path, "baskets.csv")
    if file is None:
        return None
    rows = [{"model": "ours", "hit_rate": 0.25}, {"model": "popularity", "hit_rate": 0.1}]
    chart = Chart("Hit rate", "baskets", "rate", [
        Curve("ours", [(1, 0.1), (2, 0.25)]), Curve("popularity", [(1, 0.1), (2, 0.1)]),
    ])  # fmt: skip
    return Section("Next basket", "one pass", rows, {"hit_rate": 0.25}, [chart])


def test_a_report_runs_what_has_its_data_there(laike, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "REPORTS", {"next_basket": baskets, "other": lambda _path: None})
    folder = tmp_path / "data" / "deep"
    folder.mkdir(parents=True)
    assert laike("report", "--file", str(folder), "--json") == (1, "")
    (folder / "baskets.csv").write_text("")
    out = tmp_path / "out"
    code, told = laike("report", "--file", str(tmp_path / "data"), "--out", str(out), "--json")
    assert (code, json.loads(told)) == (0, {"next_basket": {"hit_rate": 0.25}})
    page = (out / "learning.html").read_text()
    assert '<h2 id="next_basket">Next basket</h2>' in page
    assert "popularity" in page
    assert (out / "next_basket-1.png").read_bytes().startswith(b"\x89PNG")
    code, told = laike("report", "--file", str(folder / "baskets.csv"))
    assert code == 0
    assert "● ours  ○ popularity" in told
    assert laike("report", "--file", str(folder), "--only", "next_baskets")[0] == 2
    assert laike("report", "--file", str(tmp_path / "none"))[0] == 2
