"""What can be wrong with a rule file, each with its place.

Law: a file never half loads. All errors of all files are gathered first and raised together.

    RuleErrors          everything wrong with the files; crash of a load, never of a worker
      .errors: RuleError   one place: file, line and column from 1, what was allowed, near miss
    BadText             a text that is not what it should be; raised deep, given its place above
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

FULL_WIDTH = {
    "：": ":",
    "，": ",",
    "；": ";",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "（": "(",
    "）": ")",
    "［": "[",
    "］": "]",
    "【": "[",
    "】": "]",
    "｛": "{",
    "｝": "}",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "＝": "=",
    "＞": ">",
    "＜": "<",
    "！": "!",
    "＋": "+",
    "－": "-",
    "×": "*",
    "÷": "/",
    "％": "%",
    "、": ",",
    "\u3000": "a space",
}


class RuleError(NamedTuple):
    """One error; lines and columns count from 1, 0 means the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """The form editors and terminals make clickable."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RuleErrors(Exception):  # noqa: N818 - it is the plural that matters
    """Every error of every file of one load."""

    def __init__(self, errors: Iterable[RuleError]) -> None:
        self.errors: tuple[RuleError, ...] = tuple(sorted(errors))
        super().__init__(format_errors(self.errors))


class BadText(Exception):  # noqa: N818 - a finding about a text, not a failure of ours
    """A text is wrong at `column` (characters from 0); the reader that knows the file adds it."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


def format_errors(errors: Sequence[RuleError]) -> str:
    """All errors as text, one a line, and how many there are.

    >>> print(format_errors([RuleError("a.yaml", 2, 5, "`cuont` is not a key here")]))
    a.yaml:2:5: `cuont` is not a key here
    1 error
    """
    count = f"{len(errors)} error{'' if len(errors) == 1 else 's'}"
    return "\n".join([*(str(error) for error in errors), count])


def near(word: str, allowed: Iterable[str]) -> str:
    """The near miss as a sentence's end, or nothing.

    >>> near("cuont", ["count", "within"])
    ': did you mean `count`?'
    """
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f": did you mean `{found[0]}`?" if found else ""


def one_of(words: Iterable[str], most: int = 30) -> str:
    """What is allowed, as a list a person can read, cut where it stops helping."""
    listed = list(words)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def full_width(text: str) -> str:
    """What to write instead of the first full-width sign in `text`, or nothing.

    >>> full_width("cart.value ≥ 200")
    'write `>=` instead of the full-width `≥`'
    """
    for sign in text:
        if sign in FULL_WIDTH:
            instead = FULL_WIDTH[sign]
            plain = instead if instead == "a space" else f"`{instead}`"
            shown = "full-width space" if instead == "a space" else f"full-width `{sign}`"
            return f"write {plain} instead of the {shown}"
    return ""
