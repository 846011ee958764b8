"""A model on its way from learner to worker: canonical JSON under an HMAC of the shop's secret.

Must live here: sign and verify. Must not: what a model is. A snapshot that was changed on the
way, or signed with another secret, is refused before it is parsed.
"""

import hmac
import math
from typing import Any, Final

import orjson

_DIGEST: Final = "sha256"
_HEX: Final = 64
_MARK: Final = b"."


class BadSnapshot(ValueError):  # noqa: N818 - said of the bytes, not of the program
    """These bytes are no snapshot signed with this secret."""


def pack(snapshot: dict[str, Any], secret: bytes) -> bytes:
    """The signed bytes: 64 hexadecimal digits of HMAC-SHA256, a full stop, canonical JSON.

    >>> unpack(pack({"b": 1, "a": 0.5}, b"secret"), b"secret")
    {'a': 0.5, 'b': 1}
    """
    _refuse_nan(snapshot, "snapshot")
    body = orjson.dumps(snapshot, option=orjson.OPT_SORT_KEYS)
    return _sign(body, secret) + _MARK + body


def unpack(data: bytes, secret: bytes) -> dict[str, Any]:
    """The snapshot in `data`, or BadSnapshot."""
    signature, mark, body = data[:_HEX], data[_HEX : _HEX + 1], data[_HEX + 1 :]
    if mark != _MARK:
        raise BadSnapshot(f"expected a signature of {_HEX} digits and a full stop")
    if not hmac.compare_digest(signature, _sign(body, secret)):
        raise BadSnapshot("the signature is not that of this content under this secret")
    try:
        snapshot = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadSnapshot(f"signed, but not JSON: {error}") from None
    if not isinstance(snapshot, dict):
        raise BadSnapshot(f"signed, but a {type(snapshot).__name__}, not an object")
    return snapshot


def _sign(body: bytes, secret: bytes) -> bytes:
    if not secret:
        raise ValueError("secret: expected at least one byte")
    return hmac.new(secret, body, _DIGEST).hexdigest().encode()


def _refuse_nan(value: object, where: str) -> None:
    """JSON has no nan, and orjson would write null for it without a word."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: expected a finite number, got {value}")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_nan(item, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _refuse_nan(item, f"{where}[{i}]")
