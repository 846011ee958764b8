"""What the API hands out and takes back signed: a proposal, its offer, a reservation, a question.

Must live here: signing, reading, refusing. Must not: what is inside. A token is text for others to
keep, not to read: its form may change, and one of a kind is no token of another.
"""

import hashlib
from typing import Any, Final, Literal

from itsdangerous import BadData, URLSafeSerializer

from api.refusals import Refused

Kind = Literal["decision", "offer", "reservation", "answer"]
KINDS: Final[tuple[Kind, ...]] = ("decision", "offer", "reservation", "answer")
TOKEN_MAX: Final = 2_000


class Tokens:
    """Signs with the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        sha = {"digest_method": hashlib.sha256}
        self._signers = {
            kind: URLSafeSerializer(secret, salt=f"laike {kind}", signer_kwargs=sha)
            for kind in KINDS
        }

    def sign(self, kind: Kind, content: Any) -> str:
        """The token of a JSON value."""
        return str(self._signers[kind].dumps(content))

    def read(self, kind: Kind, token: str) -> Any:
        """What was signed; Refused when it is no token of ours of this kind."""
        try:
            return self._signers[kind].loads(token)
        except BadData:
            raise Refused(400, "bad_token", f"this is no {kind} of ours") from None
