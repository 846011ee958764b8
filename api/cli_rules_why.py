"""`laike rules why RULE CUSTOMER`: what the rule decided for him, and what it would say now.

Must live here: reading the customer and the rules in force, printing. Must not: asking the rule
(engine/why.py), words of a row (cli_rules_explain). Nothing is written.
"""

import asyncio
import json
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
import redis
import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis

from api import rules_in_force
from api.asking import cid_of
from api.cli_settings import engine_settings
from engine.effects import Effects, Moment
from engine.effects import Settings as ShardSettings
from engine.ledger import Purse
from engine.settings import Settings
from engine.shards import partition
from engine.store import ShardState
from engine.stores.redis import keys as keys_of
from engine.switches import read as read_killed
from engine.turn import Turn
from engine.versions import MADE, NO_MODEL, Models
from engine.why import Why, clock, reason_in_words
from engine.why import why as ask
from rules.book import Book
from rules.errors import near, one_of
from simulator.backtest_history import moment_of
from sinks.clickhouse import connect
from sinks.held import Person, person

LAST: Final = 10
_ROWS: Final = """SELECT toUnixTimestamp64Milli(at) AS at, toString(decision_id) AS id,
  toString(result) AS result, held, step, instance, actions FROM decisions FINAL
  WHERE rule = {rule:String} AND cid IN {ids:Array(String)} ORDER BY at DESC, id LIMIT {n:UInt32}"""


def why(name: str, customer: str, at: str | None, data: Path, as_json: bool) -> int:
    """Say it; the exit code."""
    settings = engine_settings(data)
    with redis.Redis.from_url(settings.redis) as store:
        book = rules_in_force.kept(store, rules_in_force.wanted(store))
        if book is None or name not in book.rules:
            known = book.rules if book else ()
            hint = f"{near(name, known)}; there are: {one_of(known)}" if known else ""
            raise typer.BadParameter(f"no rule in force is called {name!r}{hint}")
        whom = asyncio.run(_person(settings, cid_of(customer)))
        turn = _turn(store, settings, book, whom)
    moment = _moment(turn, settings, at, book)
    found = ask(turn, book.rules[name], moment)
    past = _past(settings, name, whom.ids)
    if as_json:
        told = {"customer": whom.customer.cid, "at": moment, "acts": found.acts,
                "held": found.held, **asdict(found), "decisions": past}  # fmt: skip
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(turn, found, moment, past)) + "\n")
    return 0


async def _person(settings: Settings, cid: str) -> Person:
    async with Redis.from_url(settings.redis) as store:
        return await person(store, settings.shards, cid)


async def _models(settings: Settings, digest: str) -> Models:
    """The scorers in force; none where they cannot be had."""
    async with Redis.from_url(settings.redis) as store:

        async def fetch(name: str) -> bytes | None:
            found: Any = await store.get(f"laike:model:{name}")
            return bytes(found) if found else None

        try:
            return await MADE.of(digest, settings.secret, fetch) if digest else {}
        except NO_MODEL:
            return {}


def _turn(store: redis.Redis, settings: Settings, book: Book, whom: Person) -> Turn:
    """The customer's turn, as the shard that owns him would give it."""
    shard = partition(whom.customer.cid.encode(), settings.shards)
    text: Any = store.get(keys_of(shard)["shard"])
    state = msgspec.msgpack.decode(text, type=ShardState) if text else ShardState()
    own = ShardSettings(
        shard, settings.shards, settings.secret, record_clock=settings.clock == "record"
    )
    moment = Moment(
        own, book, state.log_time, 0, model=state.model, killed=read_killed(state.killed),
        purse=Purse(state.slices), models=asyncio.run(_models(settings, state.model)),
    )  # fmt: skip
    return Turn(whom.customer, moment, Effects())


def _moment(turn: Turn, settings: Settings, at: str | None, book: Book) -> int:
    """When it is asked: as said, else now, which in a record folder is its log's time."""
    if at is not None:
        return moment_of(at, book.shop.zone)
    wall = 0 if settings.clock == "record" else round(time.time() * 1_000)
    return max(turn.moment.log_time, wall)


def _past(settings: Settings, name: str, ids: list[str]) -> list[dict[str, Any]]:
    """What it decided for him, the newest first; without tables nothing."""
    try:
        with closing(connect(settings.clickhouse)) as client:
            given = {"rule": name, "ids": ids, "n": LAST}
            found = client.query(_ROWS, parameters=given)
            return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]
    except (ClickHouseError, OSError):
        return []


def _lines(turn: Turn, found: Why, at: int, past: list[dict[str, Any]]) -> list[str]:
    told = [f"{found.rule} and {turn.customer.cid}, as of {clock(turn, at)}"]
    if not turn.customer.names():
        told.append("  nothing is known of this id: no event of it was applied")
    told += [f"  {fact}" for fact in found.facts]
    told += [f"  {_mark(one.answer == 'yes')} {one}" for one in found.condition]
    if passed := [gate.name for gate in found.gates if not gate.reason]:
        told.append(f"  {_mark(True)} gates: {', '.join(passed)}")
    told += [f"  {_mark(False)} {gate.name}: {gate.words}" for gate in found.gates if gate.reason]
    told.append(_verdict(found))
    if past:
        told.append("what it decided for him, the newest first:")
    for row in past:
        what = reason_in_words(row["held"]) if row["held"] else _did(row["actions"])
        told.append(f"  {clock(turn, row['at'])}  {row['result']:4} {what}  ({row['id'][:10]})")
    return told


def _verdict(found: Why) -> str:
    if found.acts:
        return "Were its trigger to fire now, it would act."
    failed = [one for one in found.condition if one.answer != "yes"]
    shut = [gate for gate in found.gates if gate.reason]
    if len(failed) == 1 and not shut and failed[0].nearest:
        (one,) = failed
        read = ", ".join(f"{name} is {value}" for name, value in one.values)
        return f"It would not act: {read}; {one.nearest} it would."
    return f"It would not act: {found.held}."


def _did(actions: str) -> str:
    return ", ".join(
        f"{one['kind']} {one.get('offer') or one.get('template') or one.get('name', '')}"
        for one in json.loads(actions)
    )


def _mark(good: bool) -> str:
    return "✓" if good else "✗"
