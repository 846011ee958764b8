"""`laike rules …`: what is wrong with the rule files, and whether their examples hold.

Must live here: printing for people and for programs. Must not: reading or judging a rule.
"""

import json
import sys
from pathlib import Path

import typer

from rules.advice import advice
from rules.errors import RuleError, RuleErrors, near, one_of
from rules.json_schema import schema as schema_of
from rules.load import load_book
from simulator.rule_tests import run_examples


def check(folder: Path, as_json: bool) -> int:
    """Say every error of every file, and what is legal but hardly meant; the exit code."""
    names: list[str] = []
    errors: list[RuleError] = []
    doubts: list[RuleError] = []
    try:
        book = load_book(folder)
        names, doubts = sorted(book.rules), advice(book)
    except RuleErrors as wrong:
        errors = list(wrong.errors)
        if not as_json:
            sys.stderr.write(f"{wrong}\n")
    if as_json:
        told = {
            "rules": names,
            "errors": [error._asdict() for error in errors],
            "warnings": [doubt._asdict() for doubt in doubts],
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    elif not errors:
        sys.stderr.writelines(f"warning: {doubt}\n" for doubt in doubts)
        sys.stdout.write(f"{len(names)} rules: {', '.join(names)}\n")
    return int(bool(errors))


def schema(place: str) -> None:
    """Print the JSON Schema of one kind of file."""
    sys.stdout.write(json.dumps(schema_of(place), ensure_ascii=False, indent=2) + "\n")


def test(folder: Path, names: list[str], as_json: bool) -> int:
    """Run the examples of the rules named, of all if none is; the exit code.

    Who names a folder or a file means its rules; a file of campaigns/ is read with all beside it.
    """
    if len(names) == 1 and (path := Path(names[0])).exists() and (path.suffix or path.is_dir()):
        alone = path.is_dir() or path.parent.name != "campaigns"
        folder = path if alone else path.parent.parent
        book = load_book(folder)
        within = {rule.name: folder / rule.file for rule in book.rules.values()}
        names = [] if alone else [name for name, file in within.items() if file.samefile(path)]
    else:
        book = load_book(folder)
    for name in names:
        if name not in book.rules:
            known = f"{near(name, book.rules)}; there are: {one_of(book.rules)}"
            raise typer.BadParameter(f"no rule is called {name!r}{known}")
    outcomes = run_examples(book, names)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        told = {
            "examples": len(outcomes),
            "passed": len(outcomes) - len(failed),
            "failed": [
                {
                    "rule": outcome.rule,
                    "example": outcome.example,
                    "file": outcome.file,
                    "line": outcome.line,
                    "why": outcome.why,
                    "timeline": outcome.timeline,
                }
                for outcome in failed
            ],
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return int(bool(failed))
    for outcome in outcomes:
        sys.stdout.write(f"{outcome}\n")
    sys.stdout.write(f"{len(outcomes) - len(failed)} of {len(outcomes)} examples hold\n")
    return int(bool(failed))
