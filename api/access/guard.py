"""Who may make a call: `requires(role)`, the dependency of every call that is not a sender's.

Must live here: finding the caller, comparing roles, refusing another page's cookie. Must not: how
sessions and tokens are kept (accounts). A call asks for its caller like this:

    @routes.get("/v1/things", responses=DENIED)
    def things(caller: Annotated[Caller, requires(Role.viewer)]) -> Things: ...

A session's cookie counts only for a page of our own host, on every method: it is SameSite=strict,
and what a browser says of the calling page (Sec-Fetch-Site, Origin) is compared besides, so that
neither a form nor a script of another page, even of the same domain, acts for the user.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from api.access.accounts import Accounts, Caller
from api.access.roles import Role
from api.errors import told
from api.refusals import Refused

COOKIE: Final = "laike_session"
SESSION_ID: Final = "id"  # in the signed cookie
_TOKEN: Final = HTTPBearer(
    scheme_name="token", description="`laike tokens create`", auto_error=False
)
_SESSION: Final = APIKeyCookie(
    name=COOKIE, scheme_name="session", description="POST /v1/login", auto_error=False
)
DENIED: Final = told(
    {401: "Nobody is logged in, or the token is not known.", 403: "The role does not suffice."}
)


def accounts_of(request: Request) -> Accounts:
    """The accounts of the application that is called."""
    found: Accounts = request.app.state.accounts
    return found


def requires(role: Role) -> Any:
    """What a call's parameter is annotated with to be given a Caller of `role` or above."""

    def guard(
        request: Request,
        response: Response,
        token: Annotated[HTTPAuthorizationCredentials | None, Security(_TOKEN)],
        _: Annotated[str | None, Security(_SESSION)],
    ) -> Caller:
        caller = caller_of(request, token.credentials if token else None)
        if caller is None:
            raise Refused(401, "unauthenticated", "log in, or send a token: Bearer laike_…")
        if not caller.role.covers(role):
            raise Refused(
                403, "forbidden", f"this needs the role {role}, and yours is {caller.role}"
            )
        response.headers["cache-control"] = "no-store"
        return caller

    guard_of: Callable[..., Caller] = guard
    return Depends(guard_of)


def caller_of(request: Request, token: str | None) -> Caller | None:
    """Who calls: by the token, if one is sent, else by the session."""
    accounts = accounts_of(request)
    if token is not None:
        return accounts.of_token(token)
    mark = request.session.get(SESSION_ID)
    if not isinstance(mark, str):
        return None
    same_page(request)
    return accounts.of_session(mark)


def same_page(request: Request) -> None:
    """Refuse a call that a browser makes for a page of another host."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    ours = request.headers.get("host", "")
    if site not in {"same-origin", "none"} or (origin and urlsplit(origin).netloc != ours):
        raise Refused(403, "other_page", "a session is good for pages of this host alone")
