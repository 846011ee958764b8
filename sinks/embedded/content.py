"""HTTP's content codings, both ways and in pieces, so that no body must be held whole.

Pure. `lz4` and `zstd` are not HTTP's own, but ClickHouse and its clients speak them. A body may be
several compressed members in a row: clickhouse-connect sends one for each block.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import IO, Any, Protocol

import lz4.frame
import zstandard

CODINGS = ("lz4", "zstd", "gzip", "deflate")


class BadContentError(ValueError):
    """A body is not in the coding it names, or names one we do not know."""


class Source(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Packer(Protocol):
    """What an answer is compressed with."""

    def add(self, data: bytes) -> bytes:
        """What can be given for the data so far."""

    def end(self) -> bytes:
        """What remains."""


class _Unpack:
    """A body in a coding, read piece by piece: a small body may be a huge one in disguise."""

    def __init__(self, coding: str, reader: Source) -> None:
        self._coding, self._reader = coding, reader

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except (zlib.error, OSError, RuntimeError, EOFError, zstandard.ZstdError) as error:
            raise BadContentError(f"the body is not {self._coding}: {error}") from error


class _Deflate:
    def __init__(self, source: Source) -> None:
        self._source, self._zlib = source, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self._zlib.eof:
            data = self._zlib.unconsumed_tail or self._source.read(1 << 16)
            plain = self._zlib.decompress(data, size)
            if plain:
                return plain
            if not data:
                raise EOFError("it is cut off")
        return b""


class _Pack:
    def __init__(self, packer: Any, start: bytes = b"") -> None:
        self._packer, self._start = packer, start

    def add(self, data: bytes) -> bytes:
        start, self._start = self._start, b""
        return start + bytes(self._packer.compress(data))

    def end(self) -> bytes:
        start, self._start = self._start, b""
        return start + bytes(self._packer.flush())


def unpack(coding: str, body: IO[bytes]) -> Source:
    """The plain bytes of a body with this Content-Encoding; reading may raise BadContentError."""
    readers: dict[str, Callable[[], Source]] = {
        "gzip": lambda: gzip.GzipFile(fileobj=body, mode="rb"),
        "deflate": lambda: _Deflate(body),
        "lz4": lambda: lz4.frame.LZ4FrameFile(body),
        "zstd": lambda: zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True),
    }
    if coding in {"", "identity"}:
        return body
    if coding not in readers:
        raise BadContentError(
            f"Content-Encoding {coding!r} is not known; these are: {', '.join(CODINGS)}"
        )
    return _Unpack(coding, readers[coding]())


def pack(coding: str) -> Packer:
    """A compressor for an answer."""
    if coding == "gzip":
        return _Pack(zlib.compressobj(3, wbits=31))
    if coding == "deflate":
        return _Pack(zlib.compressobj(3, wbits=15))
    if coding == "zstd":
        return _Pack(zstandard.ZstdCompressor(level=1).compressobj())
    packer = lz4.frame.LZ4FrameCompressor()
    return _Pack(packer, packer.begin())


def accepted(header: str) -> str:
    """The first coding of an Accept-Encoding header that we know, or nothing.

    >>> accepted("br, zstd;q=0.8, gzip"), accepted("gzip;q=0"), accepted("")
    ('zstd', '', '')
    """
    for offer in header.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in CODINGS and weight.strip() not in {"q=0", "q=0.0"}:
            return coding.strip()
    return ""
