"""Pools of imported coupon codes: a ledger whose unit is one code, each given once.

Must live here: a pool's state, sealing codes, taking in what was imported, granting a part of it.
Must not: letters (slices.py), which decisions spend (budgets.py). A pool lives under a name of its
own, `b:pool/NAME`, in the shard of that name; shards hold slices of its codes and spend them in
their own commits, as they do with money. A code is in one place always: in the pool, in a letter,
in a slice, or a customer's; it comes out of its seal when it is given. Log, outbox and state hold
it sealed before that, under a key made of the installation's secret and the pool's name.

What was given is the customer's for good, used, expired or voided. The one exception: where nobody
can know the code, because the only message that told of it certainly never left, it goes back to
its pool with nothing of his. Its next life is another coupon: `CODE 2` is its id in the ledger, and
what is sealed; no imported code has a space in it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engine.records import Append
from engine.shards import partition
from features.events import BadEvent, Event, encode
from features.facet import unfolded

POOL: Final = "b:pool/"
IMPORTED: Final = "Codes Imported"
OURS: Final = "laike api"
PART_MAX: Final = 100  # codes in a record, and in a slice
CODES_MAX: Final = 20_000  # that lie in a pool at one time
KNOWN_MAX: Final = 100_000  # that a pool takes in at all: it never takes one twice
CODE: Final = re.compile(r"[!-~]{4,64}")  # letters, digits and signs, no space
_MARK: Final = 8  # bytes a code is known by


class Pool(msgspec.Struct, array_like=True):
    """Sealed codes in the order they came, and the marks of all that ever did."""

    stock: list[str] = []
    known: bytes = b""

    @property
    def count(self) -> int:
        """How many codes it ever took in."""
        return len(self.known) // _MARK

    def grant(self, need: int, shards: int) -> list[str]:
        """The `need` codes or none; ahead, an eighth of what is left over all shards."""
        left = len(self.stock)
        size = min(PART_MAX, need or left // (8 * shards))
        if need > left or need > PART_MAX or size <= 0:
            return []
        granted, self.stock = self.stock[:size], self.stock[size:]
        return granted


def seal(secret: bytes, pool: str, code: str) -> str:
    """A code as it is kept; the same code of the same pool is the same text."""
    raw = _cipher(secret).encrypt(code.encode(), [pool.encode()])
    return base64.urlsafe_b64encode(raw).decode()


def unseal(secret: bytes, pool: str, sealed: str) -> str:
    """The code; BadEvent when it was not sealed by us for this pool."""
    try:
        raw = base64.urlsafe_b64decode(sealed)
        return _cipher(secret).decrypt(raw, [pool.encode()]).decode()
    except (InvalidTag, ValueError, binascii.Error):
        raise BadEvent("bad_code", f"a code for the pool {pool} was not sealed by us") from None


def taken(secret: bytes, pool: str, sealed: str) -> dict[str, str]:
    """What a coupon's row says of the code that is given."""
    life = unseal(secret, pool, sealed)
    code, _, again = life.partition(" ")
    return {"code": code, "pool": pool, **({"coupon_id": life} if again else {})}


def returned(secret: bytes, pool: str, code: str, lives: int) -> str:
    """The code sealed anew, for the life after so many."""
    return seal(secret, pool, f"{code} {lives + 1}")


def take_in(pool: Pool, event: Event, name: str, secret: bytes) -> None:
    """Put the codes of a record into its pool, those that it has never had."""
    codes: Any = event.properties.get("codes")
    if event.name != IMPORTED or event.source != OURS or not _is_part(codes):
        allowed = f"{IMPORTED} from `laike coupons import`, at most {PART_MAX} codes each"
        raise BadEvent("bad_codes", f"to a pool of codes comes {allowed}")
    known = {pool.known[at : at + _MARK] for at in range(0, len(pool.known), _MARK)}
    for sealed in codes:
        unseal(secret, name, sealed)
    fresh = {_mark(sealed): sealed for sealed in codes}
    fresh = {mark: sealed for mark, sealed in fresh.items() if mark not in known}
    room = min(CODES_MAX - len(pool.stock), KNOWN_MAX - len(known))
    if len(fresh) > room:
        raise BadEvent("pool_full", f"{name} holds {CODES_MAX} codes and takes in {KNOWN_MAX}")
    pool.stock = [*pool.stock, *fresh.values()]
    pool.known += b"".join(fresh)


def _is_part(codes: Any) -> bool:
    return (
        isinstance(codes, list)
        and 0 < len(codes) <= PART_MAX
        and all(isinstance(code, str) for code in codes)
    )


def _mark(sealed: str) -> bytes:
    return base64.urlsafe_b64decode(sealed)[:_MARK]


def imports(secret: bytes, pool: str, codes: Iterable[str], at: int, shards: int) -> list[Append]:
    """The records that these codes come in by, each with an id that a repeat has too."""
    sealed = list(dict.fromkeys(seal(secret, pool, code) for code in codes))
    where = f"{POOL}{pool}".encode()
    found = []
    for start in range(0, len(sealed), PART_MAX):
        part = sealed[start : start + PART_MAX]
        name = hashlib.blake2b("\n".join([pool, *part]).encode(), digest_size=13).hexdigest()
        event = Event(
            type="track", name=IMPORTED, message_id=name, at=at, received_at=at, source=OURS,
            properties={"pool": pool, "codes": part},
        )  # fmt: skip
        found.append(Append(partition(where, shards), where, encode(event), at))
    return found


def readable(lines: Sequence[str]) -> list[str]:
    """The codes of a file, one a line; `#` begins a remark. ValueError names the first bad line."""
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not CODE.fullmatch(text):
            raise ValueError(f"line {number}: a code is 4 to 64 letters, digits or signs, no space")
        found.append(text)
    return list(dict.fromkeys(found))


@lru_cache(maxsize=4)
def _cipher(secret: bytes) -> AESSIV:
    return AESSIV(hashlib.sha512(b"laike codes of pools\0" + secret).digest())


STATE: Final = "pool"
FACET: Final = unfolded(STATE, Pool)
