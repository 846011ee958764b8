"""Values of the command line: how they are read, and what is said of a bad one.

Must live here: text to value. Must not: commands.
"""

import re

import typer

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def duration(text: str) -> float:
    """Seconds in `text`: 30s, 2m, 1h, 500ms; a bare number is seconds.

    >>> duration("2m"), duration("90")
    (120.0, 90.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", text.strip())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no time span: 30s, 2m, 1h, 500ms")
    return float(found[1]) * _UNITS[found[2]]
