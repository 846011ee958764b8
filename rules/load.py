"""From files to a Book: the folder's layout, and all errors of all files at once.

    campaigns/*.yaml a rule each (or several, between lines of ---) | offers/*.yaml
    templates/NAME.LANGUAGE.CHANNEL.j2 | shop.yaml | a folder without campaigns/: *.yaml are rules

Must live here: which file is what. The only module of rules/ that touches a disk.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from rules.actions import Surroundings, offer
from rules.book import Book
from rules.campaigns import campaign
from rules.document import Node, documents
from rules.errors import RuleError, RuleErrors, format_errors, near
from rules.model import CHANNELS, Offer, Rule, Shop
from rules.reading import NOT_BUILT, Reader
from rules.scope import catalog_scope
from rules.shop import LANGUAGES, shop

FILES_MAX: Final = 2_000
BYTES_MAX: Final = 1_000_000
_TEMPLATE = re.compile(r"(?P<name>[\w-]+)\.(?P<language>\w+)\.(?P<channel>\w+)\.j2")
KNOWN_FOLDERS: Final = ("campaigns", "offers", "segments", "templates")

__all__ = ["book_from_sources", "check", "format_errors", "load_book", "load_text"]


def load_book(path: Path) -> Book:
    """The book of a folder or of one file; RuleErrors with everything wrong in it."""
    return book_from_sources(read_sources(Path(path)))


def load_text(text: str, file: str = "rule.yaml") -> Book:
    """The book of one text."""
    return book_from_sources({file: text})


def check(path: Path) -> list[RuleError]:
    """Everything wrong with a folder or a file."""
    try:
        load_book(path)
    except RuleErrors as found:
        return list(found.errors)
    return []


def read_sources(path: Path) -> dict[str, str]:
    """The texts of a folder by their paths within it; raises RuleErrors."""
    errors: list[RuleError] = []
    sources: dict[str, str] = {}
    if not path.exists():
        raise RuleErrors([RuleError(str(path), 0, 0, "there is no such file or folder")])
    files = [path] if path.is_file() else sorted(_found(path))
    if len(files) > FILES_MAX:
        raise RuleErrors([RuleError(str(path), 0, 0, f"{len(files)} files: at most {FILES_MAX}")])
    root = path.parent if path.is_file() else path
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            if file.stat().st_size > BYTES_MAX:
                errors.append(RuleError(name, 0, 0, f"too large: at most {BYTES_MAX} bytes"))
                continue
            sources[name] = file.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            errors.append(RuleError(name, line, 1, "this is not UTF-8: save the file as UTF-8"))
        except OSError as error:
            errors.append(RuleError(name, 0, 0, f"cannot be read: {error.strerror}"))
    if errors:
        raise RuleErrors([*errors, *_errors(sources)])
    return sources


def _found(folder: Path) -> list[Path]:
    """The files that are rules' business: .yaml, .yml (to be told) and templates."""
    places = [folder, *(folder / name for name in KNOWN_FOLDERS)]
    found: set[Path] = set()
    for place in places:
        walk = place.glob("*") if place == folder else place.rglob("*")
        found |= {
            file
            for file in walk
            if file.is_file()
            and file.suffix in {".yaml", ".yml", ".j2"}
            and not file.name.startswith(".")
        }
    return list(found)


def _errors(sources: Mapping[str, str]) -> list[RuleError]:
    try:
        book_from_sources(sources)
    except RuleErrors as found:
        return list(found.errors)
    return []


def book_from_sources(sources: Mapping[str, str]) -> Book:
    """The book of texts by path; raises RuleErrors."""
    errors: list[RuleError] = []
    parsed: dict[str, list[tuple[str, Node]]] = {}
    templates: dict[str, frozenset[tuple[str, str]]] = {}
    for file in sorted(sources):
        kind = _kind(file, sources, errors)
        if kind == "templates":
            _template(file, templates, errors)
        elif kind:
            nodes = documents(sources[file], file, errors)
            parsed.setdefault(kind, []).extend((file, node) for node in nodes)
    own = _shop(parsed.get("shop", []), errors)
    scope = catalog_scope(own.timezone)
    offers: dict[str, Offer] = {}
    for file, node in parsed.get("offers", []):
        reader = Reader(file, errors)
        found = offer(reader, node, scope, own.currency)
        if found.name in offers:
            reader.error(node, f"there is another offer named `{found.name}`")
        offers[found.name] = found
    near_by = Surroundings(
        scope,
        own.currency,
        own.languages,
        offers if _has(sources, "offers") else None,
        templates if _has(sources, "templates") else None,
    )
    rules = _rules(parsed.get("campaigns", []), own, near_by, errors)
    if errors:
        raise RuleErrors(errors)
    return Book.of(rules, own, offers, dict(sources))


def _has(sources: Mapping[str, str], folder: str) -> bool:
    return any(file.startswith(f"{folder}/") for file in sources)


def _kind(file: str, sources: Mapping[str, str], errors: list[RuleError]) -> str:
    """What a file is, by its place: shop, campaigns, offers, templates, or nothing of ours."""
    path = PurePosixPath(file)
    folder = path.parts[0] if len(path.parts) > 1 else ""
    if path.suffix == ".yml":
        errors.append(RuleError(file, 0, 0, f"name it {path.stem}.yaml: .yml is not read"))
        return ""
    if folder == "segments":
        errors.append(RuleError(file, 0, 0, f"`segments` {NOT_BUILT}"))
        return ""
    if path.suffix == ".j2":
        return "templates" if folder == "templates" else ""
    if folder == "" and path.name == "shop.yaml":
        return "shop"
    if folder == "" and _has(sources, "campaigns"):
        hint = near(path.stem, ["shop"]) or ": rules are in campaigns/"
        errors.append(RuleError(file, 0, 0, f"a file beside shop.yaml is not read{hint}"))
        return ""
    return folder if folder in {"campaigns", "offers"} else "campaigns"


def _template(
    file: str, templates: dict[str, frozenset[tuple[str, str]]], errors: list[RuleError]
) -> None:
    found = _TEMPLATE.fullmatch(PurePosixPath(file).name)
    if found is None or found["language"] not in LANGUAGES or found["channel"] not in CHANNELS:
        form = "NAME.{" + ",".join(LANGUAGES) + "}.{" + ",".join(CHANNELS) + "}.j2"
        errors.append(RuleError(file, 0, 0, f"a template is named {form}"))
        return
    pair = (found["language"], found["channel"])
    templates[found["name"]] = templates.get(found["name"], frozenset()) | {pair}


def _shop(parsed: list[tuple[str, Node]], errors: list[RuleError]) -> Shop:
    if len(parsed) > 1:
        file, node = parsed[1]
        errors.append(RuleError(file, node.line, node.column, "shop.yaml holds one document"))
    for file, node in parsed[:1]:
        return shop(Reader(file, errors), node)
    return Shop()


def _rules(
    parsed: list[tuple[str, Node]], own: Shop, near_by: Surroundings, errors: list[RuleError]
) -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for file, node in parsed:
        reader = Reader(file, errors)
        rule = campaign(reader, node, own, near_by)
        if rule is None:
            continue
        if rule.name in rules:
            first = rules[rule.name]
            message = f"there is another rule named `{rule.name}`: {first.file}:{first.line}"
            reader.error(node, message)
        rules[rule.name] = rule
    return rules
