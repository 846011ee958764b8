"""`laike learn evaluate-policy`: what other policies would have brought, from what was logged.

Must live here: which log and which policies are meant, what is printed. Must not: estimating.
"""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from api.cli_settings import clickhouse_of, engine_settings
from api.up_folder import FolderError
from engine.settings import SettingsError
from engine.snapshots import Snapshots
from engine.versions import NO_MODEL
from features.models.bandit import MODEL, Scorer
from rules.errors import near, one_of
from rules.load import load_book
from rules.model import Bandit, Rule
from simulator.off_policy import Log, Value, bernstein, evaluate, evaluate_by
from simulator.off_policy_logs import Columns, from_csv, from_tables
from simulator.policies import ALWAYS, BadPolicy, Logged, policy_of
from sinks.clickhouse import connect
from sinks.query import engine_for

LOGGED: Final = "as logged"
EFFECTIVE_MIN: Final = 100  # decisions: fewer, and an interval is not normal
UNTRIED: Final = 0.05  # of its decisions the log never makes


def from_file(
    path: Path, columns: Columns, policies: list[str], *, sure: bool, as_json: bool
) -> int:
    """Evaluate over a CSV file; the exit code."""
    return _tell(from_csv(path, columns), policies, path.name, sure=sure, as_json=as_json)


def from_engine(
    name: str, folder: Path, data: Path, step: str, policies: list[str], *,
    sure: bool, as_json: bool,
) -> int:  # fmt: skip
    """Evaluate over what a rule's bandit decided; the exit code."""
    book = load_book(folder)
    rule = book.rules.get(name)
    if rule is None:
        hint = near(name, book.rules) or f": there are {one_of(book.rules)}"
        raise BadPolicy(f"no rule is called `{name}`{hint}")
    bandit = _bandit(rule, step)
    with engine_for(clickhouse_of(data), data) as address:
        client = connect(address)
        try:
            logged = from_tables(client, rule, bandit)
        finally:
            client.close()
    logged = replace(logged, scorer=_in_force(data))
    what = f"{name}, step {bandit.step}"
    return _tell(logged, policies, what, sure=sure, as_json=as_json)


def _bandit(rule: Rule, step: str) -> Bandit:
    found = {one.step: one for one in rule.steps if isinstance(one, Bandit)}
    if not found:
        raise BadPolicy(f"rule `{rule.name}` has no bandit")
    if step and step not in found:
        raise BadPolicy(f"rule `{rule.name}` has no bandit at {step}: there are {one_of(found)}")
    if not step and len(found) > 1:
        raise BadPolicy(f"rule `{rule.name}` has several bandits: --step {one_of(found)}")
    return found[step] if step else next(iter(found.values()))


def _in_force(data: Path) -> Scorer | None:
    """The bandit's scorer of the wanted version; None when no engine runs or it has none."""
    try:
        settings = engine_settings(data)
    except (FolderError, SettingsError):
        return None

    async def read() -> Scorer | None:
        async with Redis.from_url(settings.redis) as redis:
            store = Snapshots(redis, settings.shards, settings.secret)
            for version in (await store.history())[:1]:
                digest = version.manifest.get("scorers", {}).get(MODEL)
                return Scorer((await store.open(digest))["weights"]) if digest else None
        return None

    try:
        return asyncio.run(read())
    except (*NO_MODEL, RedisError, OSError):
        return None


def _tell(logged: Logged, policies: list[str], what: str, *, sure: bool, as_json: bool) -> int:
    log, console = logged.log, Console(stderr=as_json)
    if len(log) < 2:
        raise BadPolicy(f"{what}: {len(log)} decisions whose time for a reward is over: too few")
    usual = [*(f"{ALWAYS}{arm}" for arm in log.arms), "random", "learned"]
    usual += ["greedy"] if logged.scorer else []
    found: dict[str, Value] = {LOGGED: evaluate_by(log, np.ones(len(log)))}
    bounds: dict[str, Any] = {}
    for text in dict.fromkeys(policies or usual):
        odds = policy_of(text, logged)
        found[text] = evaluate(log, odds)
        if sure:
            bounds[text] = list(bernstein(log, odds))
    console.print(_table(found, log, what))
    for text, value in found.items():
        weight = value.weight
        untried = abs(weight.value - 1) > UNTRIED and not weight.low <= 1 <= weight.high
        if value.effective < EFFECTIVE_MIN or untried:
            console.print(
                f"{text}: the log tries too little of it (it is worth {value.effective:.0f} "
                f"decisions, mean weight {value.weight.value:.2f}): its intervals are not to be "
                "trusted",
                markup=False,
            )
    if as_json:
        told = {text: _plain(value) for text, value in found.items()}
        for text, interval in bounds.items():
            told[text]["ips_bernstein"] = interval
        sys.stdout.write(json.dumps({"decisions": len(log), "policies": told}) + "\n")
    elif sure:
        for text, (_, low, high) in bounds.items():
            console.print(f"{text}: IPS by Bernstein {low:.5g} to {high:.5g}", markup=False)
    return 0


def _table(found: dict[str, Value], log: Log, what: str) -> Table:
    title = f"{what}: {len(log):,} decisions; a reward a decision, 95% intervals"
    table = Table(title=title, header_style="bold")
    for name in ("policy", "IPS", "SNIPS", "DR", "worth decisions"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for text, value in found.items():
        numbers = [
            f"{one.value:.4g} ± {(one.high - one.low) / 2:.2g}"
            for one in (value.ips, value.snips, value.dr)
        ]
        table.add_row(text, *numbers, f"{value.effective:,.0f}")
    return table


def _plain(value: Value) -> dict[str, Any]:
    return {
        "ips": list(value.ips), "snips": list(value.snips), "dr": list(value.dr),
        "matched": value.matched, "effective": value.effective, "weight": list(value.weight),
    }  # fmt: skip


def columns(arm: str, propensity: str, reward: str, who: str, context: str) -> Columns:
    """The columns that the options name."""
    names = tuple(name.strip() for name in context.split(",") if name.strip())
    if len(set(names)) < len(names):
        raise typer.BadParameter("a column is named twice", param_hint="--context")
    return Columns(arm, propensity, reward, who, names)
