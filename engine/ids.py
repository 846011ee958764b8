"""Every id the engine gives: deterministic, so that the same records make the same ids for ever.

Must live here: birth ids, decision ids, coupon codes, the hash an event is remembered by.
Must not: randomness, clocks, anything read from the world.
"""

import hmac
import re
from hashlib import blake2b
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no letter that reads like a digit
_PAIRS: Final = [one + other for one in _CROCKFORD for other in _CROCKFORD]  # 10 bits each
_GROUP: Final = "[0-9A-HJKMNP-TV-Z]"
_CODE: Final = re.compile(f"({_GROUP}{{6}})-({_GROUP}{{6}})-({_GROUP}{{2}})")


def _digest(size: int, *parts: str | bytes) -> bytes:
    """A hash of the parts, each with its length before it, so that no two lists look alike."""
    told = b""
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        told += len(raw).to_bytes(4, "big") + raw
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
    """A coupon's code: an HMAC of the decision and the action's name, 14 letters in three groups.

    The last two are an HMAC of the others: who guesses codes is told so before anything is read.
    """
    mac = _mac(secret, f"{decision}:{action}")
    text = "".join([_PAIRS[mac >> bits & 1023] for bits in (54, 44, 34, 24, 14, 4)])
    return f"{text[:6]}-{text[6:]}-{_sign(secret, text)}"


def is_forged(secret: bytes, code: str) -> bool:
    """Whether a code has the form of ours and is none; of any other form nothing is known.

    >>> is_forged(b"s", coupon_code(b"s", "d", "coupon:SAVE")), is_forged(b"s", "FREE-100")
    (False, False)
    """
    found = _CODE.fullmatch(code)
    return found is not None and not hmac.compare_digest(
        found[3], _sign(secret, found[1] + found[2])
    )


def _sign(secret: bytes, text: str) -> str:
    return _PAIRS[_mac(secret, f"code {text}") >> 54]


def _mac(secret: bytes, text: str) -> int:
    """The first 64 bits of it."""
    return int.from_bytes(hmac.digest(secret, text.encode(), "sha256")[:8], "big")


def share(*parts: str | bytes) -> float:
    """A number in [0, 1) that is stable for these parts: who is held out, who gets which split."""
    return int.from_bytes(_digest(8, *parts), "big") / 2**64


def quarantine_id(shard: int, offset: int, part: str = "") -> str:
    """The id of a rejected record: where it stood in the log."""
    return _digest(13, str(shard), str(offset), part).hex()
