"""ClickHouse's own compressed frames, which `compress=1` and `decompress=1` ask for.

Pure. A frame is the CityHash128 of the rest, a method byte, the size of the frame with its nine
bytes of header, the plain size, and the data. JDBC drivers speak it unless told otherwise.
"""

import struct

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from sinks.embedded.content import BadContentError, Source

_HEADER = struct.Struct("<BII")
_HASH = struct.Struct("<QQ")
_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02
_MAX = 1 << 27
_PIECE = 1 << 20


class BadBlockError(BadContentError):
    """What came is not such a frame, or it was damaged on the way."""


class Frames:
    """Compress: `add` gives whole frames of up to 1 MiB each."""

    def add(self, data: bytes) -> bytes:
        """The frames of `data`."""
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        return b"".join(_frame(piece) for piece in pieces)

    def end(self) -> bytes:
        """Nothing is kept back."""
        return b""


class Unframes:
    """Decompress what is read from `source`, frame by frame."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._plain = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most `size` plain bytes; none at the end. Raises BadBlockError."""
        while not self._plain:
            head = self._whole(_HASH.size + _HEADER.size, may_end=True)
            if not head:
                return b""
            method, frame_size, plain_size = _HEADER.unpack_from(head, _HASH.size)
            if not _HEADER.size <= frame_size <= _MAX or plain_size > _MAX:
                raise BadBlockError("not a compressed block: its sizes are impossible")
            data = self._whole(frame_size - _HEADER.size)
            if _hash(head[_HASH.size :] + data) != head[: _HASH.size]:
                raise BadBlockError("a compressed block does not have the checksum it names")
            self._plain = memoryview(_plain(method, data, plain_size))
        piece, self._plain = self._plain[:size], self._plain[size:]
        return bytes(piece)

    def _whole(self, size: int, *, may_end: bool = False) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._source.read(size - len(data))
            if not piece:
                if may_end and not data:
                    return b""
                raise BadBlockError("the last compressed block is cut off")
            data += piece
        return data


def _hash(data: bytes) -> bytes:
    """Its CityHash128 in the old version that ClickHouse keeps to, as the wire has it."""
    return _HASH.pack(*divmod(CityHash128(data), 1 << 64))


def _frame(piece: bytes) -> bytes:
    packed = bytes(lz4.block.compress(piece, store_size=False))
    body = _HEADER.pack(_LZ4, len(packed) + _HEADER.size, len(piece)) + packed
    return _hash(body) + body


def _plain(method: int, data: bytes, size: int) -> bytes:
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(data, uncompressed_size=size))
        if method == _ZSTD:
            return bytes(zstandard.ZstdDecompressor().decompress(data, max_output_size=size))
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise BadBlockError(f"a compressed block cannot be read: {error}") from error
    if method == _NONE:
        return data
    raise BadBlockError(f"compression method {method:#x} is not LZ4, ZSTD or none")
