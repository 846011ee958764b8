"""`laike learn evaluate-policy`: over a rule's own decisions in ClickHouse, and over a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from api.cli import app
from engine.records import is_event
from features.events import decode
from features.models.bandit import MODEL
from rules.load import book_from_sources
from rules.model import Bandit
from simulator.off_policy import evaluate
from simulator.off_policy_logs import from_tables
from simulator.policies import BadPolicy, policy_of
from sinks.archive import event_row
from sinks.clickhouse import insert, migrate
from sinks.rows import Committed, rows_of
from tests.memory_engine import DAY, HOUR, MemoryEngine
from tests.rule_texts import WHICH

SOURCES = {"campaigns/which.yaml": WHICH}


def story() -> MemoryEngine:
    """Half of those who were told pay; nobody else does, but for one, too late."""
    engine = MemoryEngine(SOURCES, shards=2)

    async def live() -> None:
        for n in range(40):
            engine.send(
                n, "Product Added", anonymousId=f"{n}", cart_id=f"c{n}", product_id="p", price=9
            )
        await engine.run()
        rows = engine.decisions()
        for number, row in enumerate(rows):
            who = row["cid"].removeprefix("a:")
            if row["split"] == "told" and number % 2:
                engine.send(
                    HOUR + number, "identify", type="identify", userId=f"u{who}", anonymousId=who
                )
                engine.send(
                    2 * HOUR + number, "Order Paid", userId=f"u{who}", order_id=f"o{who}", total=80
                )
        await engine.run()
        late = next(row["cid"] for row in rows if row["split"] == "nothing").removeprefix("a:")
        engine.send(3 * DAY, "Order Paid", anonymousId=late, order_id="late", total=80)
        engine.tick(4 * DAY)
        await engine.run()

    asyncio.run(live())
    return engine


def stored(engine: MemoryEngine, client: Client) -> None:
    """All of it in the tables, as relay and archiver put it there."""
    migrate(client)
    for shard, log in enumerate(engine.logs):
        events = [event_row(shard, one, decode(one.value)) for one in log if is_event(one.key)]
        insert(client, "events", events)
    facts: dict[str, list[dict[str, Any]]] = {}
    for one in engine.entries():
        for table, rows in one.get("facts", {}).items():
            facts.setdefault(table, []).extend(rows)
    kept = {"identities": facts["identities"]}
    entry = Committed(0, 0, 0, decisions=engine.gathered("decisions"), facts=kept)
    for table, rows in rows_of(0, entry).items():
        insert(client, table, rows)


def test_the_tables_tell_what_the_learner_heard(clickhouse: Client) -> None:
    engine = story()
    stored(engine, clickhouse)
    rule = book_from_sources(SOURCES).rules["which"]
    bandit = rule.steps[0]
    assert isinstance(bandit, Bandit)
    found = from_tables(clickhouse, rule, bandit)
    heard = sorted(
        (one["arm"], one["propensity"], one["reward"])
        for one in engine.gathered("examples")
        if one["model"] == MODEL and "reward" in one
    )
    read = sorted(
        (found.log.arms[arm], round(chance, 6), reward)
        for arm, chance, reward in zip(
            found.log.drawn, found.log.propensity, found.log.reward, strict=True
        )
    )
    assert read == heard
    assert len(found.log) == 40
    assert found.columns["orders.count"] == [0.0] * 40
    told = evaluate(found.log, policy_of("always:told", found)).snips
    nothing = evaluate(found.log, policy_of("always:nothing", found)).snips
    assert told.low > nothing.value == 0.0
    assert np.isfinite(found.log.contexts).all()


def test_the_command_over_a_rule(
    clickhouse: Client,
    clickhouse_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored(story(), clickhouse)
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns/which.yaml").write_text(WHICH)
    monkeypatch.setenv("LAIKE_CLICKHOUSE", clickhouse_database)
    monkeypatch.setenv("LAIKE_REDIS", "redis://127.0.0.1:1")  # no model can be asked for
    asked = ["learn", "evaluate-policy", "which", "--rules", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["decisions"] == 40
    wanted = {"as logged", "always:told", "always:nothing", "random", "learned"}
    assert found["policies"].keys() == wanted
    assert found["policies"]["always:told"]["ips"][0] > 0
    with pytest.raises(BadPolicy, match="did you mean `which`"):
        CliRunner().invoke(
            app, ["learn", "evaluate-policy", "wich", *asked[3:]], catch_exceptions=False
        )


def test_the_command_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{'ab'[n % 2]},0.5,{(n % 4) // 3}" for n in range(400)]
    path.write_text("\n".join(["arm,propensity,reward", *rows]))
    asked = ["learn", "evaluate-policy", "--file", str(path), "--json", "--bernstein"]
    done = CliRunner().invoke(app, [*asked, "--policy", "always:a", "--policy", "always:b"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["decisions"] == 400
    assert found["policies"]["always:b"]["ips"][0] == pytest.approx(0.5)
    assert found["policies"]["always:a"]["ips"][0] == 0.0
    assert len(found["policies"]["always:b"]["ips_bernstein"]) == 3
    assert found["policies"]["as logged"]["ips"][0] == pytest.approx(0.25)


def test_it_asks_for_one_log() -> None:
    done = CliRunner().invoke(app, ["learn", "evaluate-policy"])
    assert done.exit_code == 2
