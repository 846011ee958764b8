"""A request's bytes become one JSON object, whatever was sent: bounded, unzipped, decoded.

Must live here: limits of size and time on a body, gzip, JSON. Must not: what an event is.
Everything wrong here is a `Refused`; a body is never read past its limit.
"""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from api.refusals import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_BYTES_MAX = 4 * 1024 * 1024
BODY_SECONDS_MAX = 30.0
GZIP = zlib.MAX_WBITS | 16
GZIP_MEMBERS_MAX = 16  # each costs a copy of what follows: 4 MiB of empty ones took 12.7 s of CPU


class Gone(Exception):  # noqa: N818 - the sender hung up, nobody waits for an answer
    """The sender closed the connection before its body had come."""


async def read(receive: Receive, declared: int) -> bytes:
    """The whole body; `declared` is its Content-Length, 0 if none was sent."""
    if declared > BODY_BYTES_MAX:
        raise _too_large(declared)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _read_rest(receive, body)
    if len(body) > BODY_BYTES_MAX:
        raise _too_large(len(body))
    return body


async def _read_rest(receive: Receive, first: bytes) -> bytes:
    parts, size = [first], len(first)
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > BODY_BYTES_MAX:
                    raise _too_large(size)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        told = f"the body had not come after {BODY_SECONDS_MAX:.0f} s"
        raise Refused(408, "body_timeout", told) from None


def unpack(body: bytes, encoding: bytes) -> bytes:
    """The body as its sender wrote it; at most BODY_BYTES_MAX are ever unzipped.

    >>> import gzip
    >>> unpack(gzip.compress(b"{}"), b"gzip")
    b'{}'
    """
    if encoding in {b"", b"identity"}:
        return body
    if encoding != b"gzip":
        raise Refused(400, "unknown_encoding", "Content-Encoding: only gzip or none is read here")
    parts: list[bytes] = []
    size, rest = 0, body
    while rest:  # a gzip file may be several, one after the other
        if len(parts) == GZIP_MEMBERS_MAX:
            raise Refused(400, "bad_gzip", f"the gzip body has over {GZIP_MEMBERS_MAX} members")
        unzip = zlib.decompressobj(GZIP)
        try:
            parts.append(unzip.decompress(rest, BODY_BYTES_MAX + 1 - size))
        except zlib.error as wrong:
            raise Refused(400, "bad_gzip", f"the body is not gzip: {wrong}") from None
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            raise _too_large(size)
        if not unzip.eof:
            raise Refused(400, "bad_gzip", "the gzip body ends too early")
        rest = unzip.unused_data
    return b"".join(parts)


def decode(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. NaN and Infinity, which some SDKs send, are read as such.

    They are no JSON, but to refuse the call for them would throw away a whole batch for one bad
    number: the event that holds one is told apart later and goes to quarantine alone.

    >>> decode(b'{"userId": "u1"}')
    {'userId': 'u1'}
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, "invalid_json", f"the body is not JSON: {wrong}") from None
    if not isinstance(found, dict):
        told = f"the body is JSON, but {type(found).__name__} instead of an object"
        raise Refused(400, "invalid_json", told)
    return found


def _too_large(size: int) -> Refused:
    return Refused(413, "body_too_large", f"{size} bytes: a body holds {BODY_BYTES_MAX} at most")
