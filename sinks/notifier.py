"""The apprise channel: push, WeChat Work, SMS gateways, whatever the Apprise library speaks.

Must live here: the library's URL with the customer's address in it, what its answer means. Must
not: retries and cursors. The URL is a secret in a file of its own; `{to}` in it stands for the
address, and without `{to}` every message goes to the one place that the URL names.

Apprise says only whether it went well; why not is read from what it logs, and where that tells no
HTTP status the message is tried again, until others get through and this one has failed 12 times.
It connects by itself: the name of a URL that carries one is checked just before, redirects are off,
but the connection is not tied to the address that was checked as a webhook's is. A service whose
host is Apprise's own (`wecombot`, `twilio`, ..) is not checked. It knows no idempotency.
"""

import asyncio
import logging
import re
import threading
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from sinks.addresses import RefusedAddressError, check_host, is_own, resolve
from sinks.channels import Failed, Later, Message, Result, Sent
from sinks.webhook import meaning

TO: Final = "{to}"
SECONDS: Final = 20.0
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_log = logging.getLogger("apprise")


class Apprise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Apprise URL in channels.json, by the file that holds it; `private` allows inner hosts."""

    kind: Literal["apprise"]
    url_file: str
    private: bool = False


class AppriseChannel:
    """One Apprise URL. The library is loaded only where a shop uses it: it takes a second."""

    def __init__(self, url: str, *, private: bool = False, allow: tuple[str, ...] = ()) -> None:
        import apprise  # noqa: PLC0415 - see above

        _log.propagate = False  # its lines quote addresses; what they tell is read here
        _log.addHandler(_HEARD)
        self._library: Any = apprise
        self._asset = apprise.AppriseAsset(
            app_id="laike", app_desc="", app_url="", http_redirects=False, async_mode=False
        )
        self._url, self._private, self._allow = url, private, allow
        schema = url.partition("://")[0].lower()
        known: Any = apprise.manager_plugins.NotificationManager
        if schema not in known().schemas():
            raise RefusedAddressError(f"{schema[:20]}:// is no service that Apprise knows")
        service = self._service("" if TO not in url else "13800000000")
        if service is None and TO not in url:
            raise RefusedAddressError(f"{schema}://: Apprise cannot read the rest of this URL")
        if service is not None and _is_hosted(service):
            check_host(service.host, allow)

    async def close(self) -> None:
        """Nothing is held between messages."""

    async def send(self, message: Message) -> Result:
        """Hand it over once. Raises Later."""
        if TO in self._url and not message.to:
            return Failed("no address")
        if not message.text:
            return Failed("template: Apprise needs one")
        service = self._service(message.to)
        if service is None:
            return Failed("no address that this service takes")
        try:
            if _is_hosted(service):
                await self._check(service)
            went_well, heard = await asyncio.to_thread(_notify, service, message)
        except RefusedAddressError as refused:
            return Failed(str(refused))
        except (OSError, TimeoutError) as away:
            raise Later(f"{type(away).__name__}: {service.host}") from away
        if went_well:
            return Sent()
        status = _STATUS.search(heard)
        if status is None:
            raise Later("Apprise could not hand it over", answered=True)
        return meaning(int(status[1]), "", 0.0)

    def _service(self, to: str) -> Any:
        url = self._url.replace(TO, quote(to, safe=""))
        return self._library.Apprise.instantiate(url, asset=self._asset)

    async def _check(self, service: Any) -> None:
        """Whether this very host may be talked to now."""
        check_host(service.host, self._allow)
        port = service.port or (443 if service.secure else 80)
        async with asyncio.timeout(SECONDS):
            at = await resolve(service.host, port, private=self._private)
        if service.schema in PLAIN and not is_own(at):
            raise RefusedAddressError(f"{service.host}: {service.schema}s://, or private")


PLAIN: Final = frozenset(("json", "xml", "form"))  # in clear, with an s behind them encrypted


def _is_hosted(service: Any) -> bool:
    """Whether the URL itself names the host, and not the library."""
    return any("{host}" in template for template in service.templates)


def _notify(service: Any, message: Message) -> tuple[bool, str]:
    """In a thread of its own: the library's lines of this thread are this message's."""
    _HEARD.begin()
    done = bool(service.notify(body=message.text, title=message.subject))
    return done, _HEARD.end()


class _Heard(logging.Handler):
    """What the library logs, by the thread that it logs in."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines = threading.local()

    def begin(self) -> None:
        self._lines.told = []

    def end(self) -> str:
        told: list[str] = self._lines.told
        del self._lines.told
        return "\n".join(told)

    def emit(self, record: logging.LogRecord) -> None:
        told = getattr(self._lines, "told", None)
        if told is not None:
            told.append(record.getMessage())


_HEARD: Final = _Heard()
