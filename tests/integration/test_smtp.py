"""E-mail against a real server: what it takes, puts off, refuses, and when it hangs up."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sinks.channels import Failed, Later, Message, Sent
from sinks.smtp import Smtp, SmtpChannel

MESSAGE = Message(
    f"{7:026d}", "notify:欢迎", "welcome", "u:1", "email", "hello", to="al@shop.example",
    log_time=1_780_000_000_000, language="zh", subject="欢迎 & 你好", text="<p>送您&amp;9折券</p>",
)  # fmt: skip


@dataclass
class Server:
    """What answers: each command's reply may be another, or None for hanging up."""

    rcpt: str | None = "250 OK"
    data: str | None = "250 OK"
    mails: list = field(default_factory=list)
    users: list = field(default_factory=list)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.rcpt is None:
            server.transport.abort()
            return "421 bye"
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.data is None:
            server.transport.abort()
            return "421 bye"
        if self.data.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.data

    def authenticate(self, server, session, envelope, mechanism, data):
        self.users.append(data.login)
        return AuthResult(success=data.password == b"right", handled=False)


@pytest.fixture
async def serving():
    """Start a mail server on a free port; the channel that speaks to it."""
    loop, started = asyncio.get_running_loop(), []

    async def start(server: Server, *, name="127.0.0.1", trusts=None, password="", **given):
        listening = await loop.create_server(lambda: SMTP(server, **given), "127.0.0.1", 0)
        started.append(listening)
        port = listening.sockets[0].getsockname()[1]
        tls = "starttls" if "tls_context" in given else "none"
        user = "shop" if password else ""
        target = Smtp(name, "shop@laike.example", port=port, tls=tls, user=user, private=True)
        return SmtpChannel(target, password, tls_context=trusts)

    yield start
    for listening in started:
        listening.close()
        await listening.wait_closed()


async def test_a_mail_is_what_the_message_says_and_the_same_at_a_repeat(serving):
    server = Server()
    channel = await serving(server)
    assert [await channel.send(MESSAGE) for _ in range(2)] == [Sent(), Sent()]
    first, second = server.mails
    assert first.as_bytes() == second.as_bytes()
    assert first["Message-ID"] == f"<{7:026d}.6b2e48a91f8f@laike.example>"
    assert (first["To"], first["From"], first["Subject"]) == (
        "al@shop.example", "shop@laike.example", "欢迎 & 你好",
    )  # fmt: skip
    assert (first.get_content_type(), first["Content-Language"]) == ("text/html", "zh")
    assert first.get_content().strip() == "<p>送您&amp;9折券</p>"


async def test_a_text_without_markup_is_a_plain_mail_whose_first_words_are_the_subject(serving):
    server = Server()
    await (await serving(server)).send(replace(MESSAGE, subject="", text="A &amp; B\n" + "更多"))
    [mail] = server.mails
    assert (mail.get_content_type(), mail["Subject"]) == ("text/plain", "A & B")
    assert mail.get_content().split() == ["A", "&", "B", "更多"]


REFUSALS = [
    (
        Server(rcpt="550 5.1.1 al@shop.example: no such user"),
        Failed("refused 550 5.1.1", bounced=True),
    ),
    (Server(rcpt="550 nobody"), Failed("refused 550", bounced=True)),
    (Server(rcpt="554 5.7.1 you are on a list"), Failed("refused 554 5.7.1")),
    (Server(data="554 5.7.1 this is spam"), Failed("refused 554 5.7.1")),
    (Server(data="554 5.1.1 gone"), Failed("refused 554 5.1.1", bounced=True)),
]


@pytest.mark.parametrize(("server", "answer"), REFUSALS)
async def test_what_is_refused_for_good(serving, server, answer):
    assert await (await serving(server)).send(MESSAGE) == answer


@pytest.mark.parametrize(
    ("server", "rest"),
    [
        (Server(rcpt="451 4.7.1 grey list: later"), 60),
        (Server(data="452 4.2.2 mailbox full"), 60),
        (Server(rcpt=None), 0),
        (Server(data=None), 0),
    ],
    ids=["4xx to RCPT", "4xx to DATA", "hangs up at RCPT", "hangs up at DATA"],
)
async def test_what_may_go_later(serving, server, rest):
    channel = await serving(server)
    with pytest.raises(Later) as later:
        await channel.send(MESSAGE)
    assert later.value.rest == rest
    assert "shop.example" not in later.value.reason
    server.rcpt = server.data = "250 OK"
    assert await channel.send(MESSAGE) == Sent()


async def test_a_server_that_is_not_there_is_a_reason_to_wait(serving):
    channel = await serving(Server())
    channel.server = Smtp("127.0.0.1", "a@b.example", port=1, tls="none", private=True)
    with pytest.raises(Later, match="ConnectionRefusedError"):
        await channel.send(MESSAGE)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (replace(MESSAGE, to=""), "no address"),
        (replace(MESSAGE, to="al"), "no e-mail address"),
        (replace(MESSAGE, to="al@shop.example\r\nBcc: all@shop.example"), "no e-mail address"),
        (replace(MESSAGE, to="al@shop.example, eve@shop.example"), "no e-mail address"),
        (replace(MESSAGE, text=""), "template: an e-mail needs one"),
    ],
)
async def test_what_cannot_be_a_mail_goes_nowhere(serving, message, reason):
    server = Server()
    assert await (await serving(server)).send(message) == Failed(reason)
    assert server.mails == []


async def test_a_subject_cannot_add_a_header(serving):
    server = Server()
    await (await serving(server)).send(replace(MESSAGE, subject="x\r\nBcc: all@shop.example"))
    assert server.mails[0]["Bcc"] is None


def certificate(tmp_path, name):
    """A server's context and a client's that trusts it alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pair.pem").write_bytes(private + pem)
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(tmp_path / "pair.pem")
    return serves, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(
    ("issued_to", "password", "answer"),
    [
        ("localhost", "right", Sent()),
        ("localhost", "wrong", "535"),
        ("other.example", "right", "certificate"),
    ],
)
async def test_the_name_and_password_go_to_nobody_but_the_server(
    serving, tmp_path, issued_to, password, answer
):
    """The connection is to an address that was checked; the certificate is of the name."""
    serves, trusts = certificate(tmp_path, issued_to)
    server = Server()
    auth: dict[str, Callable] = {"authenticator": server.authenticate, "auth_require_tls": True}
    channel = await serving(
        server, name="localhost", trusts=trusts, password=password, tls_context=serves, **auth
    )
    if isinstance(answer, str):
        with pytest.raises(Later, match=answer):
            await channel.send(MESSAGE)
        assert server.mails == []
    else:
        assert await channel.send(MESSAGE) == answer
    assert server.users == ([] if issued_to != "localhost" else [b"shop"] * len(server.users))
    assert bool(server.users) == (issued_to == "localhost")


async def test_a_server_without_tls_is_not_told_the_password(serving):
    server = Server()
    channel = await serving(server, password="right")
    channel.server = replace_tls(channel.server)
    with pytest.raises(Later, match="NotSupported"):
        await channel.send(MESSAGE)
    assert (server.users, server.mails) == ([], [])


def replace_tls(server: Smtp) -> Smtp:
    return Smtp(server.host, server.sender, port=server.port, user="shop", private=True)
