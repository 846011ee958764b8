"""The smtp channel: one e-mail a message, through the shop's own mail server.

Must live here: the mail, the conversation, what an answer means. Must not: where it may connect
(addresses.py), retries and cursors. The standard library's client in a thread, a connection a mail.

SMTP knows no idempotency: a crash between the server's yes and our note of it sends the mail again.
Its Message-ID is of the decision and the action, the same at every repeat, so that whoever joins
mails by it shows one. The connection goes to the very address that was checked, under the server's
own name.

    2xx             sent
    4xx             about this mail (a grey list, a full mailbox): put off alone, a minute or more
    5xx to RCPT     bounced, unless the answer is about policy (5.7): his channel closes
    5xx to DATA     failed
    anything else   the server is away, or our name and password are wrong: the same mail later
"""

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from html import unescape
from typing import Any, Final, Literal

import msgspec

from sinks.addresses import RefusedAddressError, check_host, is_own, resolve
from sinks.channels import Failed, Later, Message, Result, Sent

SECONDS: Final = 15.0  # for each answer of the server
REST_SECONDS: Final = 60.0
SUBJECT_LENGTH: Final = 60  # of a text that has no subject of its own
_ENHANCED: Final = re.compile(rb"\b[45]\.\d{1,3}\.\d{1,3}\b")
_TAGS: Final = re.compile(r"<[^>]*>")


class Smtp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mail server in channels.json; `private` allows inner addresses, and no TLS to them."""

    host: str
    sender: str = msgspec.field(name="from")
    kind: Literal["smtp"] = "smtp"
    port: int = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""
    private: bool = False


class SmtpChannel:
    """One mail server. `tls_context` replaces the machine's own trust, for a test."""

    def __init__(
        self,
        server: Smtp,
        password: str = "",
        allow: tuple[str, ...] = (),
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        check_host(server.host, allow)
        if server.tls == "none" and not server.private:
            raise RefusedAddressError(f"{server.host}: tls, or none to an inner address if private")
        self.server = server
        self.sender = Address(addr_spec=server.sender)
        self._password = password
        self._context = tls_context or ssl.create_default_context()

    async def close(self) -> None:
        """Nothing is held between mails."""

    async def send(self, message: Message) -> Result:
        """Send it once. Raises Later."""
        if not message.to:
            return Failed("no address")
        if not message.text:
            return Failed("template: an e-mail needs one")
        try:
            mail = mail_of(message, self.sender)
        except (ValueError, MessageError):
            return Failed("no e-mail address")
        server = self.server
        try:
            async with asyncio.timeout(SECONDS):
                at = await resolve(server.host, server.port, private=server.private)
        except RefusedAddressError as refused:
            return Failed(str(refused))
        except (OSError, TimeoutError) as away:
            raise Later(f"{type(away).__name__}: {server.host}", unsent=True) from away
        if server.tls == "none" and not is_own(at):
            return Failed(f"{server.host} is {at}: no mail there without TLS")
        return await asyncio.to_thread(self._deliver, str(at), mail, message.to)

    def _deliver(self, at: str, mail: EmailMessage, to: str) -> Result:
        try:
            smtp = self._connected(at)
        except (smtplib.SMTPException, OSError) as away:
            raise Later(f"{type(away).__name__}: {_said(away)}", unsent=True) from away
        try:
            smtp.send_message(mail, self.sender.addr_spec, [to])
        except smtplib.SMTPRecipientsRefused as refused:
            code, said = refused.recipients[to]
            return meaning(code, _bytes(said), to_recipient=True)
        except smtplib.SMTPDataError as refused:
            return meaning(refused.smtp_code, _bytes(refused.smtp_error))
        except smtplib.SMTPNotSupportedError:
            return Failed("the mail server takes no such address")
        except (smtplib.SMTPException, OSError) as away:
            raise Later(f"{type(away).__name__}: {_said(away)}") from away
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()
        return Sent()

    def _connected(self, at: str) -> smtplib.SMTP:
        """A session that may send: greeted, encrypted, logged in."""
        name = self.server.host
        smtp = _Tls(at, name, self._context) if self.server.tls == "tls" else _Plain(at, name)
        try:
            smtp.connect(name, self.server.port)
            if self.server.tls == "starttls":
                smtp.starttls(context=self._context)
            if self.server.user:
                smtp.login(self.server.user, self._password)
        except BaseException:
            smtp.close()
            raise
        return smtp


class _Plain(smtplib.SMTP):
    """A client that connects to the address that was checked, whatever the name says by now."""

    def __init__(self, at: str, name: str, context: ssl.SSLContext | None = None) -> None:
        more: dict[str, Any] = {"context": context} if context else {}
        super().__init__(timeout=SECONDS, **more)
        self._at = at
        self._host = name  # what TLS checks the certificate for

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        return socket.create_connection((self._at, port), timeout)


class _Tls(_Plain, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        opened = super()._get_socket(host, port, timeout)
        return self.context.wrap_socket(opened, server_hostname=self._host)


def meaning(code: int, said: bytes, *, to_recipient: bool = False) -> Result:
    """What a refusal says: failed for good, bounced, or (raised) later.

    Only codes are told: a server's words may quote the address.

    >>> meaning(550, b"5.1.1 nobody", to_recipient=True)
    Failed(reason='refused 550 5.1.1', bounced=True)
    >>> meaning(554, b"5.7.1 spam")
    Failed(reason='refused 554 5.7.1', bounced=False)
    """
    found = _ENHANCED.search(said)
    detail = found[0].decode() if found else ""
    told = f"{code} {detail}".strip()
    if 400 <= code < 500:
        raise Later(f"refused {told}", answered=True, rest=REST_SECONDS, unsent=True)
    bounced = detail.startswith("5.1.") or (to_recipient and not detail.startswith("5.7."))
    return Failed(f"refused {told}", bounced=bounced)


def mail_of(message: Message, sender: Address) -> EmailMessage:
    """The mail, the same bytes at every repeat; ValueError for an address that is none."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = " ".join((message.subject or _first_words(message.text)).split())
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.log_time / 1000, UTC))
    action = blake2b(message.action.encode(), digest_size=6).hexdigest()
    mail["Message-ID"] = f"<{message.decision_id}.{action}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    markup = bool(_TAGS.search(message.text))
    text = message.text if markup else unescape(message.text)
    mail.set_content(text, subtype="html" if markup else "plain")
    if message.language:
        mail["Content-Language"] = message.language
    return mail


def _first_words(text: str) -> str:
    first = unescape(_TAGS.sub(" ", text)).strip().partition("\n")[0].strip()
    return first if len(first) <= SUBJECT_LENGTH else first[: SUBJECT_LENGTH - 1] + "…"


def _bytes(said: bytes | str) -> bytes:
    return said.encode() if isinstance(said, str) else said


def _said(error: Exception) -> str:
    """The code of an answer, never its words."""
    return str(error.smtp_code) if isinstance(error, smtplib.SMTPResponseException) else str(error)
