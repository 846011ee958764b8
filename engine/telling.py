"""How a process writes its log: a line a message, and nobody's contact or secret in any of them.

Must live here: the form, and what is blanked out of every line. Must not: what is told. That no
message is made of a customer's data is each module's duty; this is the net below, for what an
exception of a library or a fault of ours may quote.
"""

import logging
import re
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Final

BLANK: Final = "***"
_SECRETS: Final = tuple(
    (re.compile(pattern), blank)
    for pattern, blank in (
        (r"(?<=://)[^\s/@'\"]*@", f"{BLANK}@"),  # user and password of an address
        (r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", BLANK),  # a mail address
        (r"(?a)(?<![\w.])\+\d[\d ()-]{6,18}\d(?!\w)", BLANK),  # a phone with its country
        (r"(?a)(?<![\w.])1[3-9]\d{9}(?!\w|\.\d)", BLANK),  # a Chinese mobile, amid Chinese too
        (r"whsec_[\w+/=-]+", BLANK),
        (r"\b(?:web|server)_[\w-]{24,}", BLANK),  # a write key of our making
        (r"(?i)\b(basic|bearer) [\w+/=.~-]{8,}", rf"\1 {BLANK}"),
    )
)


def blanked(line: str) -> str:
    """The line without what looks like a contact or a secret.

    >>> blanked("redis://:pw@h:1 said alice@shop.example, 13812345678, offset 1790000000000")
    'redis://***@h:1 said ***, ***, offset 1790000000000'
    """
    for pattern, blank in _SECRETS:
        line = pattern.sub(blank, line)
    return line


class Lines(logging.Formatter):
    """Every line of a log, its tracebacks too, blanked."""

    def format(self, record: logging.LogRecord) -> str:
        """The message with its traceback, if there is one."""
        return blanked(super().format(record))


def log_to_stderr(form: str, quiet: Iterable[str]) -> None:
    """One form for all that is logged; `quiet` are loggers heard from WARNING on.

    An exception that nobody caught is logged in the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    told = (kind, error, trace)
    logging.getLogger("laike").critical("not caught: %s", kind.__name__, exc_info=told)
