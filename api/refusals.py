"""Why a call was not taken, in the words and the status its sender acts on.

Must live here: the one exception of the HTTP door and its JSON. Must not: a web framework.

    Refused     the call was not taken and nothing of it was kept: `status`, `code`, `message`
        400     unreadable or bad            the sender drops it
        401     a write key nobody has       the sender drops it
        408     the body took too long       the sender tries again
        413     too large                    the sender drops it
        429     too much now                 the sender tries again after `retry_after` seconds
        503     the log is away              the sender tries again after `retry_after` seconds
"""

import orjson


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """One call's answer when it is not taken."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def body(self) -> bytes:
        """The JSON every error has.

        >>> Refused(401, "unknown_write_key", "no source has this key").body()
        b'{"code":"unknown_write_key","message":"no source has this key"}'
        """
        text = self.message.encode("utf-8", "replace").decode("utf-8")
        return orjson.dumps({"code": self.code, "message": text})
