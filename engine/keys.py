"""A key for each customer: what he can be reached by is sealed with it, and erased by it.

Must live here: making, finding and destroying customers' keys, sealing and opening with them. Must
not: where they are stored (keystores), the master key's file (masterkey), which fields are sealed
(features.contact). The log, the blobs, ClickHouse and quarantine hold tokens alone:

    enc:v1:<key id, 16 hex>:<base64url of AES-256-SIV over the value's JSON>

SIV (RFC 5297) needs no nonce: the same address of the same customer is the same token, so a call
sent again makes the same record, and dedup by content holds. A key's name in the store is an HMAC
of the customer's id, so the store knows no ids.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engine.keystores import KeyStore, RedisKeys, SqliteKeys
from engine.masterkey import FILE, MasterKey
from engine.settings import Settings
from features.contact import TOKEN

KEY_BYTES: Final = 64  # AES-256-SIV: one half to authenticate, one to encrypt
ID_BYTES: Final = 8
CACHE_SECONDS: Final = 5.0  # a key that was destroyed elsewhere is used no longer than this
CACHE_MAX: Final = 10_000


class Key(NamedTuple):
    """A customer's key: its id, as tokens name it, and its cipher."""

    id: str
    cipher: AESSIV

    def seal(self, value: Any) -> str:
        """The token of a JSON value; one that this key has sealed before is left as it is."""
        if isinstance(value, str) and self.open(value) is not None:
            return value
        raw = self.cipher.encrypt(orjson.dumps(value), None)
        return f"enc:v1:{self.id}:{base64.urlsafe_b64encode(raw).decode()}"

    def open(self, token: str) -> Any:
        """The value, None when the token is not of this key."""
        found = TOKEN.fullmatch(token)
        if found is None or found[1] != self.id:
            return None
        try:
            return orjson.loads(self.cipher.decrypt(base64.urlsafe_b64decode(found[2]), None))
        except (InvalidTag, ValueError):
            return None


class Keys:
    """The keys of an installation's customers."""

    def __init__(self, store: KeyStore, master: MasterKey, secret: bytes) -> None:
        self.store = store
        self.master = master
        self._secret = secret
        self._cache: dict[str, tuple[float, Key]] = {}

    def _name(self, cid: str) -> str:
        return hmac.new(self._secret, b"customer key " + cid.encode(), hashlib.sha256).hexdigest()

    async def of(self, cids: Collection[str]) -> dict[str, Key]:
        """The customers' keys, made for those that have none. Raises KeysAway, MasterKeyError."""
        found = await self.known(cids)
        lacking = {self._name(cid): cid for cid in cids if cid not in found}
        if lacking:
            made = {name: self._made() for name in lacking}
            await self.store.add(made)
            # whoever was first has made the key that counts
            for name, stored in (await self.store.get(list(lacking))).items():
                found[lacking[name]] = self._keep(name, stored)
        return found

    async def known(self, cids: Iterable[str]) -> dict[str, Key]:
        """The keys of those customers that have one."""
        now = time.monotonic()
        found: dict[str, Key] = {}
        asked: dict[str, str] = {}
        for cid in cids:
            name = self._name(cid)
            until, key = self._cache.get(name, (0.0, None))
            if key is not None and until > now:
                found[cid] = key
            else:
                asked[name] = cid
        if asked:
            for name, stored in (await self.store.get(list(asked))).items():
                found[asked[name]] = self._keep(name, stored)
        return found

    async def destroy(self, cids: Collection[str]) -> int:
        """Make all that was sealed for these customers unreadable, for ever; how many keys went."""
        names = [self._name(cid) for cid in cids]
        for name in names:
            self._cache.pop(name, None)
        return await self.store.remove(names)

    async def rotate(self, grace_seconds: float = 2.0) -> int:
        """Wrap every key under a new master key; cut short, the next call goes on. How many.

        A last look after `grace_seconds` finds what was wrapped before the new key was seen.
        """
        self.master.begin_rotation()
        wrapped = await self._wrap_anew()
        await asyncio.sleep(grace_seconds)
        wrapped += await self._wrap_anew()
        self.master.end_rotation()
        return wrapped

    async def _wrap_anew(self) -> int:
        wrapped = 0
        async for page in self.store.pages():
            for name, stored in page.items():
                if not self.master.in_force(stored[ID_BYTES:]):
                    fresh = self.master.wrap(self.master.unwrap(stored[ID_BYTES:]))
                    wrapped += await self.store.replace(name, stored, stored[:ID_BYTES] + fresh)
        return wrapped

    def _made(self) -> bytes:
        """A new key as it is stored: its id, then what the master key made of it."""
        return secrets.token_bytes(ID_BYTES) + self.master.wrap(secrets.token_bytes(KEY_BYTES))

    def _keep(self, name: str, stored: bytes) -> Key:
        key = Key(stored[:ID_BYTES].hex(), AESSIV(self.master.unwrap(stored[ID_BYTES:])))
        if len(self._cache) >= CACHE_MAX:
            self._cache.clear()
        self._cache[name] = (time.monotonic() + CACHE_SECONDS, key)
        return key

    async def close(self) -> None:
        """Give back what is held."""
        await self.store.close()


def open_keys(settings: Settings) -> Keys:
    """The keys of an installation: LAIKE_KEYS names their Redis, else a file in the data folder."""
    store: KeyStore = (
        RedisKeys(settings.keys) if settings.keys else SqliteKeys(settings.data / "keys.db")
    )
    path = settings.master_key_file
    master = MasterKey(path or settings.data / FILE, make=path is None)
    return Keys(store, master, settings.secret)


def opened(value: Any, keys: Iterable[Key]) -> Any:
    """A JSON value with every token in it opened that one of `keys` opens; for an export."""
    if isinstance(value, dict):
        return {name: opened(item, keys) for name, item in value.items()}
    if isinstance(value, list):
        return [opened(item, keys) for item in value]
    if isinstance(value, str) and value.startswith("enc:v1:"):
        for key in keys:
            if (plain := key.open(value)) is not None:
                return plain
    return value
