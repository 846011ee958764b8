"""GET /metrics: the numbers of engine.metrics in Prometheus' text format.

Must live here: reading each number and writing the page. Must not: a name or a unit (engine.metrics
has the list); counting (the engine does). What cannot be read now is left out of the page.
"""

import asyncio
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.health import DEGRADED, NOT_READY, Checks, readiness
from engine import measures, status
from engine.bounds import outbox_bytes
from engine.duties import heartbeats
from engine.log import Log, LogAway
from engine.measures import TOP
from engine.metrics import BY_NAME, METRICS, PREFIX, Metric
from engine.settings import Settings

READ_SECONDS_MAX = 5.0
FATES = ("processed", "duplicate", "quarantined", "forwarded", "erased")
Numbers = dict[str, dict[str, float]]  # metric -> value of its label, or "" -> number


def router(settings: Settings, log: Log, redis: Redis, checks: Checks) -> APIRouter:
    """The one call."""
    routes = APIRouter(tags=["health"])

    @routes.head("/metrics", include_in_schema=False)
    @routes.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """All numbers of the engine, of its relay and of this door, for Prometheus."""
        numbers: Numbers = defaultdict(dict)
        _read_door(numbers, request.app.state.door.counts)
        numbers["disk_free_bytes"][""] = shutil.disk_usage(settings.data).free
        told, _ = await readiness(checks)
        numbers["ready"][""] = float(told != NOT_READY)
        numbers["degraded"][""] = float(told == DEGRADED)
        with suppress(RedisError, LogAway, OSError, TimeoutError):
            async with asyncio.timeout(READ_SECONDS_MAX):
                await _read_stores(numbers, settings, log, redis)
        return Response(page(numbers), media_type=CONTENT_TYPE_LATEST)

    return routes


def page(numbers: Mapping[str, Mapping[str, float]]) -> bytes:
    """The numbers that are there, in the list's order."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        _Collected([_family(m, numbers[m.name]) for m in METRICS if m.name in numbers])
    )
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        yield from self._families


def _family(metric: Metric, values: Mapping[str, float]) -> Family:
    name, doc = PREFIX + metric.name, f"{metric.unit} {metric.doc}"
    labels = [metric.label] if metric.label else []
    if metric.kind == "histogram":
        return _histogram(HistogramMetricFamily(name, doc), metric, values)
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
        name, doc, labels=labels
    )
    for label, number in sorted(values.items()):
        family.add_metric([label] if labels else [], number)
    return family


def _histogram(
    family: HistogramMetricFamily, metric: Metric, values: Mapping[str, float]
) -> Family:
    """Bounds as Prometheus has them: each counts all that lie below it too."""
    below, buckets = 0.0, []
    for bound in [*map(str, metric.buckets), TOP]:
        below += values.get(f"<={bound}", 0.0)
        buckets.append((bound, below))
    family.add_metric([], buckets, values.get("sum", 0.0))
    return family


def _read_door(numbers: Numbers, counts: Counter[str]) -> None:
    fates = ("accepted", "rejected")
    numbers["door_events_total"] = {fate: counts[fate] for fate in fates}
    refused = {code: number for code, number in counts.items() if code not in fates}
    numbers["door_refused_total"] = dict(refused)


async def _read_stores(numbers: Numbers, settings: Settings, log: Log, redis: Redis) -> None:
    _read_shards(numbers, await status.each(redis, settings.shards, log), settings)
    sizes = await outbox_bytes(redis, settings.shards)
    numbers["outbox_bytes"] = {str(shard): size for shard, size in enumerate(sizes)}
    numbers["outbox_bytes_max"][""] = settings.outbox_mb << 20
    for field, number in (await measures.read(redis)).items():
        name, _, label = field.partition("|")
        numbers[name][label] = number
    memory = await redis.info("memory")
    bound = int(memory["maxmemory"])
    numbers["redis_memory_ratio"][""] = int(memory["used_memory"]) / bound if bound else 0.0
    numbers["workers"][""] = len(await heartbeats(redis))
    await _read_relay(numbers, redis)
    await _read_model(numbers, redis)


def _read_shards(numbers: Numbers, standings: list[status.Standing], settings: Settings) -> None:
    now = time.time() * 1000
    counts: Counter[str] = Counter()
    for shard, standing in enumerate(standings):
        name = str(shard)
        counts.update(standing.counts)
        numbers["lag_events"][name] = standing.lag
        if settings.clock == "wall":
            behind = (now - standing.log_time) / 1000 if standing.lag and standing.log_time else 0
            numbers["lag_seconds"][name] = max(0.0, behind)
        numbers["timers_pending"][name] = standing.timers
        numbers["timers_late"][name] = standing.late
        numbers["peak"][name] = float(standing.peak)
    versions = Counter(standing.rules[:12] or "none" for standing in standings)
    numbers["rules_shards"] = dict(versions)
    accepted = sum(standing.accepted for standing in standings)
    numbers["events_received_total"][""] = accepted or counts["events"]
    for fate in FATES:
        numbers[f"events_{fate}_total"][""] = counts[fate]
    for what, number in counts.items():
        result, colon, rule = what.partition(":")
        if colon:
            numbers[f"decisions_{result}_total"][rule] = number
        elif what.startswith("error/"):
            numbers["rule_errors_total"][what.removeprefix("error/")] = number


async def _read_relay(numbers: Numbers, redis: Redis) -> None:
    names: Any = await redis.hkeys("laike:sinks")
    for name in map(bytes.decode, names):
        said: Any = await redis.hmget(f"laike:sink:{name}", ["written", "lag", "failing"])
        for metric, number in zip(("written_total", "lag_events", "failing"), said, strict=True):
            numbers[f"relay_{metric}"][name] = float(number or 0)


async def _read_model(numbers: Numbers, redis: Redis) -> None:
    told: Any = await redis.hgetall("laike:model:told")
    for name, value in told.items():
        model, slash, metric = name.decode().partition("/")
        if slash and f"model_{metric}" in BY_NAME:
            numbers[f"model_{metric}"][model] = float(value)
        elif model == "at":
            numbers["model_age_seconds"][""] = max(0.0, time.time() - int(value) / 1000)
