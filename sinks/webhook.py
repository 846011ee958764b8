"""The webhook channel: one signed POST a message, by the Standard Webhooks specification.

Must live here: the signature, the POST, what an answer means. Must not: where a POST may go
(addresses.py), retries and cursors (channels_sink.py). The receiver's `webhook-id` is the message's
key, the same at every repeat.

An address is trusted no further than its owner said: it is looked up and checked anew at each
attempt, and the POST goes to the very address that was checked, under the receiver's
own name. No redirect is followed, an answer's body is never read, and one attempt is bounded in
time from the look-up to the answer's head.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
from standardwebhooks import Webhook

from sinks.addresses import Address, RefusedAddressError, check_url, resolve
from sinks.channels import Failed, Later, Message, Result, Sent

BODY_BYTES_MAX = 65_536
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
RETRY_AFTER_SECONDS_MAX = 3_600.0
TOO_MANY = 429
BUSY_STATUSES = frozenset((408, 425, 429, 502, 503, 504))  # about the receiver, not the message


class WebhookChannel:
    """A receiver of messages. `secret` is `whsec_` and base64, as the specification has it.

    `allow` are patterns of the host names that webhooks may go to; none means this one.
    """

    def __init__(
        self, url: str, secret: str, *, private: bool = False, allow: Sequence[str] = ()
    ) -> None:
        check_url(url, private=private, allow=allow)
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
            async with asyncio.timeout(CONNECT_SECONDS + ANSWER_SECONDS):
                address = await resolve(self.url.host, _port(self.url), private=self.private)
                status, retry_after = await self._post(address, message.key, body)
        except RefusedAddressError as refused:
            return Failed(str(refused))
        except (httpx.ConnectError, httpx.ConnectTimeout, socket.gaierror) as away:
            raise Later(f"{type(away).__name__}: {away}", unsent=True) from away
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
        request = self._client.stream(
            "POST", url, content=body, headers=headers, extensions=sni, follow_redirects=False
        )
        async with request as answer:  # its body is not read: the status says all
            self._client.cookies.clear()
            return answer.status_code, answer.headers.get("retry-after", "")


def meaning(status: int, retry_after: str, now: float) -> Result:
    """What an answer says: sent, failed for good, or (raised) later. `now` in seconds.

    >>> meaning(404, "", 0)
    Failed(reason='status 404')
    """
    if 200 <= status < 300:
        return Sent()
    if status >= 500 or status in BUSY_STATUSES:
        pause, answered = pause_seconds(retry_after, now), status not in BUSY_STATUSES
        raise Later(f"status {status}", pause, answered=answered, unsent=status == TOO_MANY)
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


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
