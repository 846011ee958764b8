"""Before every call but the senders': a browser's duties, the session's cookie, a bound on bodies.

Must live here: headers, the cookie's making, the bound. Must not: who the caller is (guard). Plain
ASGI. The senders' calls pass by untouched: they carry every event and know no cookie.
"""

from collections.abc import Container

from starlette.datastructures import MutableHeaders
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.accounts import SESSION_SECONDS
from api.access.guard import COOKIE
from api.body import BODY_BYTES_MAX
from api.errors import answer
from api.headers import HEADERS, HSTS
from api.refusals import Refused


class Front:
    """Around the application; a call may set a header of HEADERS itself, and then its own stays."""

    def __init__(self, app: ASGIApp, *, key: str, passed: Container[str]) -> None:
        self._app = app
        self._passed = passed  # paths that go straight through
        self._with_session = {
            secure: SessionMiddleware(
                app, key, COOKIE, SESSION_SECONDS, same_site="strict", https_only=secure
            )
            for secure in (False, True)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one call on."""
        if scope["type"] != "http" or scope["path"] in self._passed:
            await self._app(scope, receive, send)
            return
        secure = scope["scheme"] == "https"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if secure:
                    headers.setdefault("strict-transport-security", HSTS)
            await send(message)

        if (told := _length(scope)) > BODY_BYTES_MAX:
            await answer(_too_large(told))(scope, receive, with_headers)
            return
        await self._with_session[secure](scope, _bounded(receive), with_headers)


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _bounded(receive: Receive) -> Receive:
    """For a body that does not say its length: what reads it is refused past the bound."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES_MAX:
            raise _too_large(size)
        return message

    return bounded


def _too_large(size: int) -> Refused:
    return Refused(413, "body_too_large", f"{size} bytes: a body holds {BODY_BYTES_MAX} at most")
