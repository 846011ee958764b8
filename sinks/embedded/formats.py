"""How the pieces of a result, each a whole little file of its format, become one body.

Pure. The engine hands a streamed result out block by block, each with the format's own header.
Formats without one are joined as they are; of a few the header is known and dropped from the second
piece on; all others are asked for whole.
"""

from collections.abc import Callable

_TSV = ("TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "Raw")
_PLAIN = frozenset(
    {
        *_TSV,
        "CSV",
        "Native",
        "RowBinary",
        "JSONEachRow",
        "JSONLines",
        "NDJSON",
        "JSONCompactEachRow",
        "JSONStringsEachRow",
        "Null",
    }
)

MEDIA = {
    "JSON": "application/json; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "XML": "application/xml; charset=UTF-8",
}


def media(name: str) -> str:
    """The media type of a format."""
    if name in MEDIA:
        return MEDIA[name]
    if name.startswith("JSON"):
        return "application/json; charset=UTF-8"
    if name.startswith(("TabSeparated", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    if name.startswith(("RowBinary", "Arrow", "ORC", "Avro", "MsgPack", "Proto")):
        return "application/octet-stream"
    return "text/plain; charset=UTF-8"


def joiner(name: str) -> Callable[[bytes], int] | None:
    r"""How long the header of a piece is, as a function of the piece; None: ask for it whole.

    >>> joiner("TSVWithNames")(b"a\n1\n"), joiner("JSON") is None
    (2, True)
    """
    if name in _PLAIN:
        return lambda _: 0
    lines = 2 if name.endswith("WithNamesAndTypes") else 1 if name.endswith("WithNames") else 0
    bare = name.removesuffix("WithNamesAndTypes").removesuffix("WithNames")
    if lines and bare in {*_TSV, "JSONCompactEachRow"}:
        return lambda piece: _lines(piece, lines)
    if lines and bare == "RowBinary":
        return lambda piece: _row_binary(piece, lines)
    return None


def _lines(piece: bytes, lines: int) -> int:
    at = 0
    for _ in range(lines):
        at = piece.index(b"\n", at) + 1
    return at


def _row_binary(piece: bytes, rows: int) -> int:
    """The column count, then so many names, then so many types: each a length and its bytes."""
    count, at = _variable(piece, 0)
    for _ in range(count * rows):
        size, at = _variable(piece, at)
        at += size
    return at


def _variable(piece: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = piece[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
