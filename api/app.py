"""The web application: what of it answers what, made from parts given to it.

Must live here: composition and what holds for every call (CORS, errors, OpenAPI). Must not: a
connection to anything; server.py makes the parts, a test gives its own.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import bootstrap, health, ingest_docs
from api.access import calls
from api.access.accounts import Accounts
from api.access.front import Front
from api.clocks import wall
from api.errors import answer_errors
from api.ingest import PATHS, Door
from api.sealing import Sealing
from api.sources import Sources
from engine.log import Log

PREFLIGHT_SECONDS = 7200  # the longest a Chromium keeps a preflight's answer


@dataclass(frozen=True, kw_only=True)
class Deps:
    """The parts of the application."""

    log: Log
    sources: Sources
    clock: Callable[[], int] = wall
    refresh: Callable[[], Awaitable[None]] | None = None  # the clock, before each call
    accounts: Accounts | None = None  # who may make the calls that are not the senders'
    sealing: Sealing | None = None  # of contacts, at the door
    checks: health.Checks = field(default_factory=health.Checks)
    origins: tuple[str, ...] = ("*",)  # pages that may send: `*` or a list of https://host
    routers: Sequence[APIRouter] = ()  # the faces beside ingest
    lifespan: Sequence[Callable[[], AbstractAsyncContextManager[Any]]] = ()  # held while it serves


def create_app(deps: Deps) -> FastAPI:
    """The application, ready to be served."""
    door = Door(deps.log, deps.sources, deps.clock, deps.refresh, deps.sealing)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            for part in deps.lifespan:
                await held.enter_async_context(part())
            held.push_async_callback(door.close)
            yield

    app = FastAPI(
        title="Laike",
        summary="A real-time marketing engine.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages run scripts of another host
        redoc_url=None,
    )
    app.state.door = door
    app.router.routes[:0] = door.routes()
    routers = [bootstrap.router(deps.sources), health.router(deps.checks), *deps.routers]
    if deps.accounts:
        app.state.accounts = deps.accounts
        routers.append(calls.router(calls.Tries(deps.accounts.store)))
    for router in routers:
        app.include_router(router)
    answer_errors(app)
    _add_cors(app, deps.origins)
    key = deps.accounts.cookie_key if deps.accounts else secrets.token_hex()
    app.add_middleware(Front, key=key, passed=frozenset(PATHS))
    ingest_docs.describe(app)
    return app


def _add_cors(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Pages of `origins` may call; a session's cookie counts for our own pages alone (guard)."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[] if "*" in origins else origins,
        allow_origin_regex=".*" if "*" in origins else None,  # told back by name: credentials
        allow_methods=["GET", "POST", "OPTIONS"],
        allow_headers=["*"],
        allow_credentials=True,
        allow_private_network=True,
        expose_headers=["Retry-After"],
        max_age=PREFLIGHT_SECONDS,
    )
