"""A webhook against receivers that mean harm: real sockets that redirect, drip, flood and rebind."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
import tracemalloc
from contextlib import suppress

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec

from sinks.channels import Failed, Later, Message, Sent
from sinks.webhook import WebhookChannel
from tests.patience import SECONDS

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = Message("D" * 26, "notify:hello", "rule", "u:1", "push", "hello")


class Hostile:
    """A receiver that reads one request and then does as `then` says."""

    def __init__(self, then):
        self.then = then
        self.requests = 0
        self.sent = 0
        self.port = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.then(self, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def write(self, writer, data):
        writer.write(data)
        await writer.drain()
        self.sent += len(data)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"


async def sent_to(then):
    """What one send to such a receiver came to, and the receiver."""
    async with Hostile(then) as hostile:
        channel = WebhookChannel(hostile.url, SECRET, private=True)
        try:
            return await channel.send(MESSAGE), hostile
        except Later as later:
            return later, hostile
        finally:
            await channel.close()


@pytest.fixture
def soon(monkeypatch):
    """A second instead of fifteen."""
    monkeypatch.setattr("sinks.webhook.CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("sinks.webhook.ANSWER_SECONDS", 0.7)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status):
    async def nothing(_hostile, _writer):
        pass

    async with Hostile(nothing) as inner:

        async def redirect(hostile, writer):
            head = f"HTTP/1.1 {status} X\r\nlocation: {inner.url}\r\ncontent-length: 0\r\n\r\n"
            await hostile.write(writer, head.encode())

        result, hostile = await sent_to(redirect)
        assert result == Failed(f"status {status}")
        assert (hostile.requests, inner.requests) == (1, 0)


async def test_an_answer_of_gigabytes_is_not_read():
    async def flood(hostile, writer):
        await hostile.write(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 4294967296\r\n\r\n")
        while hostile.sent < 1 << 32:
            await hostile.write(writer, b"x" * (1 << 16))

    tracemalloc.start()
    result, hostile = await sent_to(flood)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result == Sent()
    assert peak < 8 << 20
    assert hostile.sent < 64 << 20  # what fits into sockets' buffers, of four gigabytes


async def test_a_head_without_end_is_given_up_early(soon):
    async def flood(hostile, writer):
        await hostile.write(writer, b"HTTP/1.1 200 OK\r\n")
        while True:
            await hostile.write(writer, b"x-more: " + b"y" * 4096 + b"\r\n")

    result, hostile = await sent_to(flood)
    assert isinstance(result, Later)
    assert hostile.sent < 64 << 20


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_head_that_drips_is_given_up_in_time(soon, first):
    async def drip(hostile, writer):
        await hostile.write(writer, first)
        for _ in range(1000):
            await hostile.write(writer, b"x")
            await asyncio.sleep(0.05)

    result, hostile = await sent_to(drip)
    assert isinstance(result, Later)
    assert hostile.sent < 500 + len(first)  # long before its end


async def test_a_body_that_drips_costs_nothing():
    async def drip(hostile, writer):
        await hostile.write(writer, b"HTTP/1.1 204 X\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
            hostile.sent = -1

    result, hostile = await sent_to(drip)
    assert result == Sent()
    assert hostile.sent > 0


async def test_a_name_server_that_does_not_answer_is_given_up_in_time(soon, monkeypatch):
    given_up, woken = threading.Event(), []

    def asleep(*_args, **_named):
        woken.append(given_up.wait(SECONDS))
        return []

    monkeypatch.setattr(socket, "getaddrinfo", asleep)
    with pytest.raises(Later):
        await WebhookChannel("https://shop.example/", SECRET).send(MESSAGE)
    assert not woken
    given_up.set()


class Names:
    """A name server whose answer changes with each look-up: what DNS rebinding does."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host, port, *_args, **_named):
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        family = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (found, port))]


async def test_a_rebinding_name_is_refused_and_nothing_is_sent_inside(monkeypatch):
    """First it is of the open internet, as when it was configured; then it points inside."""
    names = Names("1.1.1.1", "169.254.169.254")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    posts = []

    def answer(request):
        posts.append(request)
        return httpx.Response(200)

    channel = WebhookChannel("https://shop.example/hook", SECRET)
    channel._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    assert await channel.send(MESSAGE) == Sent()
    assert await channel.send(MESSAGE) == Failed(
        "shop.example is 169.254.169.254, which is not on the open internet"
    )
    await channel.close()
    [post] = posts
    assert post.url.host == "1.1.1.1"
    assert post.headers["host"] == "shop.example"
    assert post.extensions["sni_hostname"] == "shop.example"


async def test_the_connection_goes_where_the_check_looked_and_asks_for_the_name(monkeypatch):
    """Between check and connection the name is not looked up again, and TLS is of the name."""
    told = []

    async def accept(reader, writer):
        hello = await reader.read(4096)
        told.append(hello)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = Names("127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    channel = WebhookChannel(f"https://shop.example:{port}/hook", SECRET, private=True)
    with pytest.raises(Later):
        await channel.send(MESSAGE)
    await channel.close()
    server.close()
    assert len(told) == 1
    assert b"shop.example" in told[0]  # the name that the certificate must be for
    assert b"MfKQ" not in told[0]
    assert names.asked == 1


def self_signed(folder, name):
    """A file with a key and a certificate for `name` that it vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(own, own, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = pem.NoEncryption()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain)
    file = folder / "both.pem"
    file.write_bytes(private + made.public_bytes(pem.Encoding.PEM))
    return file


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path, "localhost"))
    bodies = []

    async def accept(reader, writer):
        bodies.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    channel = WebhookChannel(f"https://localhost:{port}/hook", SECRET, private=True)
    with pytest.raises(Later, match=r"(?i)certificate"):
        await channel.send(MESSAGE)
    await channel.close()
    server.close()
    assert not any(bodies)
