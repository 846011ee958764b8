"""Logging in and out, who one is, and the audit log: calls under /v1.

Must live here: these calls and how often one may try a password. Must not: how accounts are kept.
Every wrong login has one answer and takes as long, whether there is such a user or not.
"""

from typing import Annotated, Any, Final

import orjson
import redis
from fastapi import APIRouter, Query, Request
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import BaseModel, Field

from api.access.accounts import Caller
from api.access.guard import DENIED, SESSION_ID, accounts_of, requires, same_page
from api.access.passwords import LENGTH_MAX
from api.access.roles import Role
from api.errors import EVERYWHERE, told
from api.refusals import Refused
from engine.audit import STREAM, AuditBroken

# Tries of a password, right or wrong: one address at one name, one address, one name from anywhere.
TRIES: Final[tuple[tuple[RateLimitItem, str], ...]] = (
    (RateLimitItemPerMinute(5), "{address} {name}"),
    (RateLimitItemPerMinute(30), "{address}"),
    (RateLimitItemPerHour(100), "{name}"),
)
PAGE_MAX: Final = 1_000


class Login(BaseModel):
    """Who wants to come in."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=LENGTH_MAX, json_schema_extra={"format": "password"})


class Me(BaseModel):
    """Who calls, as what."""

    name: str
    role: Role


class Entry(BaseModel):
    """One entry of the audit log."""

    seq: int
    at: int = Field(description="ms UTC")
    who: str
    what: str
    details: dict[str, Any]
    before: str
    seal: str


class Entries(BaseModel):
    """A page of the audit log, the oldest first."""

    entries: list[Entry]


class Tries:
    """How often a password may be tried, counted in Redis for all API processes together."""

    def __init__(self, store: redis.Redis) -> None:
        storage = RedisStorage(
            "redis://", connection_pool=store.connection_pool, key_prefix="laike:access:tries"
        )
        self._limiter = FixedWindowRateLimiter(storage)

    def spend(self, address: str, name: str) -> None:
        """Count one; Refused when there were too many."""
        for limit, form in TRIES:
            who = form.format(address=address, name=name)
            if not self._limiter.hit(limit, who):
                wait = limit.get_expiry()
                raise Refused(429, "too_many_tries", "come back later", retry_after=wait)


def router(tries: Tries) -> APIRouter:
    """The calls."""
    routes = APIRouter(tags=["access"], responses=EVERYWHERE)
    wrong = told({401: "Name or password is wrong.", 403: "A page of another host calls."})

    @routes.post("/v1/login", responses=wrong | told({429: "Too many tries."}))
    def login(request: Request, given: Login) -> Me:
        """Begin a session; its cookie is in the answer."""
        same_page(request)
        tries.spend(request.client.host if request.client else "", given.name)
        found = accounts_of(request).log_in(given.name, given.password)
        if found is None:
            raise Refused(401, "wrong_login", "name or password is wrong")
        mark, caller = found
        request.session[SESSION_ID] = mark
        return Me(name=caller.name, role=caller.role)

    @routes.post(
        "/v1/logout", status_code=204, responses=told({403: "A page of another host calls."})
    )
    def logout(request: Request) -> None:
        """End the session, if there is one."""
        mark = request.session.get(SESSION_ID)
        if isinstance(mark, str):
            same_page(request)
            accounts_of(request).log_out(mark)
            request.session.clear()

    @routes.get("/v1/me", responses=DENIED)
    def me(caller: Annotated[Caller, requires(Role.viewer)]) -> Me:
        """Who one is here."""
        return Me(name=caller.name, role=caller.role)

    @routes.get("/v1/audit", responses=DENIED)
    def audit(
        request: Request,
        _: Annotated[Caller, requires(Role.admin)],
        after: Annotated[int, Query(ge=0, le=2**62, description="A number seen already.")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> Entries:
        """Who changed what; `laike audit verify` tells whether it is whole."""
        page: Any = accounts_of(request).store.xrange(STREAM, min=f"({after}", count=limit)
        try:
            entries = [
                Entry(**orjson.loads(fields[b"e"]), seal=fields[b"h"].decode())
                for _, fields in page
            ]
        except (ValueError, KeyError, TypeError):
            raise AuditBroken("an entry is no entry: see `laike audit verify`") from None
        return Entries(entries=entries)

    return routes
