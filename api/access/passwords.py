"""Passwords: hashed by argon2, and as slow to refuse for nobody as for somebody.

Must live here: hashing, verifying, what a password must be. Must not: whose it is.
"""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 256
AT_ONCE: Final = 2  # each takes 64 MiB and 0.1 s of four lanes

_HASHER: Final = PasswordHasher()
_SLOTS: Final = threading.BoundedSemaphore(AT_ONCE)
# Nobody's, verified when there is no such user, so that the time taken tells nothing. Written out,
# as making it at the start takes 0.1 s; a test holds it to the hasher's own cost.
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$"
    "bDRjy5HspoQLhaWVLlt/zA$nFMZXnZWiUOGLblC1YapFhzB8Oc9YdctAA4Acv4YFPA"
)


class WeakPassword(ValueError):  # noqa: N818 - a choice of the user's, not a fault of ours
    """The password is not taken; the message says what one must be."""


def hashed(password: str) -> str:
    """What is stored of a password."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise WeakPassword(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters")
    return _HASHER.hash(password)


def right(stored: str | None, password: str) -> bool:
    """Whether this is the password; None is nobody's, and takes as long."""
    with _SLOTS:
        try:
            return _HASHER.verify(stored or _NOBODY, password[:LENGTH_MAX]) and stored is not None
        except (Argon2Error, InvalidHashError, UnicodeError):  # a lone surrogate is no text
            return False
