"""`laike replay`: a file of record through a whole engine, started for it if none runs there.

Must live here: the engine around a replay, and what the run says at its end. Must not: the replay
itself (simulator.replay). The folder lives in record time; a file sent again changes nothing.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console

from api.cli_settings import settings_of
from api.up_counts import Gauge
from api.up_folder import FolderError
from api.up_lock import running
from api.up_stack import Plan, Stack
from engine.logs import open_log
from engine.settings import Settings
from engine.status import letters_in_flight
from simulator.progress import bar
from simulator.replay import File, ReplayResult
from simulator.replay import replay as send
from sinks.clickhouse import connect

TICK_S = 0.2
SETTLE_S = 600
ORDERS = """SELECT uniqExactIf(order_id, fact = 'paid'), uniqExactIf(message_id, fact = 'refunded')
  FROM order_facts FINAL"""


def replay(
    file: Path,
    data: Path,
    rules: Path,
    console: Console,
    *,
    until: str | None,
    mapping: str | None,
    pace: float | None,
) -> dict[str, Any]:
    """Replay `file` into the engine on `data`, drain, and say what came of it."""
    history = File(file, mapping)  # a file that cannot be read is told before anything starts
    moment = None if until is None else history.moment(until)

    def go(settings: Settings, tend: Callable[[], bool]) -> dict[str, Any]:
        if settings.clock != "record":
            told = "lives in wall time, and a replay needs record time"
            raise FolderError(f"{data} {told}: choose another folder with --data")
        began = time.monotonic()
        result = asyncio.run(_send(history, settings, moment, pace, console, tend))
        drained = _settle(settings, tend)
        seconds = time.monotonic() - began
        summary = _summary(result, settings, seconds, drained=drained)
        console.print(_told(summary), markup=False, highlight=False, soft_wrap=True)
        return summary

    if holder := running(data):
        return go(settings_of(data, holder), lambda: True)
    plan = Plan(data=data, rules=rules, command="laike replay", clock="record", private=True)
    with Stack(plan, lambda told: console.print(told, style="dim", markup=False)) as stack:
        stack.start()
        if stack.leaving:
            raise KeyboardInterrupt

        def tend() -> bool:
            stack.tend()
            return not stack.leaving

        summary = go(stack.settings, tend)
        stack.stop()
        return summary


async def _send(
    history: File,
    settings: Settings,
    until: int | None,
    pace: float | None,
    console: Console,
    tend: Callable[[], bool],
) -> ReplayResult:
    redis = Redis.from_url(settings.redis)
    log = open_log(settings.log, redis=redis, shards=settings.shards, record=True)
    stop = asyncio.Event()
    try:
        with bar(history.path.name, console) as progress:
            sending = asyncio.ensure_future(
                send(
                    history,
                    log=log,
                    redis=redis,
                    letters=lambda: letters_in_flight(redis, settings.shards),
                    until=until,
                    pace=pace,
                    progress=progress,
                    stop=stop,
                )
            )
            while not sending.done():
                if not tend():
                    stop.set()
                await asyncio.wait([sending], timeout=TICK_S)
            return sending.result()
    finally:
        await log.close()
        await redis.aclose()


def _settle(settings: Settings, tend: Callable[[], bool]) -> bool:
    """Wait until every record is decided and every effect is a row; False if it was cut short."""
    gauge = Gauge(settings)
    deadline = time.monotonic() + SETTLE_S
    try:
        while tend() and time.monotonic() < deadline:
            with suppress(RedisError, OSError):
                if gauge.settled():
                    return True
            time.sleep(TICK_S)
        return False
    finally:
        gauge.close()


def _summary(
    result: ReplayResult, settings: Settings, seconds: float, *, drained: bool
) -> dict[str, Any]:
    gauge = Gauge(settings)
    numbers = gauge.counts(whole=True).summary(seconds)
    gauge.close()
    client = connect(settings.clickhouse)
    orders, refunds = client.query(ORDERS).result_rows[0]
    rows = int(str(client.command("SELECT count() FROM events FINAL")))
    client.close()
    return {
        **numbers,
        "accepted": numbers["events_in"],  # in the folder's whole life, resent ones too
        "events_in": result.events_in,
        "events_per_second": round(result.events_in / max(seconds, 0.001), 1),
        "events_in_clickhouse": rows,
        "orders": orders,
        "refunds": refunds,
        "file": result.file,
        "mapping": result.mapping,
        "rows": result.rows,
        "left_out": result.left_out,
        "rejected": result.rejected,
        "resent": result.resent,
        "stopped": result.stopped,
        "drained": drained,
    }


def _told(summary: dict[str, Any]) -> str:
    """The summary, for people."""
    acted = summary["acted_by_rule"].items()
    rules = [f"  {rule}: {count:,} acted" for rule, count in acted]
    return "\n".join(
        [
            (
                f"{summary['events_in']:,} events sent, {summary['resent']:,} of them again; "
                f"{summary['events_in_clickhouse']:,} in ClickHouse"
            ),
            (
                f"{summary['orders']:,} orders, {summary['refunds']:,} refunds, "
                f"{summary['quarantined']:,} quarantined, {summary['lost']:,} lost"
            ),
            (
                f"{sum(summary['decisions_by_rule'].values()):,} decisions, "
                f"{summary['outcomes_written']:,} outcomes"
            ),
            *rules,
            f"{summary['seconds']:,.1f} s, {summary['events_per_second']:,.0f} events a second",
        ]
    )
