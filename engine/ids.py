"""Every id the engine gives: deterministic, so that the same records make the same ids for ever.

Must live here: birth ids, decision ids, coupon codes, the hash an event is remembered by.
Must not: randomness, clocks, anything read from the world.
"""

import hmac
from hashlib import blake2b
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no letter that reads like a digit
_PAIRS: Final = [one + other for one in _CROCKFORD for other in _CROCKFORD]  # 10 bits each


def _digest(size: int, *parts: str | bytes) -> bytes:
    """A hash of the parts, each with its length before it, so that no two lists look alike."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    told = b"".join([piece for one in raw for piece in (len(one).to_bytes(4, "big"), one)])
    return blake2b(told, digest_size=size).digest()


def birth_id(first_key: str, erasure: int = 0) -> bytes:
    """Eight bytes for a customer, given once; they survive an identity merge."""
    return _digest(8, first_key, str(erasure))


def event_hash(source: str, message_id: str) -> bytes:
    """Six bytes that an applied event is remembered by in its customer's blob."""
    return blake2b(f"{source}\0{message_id}".encode(), digest_size=6).digest()


def instance_key(rule: str, run: str, subject: str) -> bytes:
    """Eight bytes for (rule, run, the subject's birth id): what has fired never fires again."""
    return _digest(8, rule, run, subject)


def decision_id(
    rule: str, run: str, subject: str, step: str, birth: bytes, reason: str = ""
) -> str:
    """The 26 hexadecimal digits of a decision: one an instance and step; a held row's reason too.

    >>> len(decision_id("cart-rescue", "1", "c1", "1", b"12345678"))
    26
    """
    return _digest(13, rule, run, subject, step, birth, reason).hex()


def coupon_code(secret: bytes, decision: str, action: str) -> str:
    """A coupon's code: an HMAC of the decision and the action's name, in Crockford's base 32.

    >>> coupon_code(b"secret", "0" * 26, "coupon SAVE")
    'E0CAQ0-DCY9PN'
    """
    mac = int.from_bytes(hmac.digest(secret, f"{decision}:{action}".encode(), "sha256")[:8], "big")
    text = "".join([_PAIRS[mac >> bits & 1023] for bits in (54, 44, 34, 24, 14, 4)])
    return f"{text[:6]}-{text[6:]}"


def share(*parts: str | bytes) -> float:
    """A number in [0, 1) that is stable for these parts: who is held out, who gets which split."""
    return int.from_bytes(_digest(8, *parts), "big") / 2**64


def quarantine_id(shard: int, offset: int, part: str = "") -> str:
    """The id of a rejected record: where it stood in the log."""
    return _digest(13, str(shard), str(offset), part).hex()
