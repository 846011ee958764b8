"""Alive and ready, for those who start, stop and send traffic to this process.

Must live here: the two answers and how checks are asked. Must not: what a check looks at.

    /healthz  200 alive · 503 a check of life failed (restart me)
    /readyz   200 ready · 200 degraded: something the door can do without is away · 503 not ready
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError

from engine.telling import blanked

Check = Callable[[], Awaitable[None]]  # returns when all is well, else raises and says why
CHECK_SECONDS_MAX = 2.0
READY, DEGRADED, NOT_READY = "ready", "degraded", "not ready"


@dataclass(frozen=True)
class Checks:
    """What is asked: `alive` for life; `needed` and `useful` for readiness."""

    alive: Mapping[str, Check] = field(default_factory=dict)
    needed: Mapping[str, Check] = field(default_factory=dict)  # away: not ready
    useful: Mapping[str, Check] = field(default_factory=dict)  # away: degraded
    workers: Callable[[], Awaitable[dict[str, Any]]] | None = None  # their heartbeats, shown


def router(checks: Checks) -> APIRouter:
    """The two calls."""
    routes = APIRouter(tags=["health"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", responses={503: {"description": "Stuck: start it again."}})
    async def healthz() -> JSONResponse:
        """Whether the process is alive: an answer, and no check of life failed."""
        told = await _ask(checks.alive)
        well = _well(told)
        body: dict[str, Any] = {"status": "ok" if well else "stuck", "checks": told}
        if checks.workers:
            body["workers"] = await _shown(checks.workers)
        return JSONResponse(body, _status(well))

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", responses={503: {"description": "Not ready: send no traffic."}})
    async def readyz() -> JSONResponse:
        """Whether traffic may be sent here; `degraded` means yes, but something is away."""
        status, told = await readiness(checks)
        return JSONResponse({"status": status, "checks": told}, _status(status != NOT_READY))

    return routes


async def readiness(checks: Checks) -> tuple[str, dict[str, str]]:
    """`ready`, `degraded` or `not ready`, and what each check said."""
    needed, useful = await asyncio.gather(_ask(checks.needed), _ask(checks.useful))
    if not _well(needed):
        return NOT_READY, needed | useful
    return READY if _well(useful) else DEGRADED, needed | useful


async def _ask(checks: Mapping[str, Check]) -> dict[str, str]:
    answers = await asyncio.gather(*(_answer(check) for check in checks.values()))
    return dict(zip(checks, answers, strict=True))


async def _answer(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS_MAX:g} s"
    except Exception as away:  # noqa: BLE001 - whatever a check raises is its answer
        return blanked(f"{type(away).__name__}: {away}")
    return "ok"


async def _shown(workers: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any] | None:
    """Their heartbeats; None while they cannot be read, which /readyz tells more of."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await workers()
    except (RedisError, OSError):
        return None


def _well(told: Mapping[str, str]) -> bool:
    return all(answer == "ok" for answer in told.values())


def _status(well: bool) -> int:
    return 200 if well else 503
