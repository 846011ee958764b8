"""Users, their sessions and their API tokens, in Redis: the same for every API process.

Must live here: what is stored of them and every change, each recorded. Must not: HTTP.

    laike:access:users            a hash: name -> {role, password (argon2), stamp}
    laike:access:tokens           a hash: sha256 of the token -> {name, user, role, expires_at}
    laike:access:session:<sha256> the user's name and stamp; expires

What a caller holds, a session's id or a token, is random and stored only as its hash. A user's
stamp is new whenever his role or password is: sessions begun under another are over. A token acts
for a user, with a role of its own that never exceeds his, and ends with him. Both are
read at every call, so a removal holds at once and everywhere.

    AccountError   what was asked cannot be done; the message says why
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import Any, Final, Literal, NamedTuple

import msgspec
import redis

from api.access.passwords import hashed, right
from api.access.roles import Role
from engine.audit import record
from features.fold import DAY_MS

USERS: Final = "laike:access:users"
TOKENS: Final = "laike:access:tokens"
SESSION: Final = "laike:access:session:"
SESSION_SECONDS: Final = 12 * 3600
TOKEN_DAYS_MAX: Final = 366
TOKEN_PREFIX: Final = "laike_"  # noqa: S105 - so that a leaked one is known for what it is
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class AccountError(ValueError):
    """A user or token that cannot be made, found or changed so."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One person, or one machine with a role."""

    role: Role
    password: str
    stamp: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A program's way in, for a user."""

    name: str
    user: str
    role: Role
    expires_at: int


class Caller(NamedTuple):
    """Who calls, as what, and by which means."""

    name: str
    role: Role
    by: Literal["session", "token"]


class Accounts:
    """All of them. `who` is who makes a change, as the audit log shall name him."""

    def __init__(self, store: redis.Redis, secret: bytes) -> None:
        self.store = store
        self.secret = secret

    @property
    def cookie_key(self) -> str:
        """What signs a session's cookie."""
        return hmac.new(self.secret, b"session-cookie", hashlib.sha256).hexdigest()

    def users(self) -> dict[str, User]:
        """Every user by name."""
        found: Any = self.store.hgetall(USERS)
        return {name.decode(): _user(text) for name, text in sorted(found.items())}

    def add(self, who: str, name: str, role: Role, password: str) -> None:
        """A new user."""
        if not _NAME.fullmatch(name):
            raise AccountError(f"{name!r} is no name: letters, digits and . _ @ -, at most 64")
        if self._find(name) is not None:
            raise AccountError(f"there is a user {name!r} already")
        self._write(who, "user added", name, User(role=role, password=hashed(password), stamp=""))

    def set_role(self, who: str, name: str, role: Role) -> None:
        """Another role; his sessions are over."""
        self._write(who, "role changed", name, msgspec.structs.replace(self._user(name), role=role))

    def set_password(self, who: str, name: str, password: str) -> None:
        """Another password; his sessions are over."""
        user = msgspec.structs.replace(self._user(name), password=hashed(password))
        self._write(who, "password changed", name, user)

    def remove(self, who: str, name: str) -> None:
        """No such user any more, nor any session or token of his."""
        self._user(name)
        record(self.store, self.secret, who, "user removed", name=name)
        gone = [digest for digest, token in self._tokens().items() if token.user == name]
        with self.store.pipeline(transaction=False) as both:
            both.hdel(USERS, name)
            if gone:
                both.hdel(TOKENS, *gone)
            both.execute()

    def log_in(self, name: str, password: str) -> tuple[str, Caller] | None:
        """A new session's id and whose it is; None if name or password is wrong."""
        user = self._find(name)
        if not right(user.password if user else None, password) or user is None:
            return None
        mark = secrets.token_urlsafe(32)
        told = msgspec.json.encode([name, user.stamp])
        self.store.set(SESSION + _hash(mark), told, ex=SESSION_SECONDS)
        return mark, Caller(name, user.role, "session")

    def of_session(self, mark: str) -> Caller | None:
        """Whose session this is, None if it is nobody's or over."""
        told = self.store.get(SESSION + _hash(mark))
        if told is None:
            return None
        name, stamp = msgspec.json.decode(told, type=tuple[str, str])
        user = self._find(name)
        return Caller(name, user.role, "session") if user and user.stamp == stamp else None

    def log_out(self, mark: str) -> None:
        """End the session."""
        self.store.delete(SESSION + _hash(mark))

    def tokens(self) -> list[Token]:
        """Every token, the expired too, by user and name; what they are is not known."""
        return sorted(self._tokens().values(), key=lambda token: (token.user, token.name))

    def create_token(self, who: str, user: str, name: str, role: Role, days: float) -> str:
        """A new token for `user`, told this once."""
        if not _NAME.fullmatch(name):
            raise AccountError(f"{name!r} is no name: letters, digits and . _ @ -, at most 64")
        if not 0 < days <= TOKEN_DAYS_MAX:
            raise AccountError(f"{days:g} days: a token lives at most {TOKEN_DAYS_MAX}")
        if not self._user(user).role.covers(role):
            raise AccountError(f"{user} is no {role}: a token's role never exceeds its user's")
        if any((token.user, token.name) == (user, name) for token in self._tokens().values()):
            raise AccountError(f"{user} has a token {name!r} already: revoke it first")
        expires_at = _now() + int(days * DAY_MS)
        made = Token(name=name, user=user, role=role, expires_at=expires_at)
        record(
            self.store, self.secret, who, "token created",
            name=name, user=user, role=role, expires_at=expires_at,
        )  # fmt: skip
        told = TOKEN_PREFIX + secrets.token_urlsafe(32)
        self.store.hset(TOKENS, _hash(told), msgspec.json.encode(made))
        return told

    def revoke_token(self, who: str, user: str, name: str) -> None:
        """The token is of no use any more."""
        for digest, token in self._tokens().items():
            if (token.user, token.name) == (user, name):
                record(self.store, self.secret, who, "token revoked", name=name, user=user)
                self.store.hdel(TOKENS, digest)
                return
        raise AccountError(f"{user!r} has no token {name!r}")

    def of_token(self, told: str) -> Caller | None:
        """Who calls with this token, None if nobody may."""
        text = self.store.hget(TOKENS, _hash(told))
        token = msgspec.json.decode(text, type=Token) if text else None
        if token is None or token.expires_at <= _now():
            return None
        user = self._find(token.user)
        if user is None:
            return None
        role = token.role if user.role.covers(token.role) else user.role
        return Caller(token.user, role, "token")

    def _tokens(self) -> dict[bytes, Token]:
        found: Any = self.store.hgetall(TOKENS)
        return {digest: msgspec.json.decode(text, type=Token) for digest, text in found.items()}

    def _find(self, name: str) -> User | None:
        text: Any = self.store.hget(USERS, name) if _NAME.fullmatch(name) else None
        return _user(text) if text else None

    def _user(self, name: str) -> User:
        found = self._find(name)
        if found is None:
            raise AccountError(f"there is no user {name!r}")
        return found

    def _write(self, who: str, what: str, name: str, user: User) -> None:
        record(self.store, self.secret, who, what, name=name, role=user.role)
        fresh = msgspec.structs.replace(user, stamp=secrets.token_hex(8))
        self.store.hset(USERS, name, msgspec.json.encode(fresh))


def _user(text: bytes) -> User:
    return msgspec.json.decode(text, type=User)


def _hash(told: str) -> str:
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> int:
    return time.time_ns() // 1_000_000
