"""Arguments that the commands after `python -m simulator` share.

Must live here: how they are read, and what is said of a bad one. Must not: what they mean.
"""

import argparse


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
