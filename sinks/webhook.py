"""The webhook channel: one signed POST a message, by the Standard Webhooks specification.

Must live here: the signature, where a POST may go, what an answer means. Must not: retries and
cursors (channels.py). The receiver's `webhook-id` is the message's key, the same at every repeat.

An address is trusted no further than its owner said: https only, no redirects, and a name that
resolves to a private, loopback or otherwise inner address is refused at each attempt, the POST
going to the very address that was checked. `private` lifts that, and allows http on loopback.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
from standardwebhooks import Webhook

from sinks.channels import Failed, Later, Message, Result, Sent

BODY_BYTES_MAX = 65_536
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
RETRY_AFTER_SECONDS_MAX = 3_600.0
BUSY_STATUSES = frozenset((408, 425, 429, 502, 503, 504))  # about the receiver, not the message
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedAddressError(ValueError):
    """An address that a webhook may not go to; the message says which and why."""


class WebhookChannel:
    """A receiver of messages. `secret` is `whsec_` and base64, as the specification has it."""

    def __init__(self, url: str, secret: str, *, private: bool = False) -> None:
        check_url(url, private=private)
        self.url = httpx.URL(url)
        self.private = private
        self._signer = Webhook(secret)
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def send(self, message: Message) -> Result:
        """POST it once. Raises Later when the receiver may take it another time."""
        body = message.json()
        if len(body) > BODY_BYTES_MAX:
            return Failed(f"too large: {len(body)} bytes, at most {BODY_BYTES_MAX}")
        try:
            address = await resolve(self.url.host, _port(self.url), private=self.private)
            status, retry_after = await self._post(address, message.key, body)
        except RefusedAddressError as refused:
            return Failed(str(refused))
        except (httpx.HTTPError, OSError, TimeoutError) as away:
            raise Later(f"{type(away).__name__}: {away}") from away
        return meaning(status, retry_after, time.time())

    async def _post(self, to: Address, key: str, body: bytes) -> tuple[int, str]:
        """Send to the checked address under the receiver's own name; status and Retry-After."""
        if self._client is None:
            timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
            self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)
        now = datetime.now(UTC)
        name = quote(key, safe=":-._~")
        headers = {
            "host": self.url.netloc.decode(),
            "content-type": "application/json",
            "user-agent": "laike",
            "idempotency-key": name,
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(name, now, body.decode()),
        }
        url = self.url.copy_with(host=str(to))
        sni = {"sni_hostname": self.url.host}
        async with asyncio.timeout(CONNECT_SECONDS + ANSWER_SECONDS):
            request = self._client.stream(
                "POST", url, content=body, headers=headers, extensions=sni, follow_redirects=False
            )
            async with request as answer:  # its body is not read: the status says all
                return answer.status_code, answer.headers.get("retry-after", "")


def check_url(url: str, *, private: bool) -> None:
    """Raise RefusedAddressError for an address that no look-up can make right.

    >>> check_url("https://shop.example/hook", private=False)
    >>> check_url("http://shop.example", private=True)
    Traceback (most recent call last):
    sinks.webhook.RefusedAddressError: http://shop.example: https, or http to loopback if private
    """
    parts = httpx.URL(url)
    if parts.userinfo or parts.fragment:
        raise RefusedAddressError(f"{parts.host}: no user, password or fragment in a webhook's URL")
    loopback = parts.host == "localhost" or _is_loopback(parts.host)
    if not parts.host or not (
        parts.scheme == "https" or (parts.scheme == "http" and loopback and private)
    ):
        raise RefusedAddressError(f"{url}: https, or http to loopback if private")


async def resolve(host: str, port: int, *, private: bool) -> Address:
    """The address to connect to; all that the name stands for must be allowed."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return choose(host, [str(info[4][0]) for info in found], private=private)


def choose(host: str, found: Sequence[str], *, private: bool) -> Address:
    """The first of these addresses, if every one is of the open internet (or `private`)."""
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    for address in addresses:
        if not private and not is_open(address):
            raise RefusedAddressError(f"{host} is {address}, which is not on the open internet")
    return addresses[0]


def is_open(address: Address) -> bool:
    """Whether this is an address of the open internet, an inner one in disguise included.

    >>> [is_open(ipaddress.ip_address(a)) for a in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_open(inner)
        if address.teredo or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def meaning(status: int, retry_after: str, now: float) -> Result:
    """What an answer says: sent, failed for good, or (raised) later. `now` in seconds.

    >>> meaning(404, "", 0)
    Failed(reason='status 404')
    """
    if 200 <= status < 300:
        return Sent()
    if status >= 500 or status in BUSY_STATUSES:
        answered = status not in BUSY_STATUSES
        raise Later(f"status {status}", pause_seconds(retry_after, now), answered=answered)
    return Failed(f"status {status}")


def pause_seconds(retry_after: str, now: float) -> float:
    """Read Retry-After, seconds or a date, bounded; 0 when it says nothing.

    >>> pause_seconds("7", 0), pause_seconds("Thu, 01 Jan 1970 00:01:00 GMT", 10.0)
    (7.0, 50.0)
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX) if seconds == seconds else 0.0  # noqa: PLR0124


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
