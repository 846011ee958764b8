"""The numbers of a run: what came in, what became of it, and that nothing was lost or doubled.

Must live here: where each number is read, and what they add up to. Must not: how they are shown.
events_in = events_processed + duplicates_dropped + quarantined + erased + lost, once drained.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine import status
from engine.settings import Settings
from sinks.clickhouse import connect
from sinks.outbox import EntryId, Reader, drained

ASK_S = 2.0  # a count over a table is not asked for more often
LATENCY = "laike:sink:clickhouse"  # a hash that the relay keeps: p50 and p99 in ms
OUTCOMES = "SELECT count() FROM outcomes FINAL"
MODELS = """SELECT model, metric, argMax(value, (at, examples)), argMax(examples, (at, examples))
  FROM model_metrics FINAL GROUP BY model, metric ORDER BY model, metric"""
DOUBLED = """SELECT count() FROM (SELECT decision_id FROM decisions GROUP BY decision_id HAVING
  uniqExact(rule, at, cid, run, instance, step, version, purpose, result, held, arm, split,
            propensity, model_version, values, actions) > 1)"""


@dataclass(frozen=True)
class Counts:
    """One look at an engine."""

    events_in: int = 0
    events_processed: int = 0
    duplicates_dropped: int = 0
    quarantined: int = 0
    erased: int = 0
    lag: int = 0
    log_time: int = 0  # ms; in record time, the world's clock
    decisions: dict[str, dict[str, int]] = field(default_factory=dict)  # rule -> act, hold
    outcomes_written: int = 0
    duplicates: int = 0
    latency_ms: dict[str, float | None] = field(default_factory=lambda: {"p50": None, "p99": None})
    models: dict[str, dict[str, float]] = field(default_factory=dict)  # progressive figures

    @property
    def lost(self) -> int:
        """Accepted and accounted for nowhere; what still waits in the log is not lost."""
        known = self.events_processed + self.duplicates_dropped + self.quarantined + self.erased
        left = self.events_in - known
        return max(0, left - self.lag) if self.lag else left

    def summary(self, seconds: float, before: int = 0) -> dict[str, Any]:
        """What `--json` prints of a run of so many seconds that found `before` events."""
        decisions = {rule: sum(counts.values()) for rule, counts in self.decisions.items()}
        acted = {rule: counts.get("act", 0) for rule, counts in self.decisions.items()}
        return {
            "events_in": self.events_in,
            "events_processed": self.events_processed,
            "decisions_by_rule": decisions,
            "acted_by_rule": acted,
            "outcomes_written": self.outcomes_written,
            "quarantined": self.quarantined,
            "erased": self.erased,
            "lost": self.lost,
            "lag": self.lag,
            "duplicates": self.duplicates,
            "duplicates_dropped": self.duplicates_dropped,
            "latency_ms": self.latency_ms,
            "models": self.models,
            "events_per_second": round((self.events_in - before) / max(seconds, 0.001), 1),
            "seconds": round(seconds, 3),
        }


class Gauge:
    """Reads the numbers of the engine with these settings; RedisError while that is away."""

    def __init__(self, settings: Settings) -> None:
        self._shards = settings.shards
        self._runner = asyncio.Runner()
        self._redis = Redis.from_url(settings.redis, socket_timeout=10)
        self._clickhouse = connect(settings.clickhouse)
        self._asked, self._outcomes = -ASK_S, 0
        self._models: dict[str, dict[str, float]] = {}
        self._quiet: Sequence[EntryId] | None = None

    def close(self) -> None:
        """Give the connections back."""
        with suppress(RedisError, OSError):
            self._runner.run(self._redis.aclose())
        self._runner.close()
        self._clickhouse.close()

    def settled(self) -> bool:
        """Whether all that came in is decided, and every effect of it is where it goes.

        From the first moment on in which nothing was left to decide, only what was committed by
        then is waited for: in wall time a tick a second adds to the outboxes for ever.
        """
        return self._runner.run(self._settled())

    async def _settled(self) -> bool:
        if self._quiet is None:
            if (await status.read(self._redis, self._shards)).lag:
                return False
            if await status.letters_in_flight(self._redis, self._shards):
                return False
            self._quiet = await Reader(self._redis, self._shards).ends()
        return await drained(self._redis, self._shards, self._quiet)

    def counts(self, *, whole: bool = False) -> Counts:
        """The numbers now; `whole` adds what takes ClickHouse a look at every decision."""
        now, latency = self._runner.run(self._ask())
        doubled = 0
        with suppress(ClickHouseError, OSError):  # the engine goes on without it; so do we
            if whole or time.monotonic() - self._asked > ASK_S:
                self._asked = time.monotonic()
                self._outcomes = int(str(self._clickhouse.command(OUTCOMES)))
                self._models = self._ask_models()
            doubled = int(str(self._clickhouse.command(DOUBLED))) if whole else 0
        return Counts(
            events_in=now.events_in,
            events_processed=now.events_processed,
            duplicates_dropped=now.duplicates_dropped,
            quarantined=now.quarantined,
            erased=now.erased,
            lag=now.lag,
            log_time=now.log_time,
            decisions=now.decisions_by_rule,
            outcomes_written=self._outcomes,
            duplicates=doubled,
            latency_ms=latency,
            models=self._models,
        )

    def _ask_models(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for model, metric, value, examples in self._clickhouse.query(MODELS).result_rows:
            found.setdefault(model, {"examples": examples})[metric] = value
        return found

    async def _ask(self) -> tuple[status.Status, dict[str, float | None]]:
        found = await self._redis.hmget(LATENCY, ["p50_ms", "p99_ms"])
        p50, p99 = (float(text) if text else None for text in found)
        return await status.read(self._redis, self._shards), {"p50": p50, "p99": p99}
