"""`laike rules …`: what is wrong with the rule files, and whether their examples hold.

Must live here: printing for people and for programs. Must not: reading or judging a rule.
"""

import json
import sys
from pathlib import Path

from rules.errors import RuleErrors
from rules.load import load_book


def check(folder: Path, as_json: bool) -> int:
    """Say every error of every file; the exit code."""
    names: list[str] = []
    errors = []
    try:
        names = sorted(load_book(folder).rules)
    except RuleErrors as wrong:
        errors = list(wrong.errors)
        if not as_json:
            sys.stderr.write(f"{wrong}\n")
    if as_json:
        told = {"rules": names, "errors": [error._asdict() for error in errors]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    elif not errors:
        sys.stdout.write(f"{len(names)} rules: {', '.join(names)}\n")
    return int(bool(errors))
