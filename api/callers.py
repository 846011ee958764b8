"""Who may make a call about a customer: a page by its write key, or a server by a trusted one.

Must live here: finding the caller. Must not: what is called. A write key comes as `Basic key:`, as
`Bearer key`, or (a beacon's, which has no headers) as `?writeKey=`. A user's token or session does
as well: any for what a page may ask, an admin's for what a server may.
"""

import time
from typing import Any, Final

from fastapi import Depends, Request

from api.access.guard import caller_of
from api.access.roles import Role
from api.errors import told
from api.refusals import Refused
from api.sources import Sender, Sources, key_of_basic

CALLER_ERRORS: Final = told(
    {
        401: "No write key, session or token that is known.",
        403: "This needs a server's key.",
        429: "Too much now: come back after `Retry-After` seconds.",
    }
)


def page_or_server(sources: Sources) -> Any:
    """The dependency of what a page may ask: any write key; gives the caller's name."""

    def who(request: Request) -> str:
        found = _caller(request, sources)
        return found.name if isinstance(found, Sender) else found[0]

    return Depends(who)


def server_only(sources: Sources) -> Any:
    """The dependency of what only a shop's server may ask; gives the caller's name."""

    def who(request: Request) -> str:
        found = _caller(request, sources)
        if isinstance(found, Sender):
            if not found.trusted:
                raise Refused(403, "forbidden", "this needs a server's key, or an admin")
            return f"source:{found.name}"
        if not found[1].covers(Role.admin):
            raise Refused(403, "forbidden", f"this needs the role {Role.admin}")
        return found[0]

    return Depends(who)


def _caller(request: Request, sources: Sources) -> Sender | tuple[str, Role]:
    authorization = request.headers.get("authorization", "")
    scheme, _, bearer = authorization.partition(" ")
    token = bearer if scheme.lower() == "bearer" else None
    key = key_of_basic(authorization.encode("latin-1", "replace")) or token
    key = key or request.query_params.get("writeKey", "")
    sender = sources.find(key) if key else None
    if sender is not None:
        if sender.rate and (wait := sender.spend(1, time.monotonic())):
            told_ = f"source {sender.name!r} sends more than its {sender.rate} events a second"
            raise Refused(429, "rate_limited", told_, retry_after=wait)
        return sender
    if key and token is None:
        raise Refused(401, "unknown_write_key", "no source has this write key")
    caller = caller_of(request, token)
    if caller is None:
        raise Refused(401, "unauthenticated", "send a write key, or log in")
    return caller.name, caller.role
