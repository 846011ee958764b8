"""From files to a Book: the folder's layout, and all errors of all files at once.

    campaigns/*.yaml a rule each (or several, between lines of ---) | offers/*.yaml
    segments/*.yaml | templates/NAME.LANGUAGE.CHANNEL.j2 | shop.yaml
    a folder without campaigns/: *.yaml are rules

Must live here: which file is what. The only module of rules/ that touches a disk.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from rules.book import Book
from rules.campaigns import campaign
from rules.ceilings import without_ceiling
from rules.document import Node, documents
from rules.errors import BadText, RuleError, RuleErrors, format_errors, near
from rules.model import Offer, Rule, Segment, Shop
from rules.offers import check_offers, offer
from rules.reading import Reader
from rules.reads import heard, laid_over, of_event, template_names, templates_named, told
from rules.scope import Scope, catalog_scope
from rules.segments import segment
from rules.shop import LANGUAGES, shop
from rules.surroundings import Surroundings, language_scope, with_segments
from rules.templates import PLACES, Templates
from rules.unbuilt import UNBUILT

FILES_MAX: Final = 2_000
BYTES_MAX: Final = 1_000_000
_TEMPLATE = re.compile(r"(?P<name>[\w-]+)\.(?P<language>\w+)\.(?P<channel>\w+)\.j2")
KNOWN_SUFFIXES: Final = (".yaml", ".yml", ".j2")
KNOWN_FOLDERS: Final = ("campaigns", "offers", "segments", "templates")

__all__ = ["book_from_sources", "check", "format_errors", "load_book", "load_text"]


def load_book(path: Path, unbuilt: frozenset[str] = UNBUILT) -> Book:
    """The book of a folder or of one file; RuleErrors with everything wrong in it."""
    return book_from_sources(read_sources(Path(path)), unbuilt)


def load_text(text: str, file: str = "rule.yaml", unbuilt: frozenset[str] = UNBUILT) -> Book:
    """The book of one text."""
    return book_from_sources({file: text}, unbuilt)


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
    for folder in (one for one in path.iterdir() if one.is_dir()) if path.is_dir() else ():
        meant = "" if folder.name in KNOWN_FOLDERS else near(folder.name, KNOWN_FOLDERS)
        if meant and any(one.suffix in KNOWN_SUFFIXES for one in folder.iterdir()):
            errors.append(RuleError(folder.name, 0, 0, f"this folder is not read{meant}"))
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
            if file.is_file() and file.suffix in KNOWN_SUFFIXES and not file.name.startswith(".")
        }
    return list(found)


def _errors(sources: Mapping[str, str]) -> list[RuleError]:
    try:
        book_from_sources(sources)
    except RuleErrors as found:
        return list(found.errors)
    return []


def book_from_sources(sources: Mapping[str, str], unbuilt: frozenset[str] = UNBUILT) -> Book:
    """The book of texts by path; raises RuleErrors.

    `unbuilt` are the names refused because the engine does not do them; tests of the language
    hand in none.
    """
    return _Load(sources, unbuilt).book()


class _Load:
    """One load: what was parsed so far, and every error."""

    def __init__(self, sources: Mapping[str, str], unbuilt: frozenset[str]) -> None:
        self.sources = sources
        self.unbuilt = unbuilt
        self.errors: list[RuleError] = []
        self.parsed: dict[str, list[tuple[str, Node]]] = {}

    def book(self) -> Book:
        """Everything read, or every error raised."""
        texts: list[str] = []
        for file in sorted(self.sources):
            kind = _kind(file, self.sources, self.errors)
            if kind == "templates":
                texts.append(file)
            elif kind:
                nodes = documents(self.sources[file], file, self.errors)
                if not self.sources[file].strip():
                    self.errors.append(RuleError(file, 0, 0, "an empty file: delete it"))
                self.parsed.setdefault(kind, []).extend((file, node) for node in nodes)
        own = self._shop()
        scope = language_scope(catalog_scope(own.timezone), self.unbuilt)
        segments = self._segments(scope)
        scope = with_segments(scope, segments, self.unbuilt)
        offers = self._offers(scope, own)
        templates = self._templates(texts, own)
        near_by = Surroundings(
            scope,
            own.currency,
            own.languages,
            offers if self._has("offers") else None,
            templates.places() if self._has("templates") else None,
            segments if self._has("segments") else None,
            own.exchange,
        )
        rules = self._rules(own, near_by)
        if not self.errors:
            for rule in list(rules.values()):
                inside = near_by.about(rule.once_per)
                inside = inside.digesting() if rule.digest else inside
                laid = self._names(rule, templates, inside.scope)
                laid |= rule.laid | laid_over((own.pauses, own.risk))
                rules[rule.name] = replace(rule, laid=laid, hears=heard(laid))
        self.errors += without_ceiling(rules, offers, own)
        if self.errors:
            raise RuleErrors(self.errors)
        return Book.of(rules, own, offers, dict(self.sources), segments, templates)

    def _has(self, folder: str) -> bool:
        return any(file.startswith(f"{folder}/") for file in self.sources)

    def _reader(self, file: str) -> Reader:
        return Reader(file, self.errors, self.unbuilt)

    def _shop(self) -> Shop:
        parsed = self.parsed.get("shop", [])
        if len(parsed) > 1:
            file, node = parsed[1]
            message = "shop.yaml holds one document"
            self.errors.append(RuleError(file, node.line, node.column, message))
        for file, node in parsed[:1]:
            return shop(self._reader(file), node)
        return Shop()

    def _segments(self, scope: Scope) -> dict[str, Segment]:
        segments: dict[str, Segment] = {}
        for file, node in self.parsed.get("segments", []):
            reader = self._reader(file)
            found = segment(reader, node, scope)
            if found is not None and found.said in {one.said for one in segments.values()}:
                reader.error(node, f"there is another segment named `{found.name}`")
            elif found is not None:
                segments[found.name] = found
        return segments

    def _offers(self, scope: Scope, own: Shop) -> dict[str, Offer]:
        offers: dict[str, tuple[Reader, Node, Offer]] = {}
        for file, node in self.parsed.get("offers", []):
            reader = self._reader(file)
            found = offer(reader, node, scope, own.currency, own.exchange)
            if found.name in offers:
                reader.error(node, f"there is another offer named `{found.name}`")
            offers[found.name] = (reader, node, found)
        check_offers(offers)
        return {name: found for name, (_, _, found) in offers.items()}

    def _templates(self, files: list[str], own: Shop) -> Templates:
        templates = Templates(own)
        for file in files:
            found = _TEMPLATE.fullmatch(PurePosixPath(file).name)
            if (
                found is None
                or found["language"] not in LANGUAGES
                or found["channel"] not in PLACES
            ):
                form = "NAME.{" + ",".join(LANGUAGES) + "}.{" + ",".join(PLACES) + "}.j2"
                self.errors.append(RuleError(file, 0, 0, f"a template is named {form}"))
                continue
            try:
                place = (found["name"], found["channel"], found["language"])
                templates.add(place, file, self.sources[file])
            except BadText as bad:
                self.errors.append(RuleError(file, bad.column, 1, bad.message))
        return templates

    def _rules(self, own: Shop, near_by: Surroundings) -> dict[str, Rule]:
        rules: dict[str, Rule] = {}
        for file, node in self.parsed.get("campaigns", []):
            reader = self._reader(file)
            rule = campaign(reader, node, own, near_by)
            if rule is None:
                continue
            if rule.name in rules:
                first = rules[rule.name]
                message = f"there is another rule named `{rule.name}`: {first.file}:{first.line}"
                reader.error(node, message)
            rules[rule.name] = rule
        return rules

    def _names(self, rule: Rule, templates: Templates, scope: Scope) -> frozenset[str]:
        """Whether the templates of a rule read only what the rule gives them.

        Of these the names that are no features: the engine lays them over.
        """
        laid: set[str] = set()
        for action, channels in told(rule):
            names = template_names(rule, action, scope)
            names |= {"shop.name"} if templates.shop.name else set()
            for place, read in templates.names.items():
                if place[0] not in templates_named(action) or place[1] not in channels:
                    continue
                laid |= {name for name in read if name in scope.laid_over or of_event(name)}
                for name, line in read.items():
                    if not _given(name, names):
                        self.errors.append(_stranger(templates, place, name, line, rule, names))
        return frozenset(laid)


def _given(name: str, names: frozenset[str]) -> bool:
    if name in names or (of_event(name) and "event.*" in names):
        return True
    above = name.rpartition(".")[0]
    return bool(above) and above in names and not any(one.startswith(f"{above}.") for one in names)


def _stranger(
    templates: Templates,
    place: tuple[str, str, str],
    name: str,
    line: int,
    rule: Rule,
    names: frozenset[str],
) -> RuleError:
    file = templates.files[place]
    written = templates.texts[place].split("\n")[line - 1]
    places = (written.find(name), written.find(name.rpartition(".")[2]), 0)
    column = next(place for place in places if place >= 0) + 1
    root = name.partition(".")[0]
    inner = sorted(one for one in names if one.startswith(f"{root}."))
    hint = near(name, names) or (f"; {root} has {', '.join(inner)}" if inner else "")
    message = f"`{name}` is not known to the rule {rule.name} ({rule.file}:{rule.line}){hint}"
    return RuleError(file, line, column, message)


def _kind(file: str, sources: Mapping[str, str], errors: list[RuleError]) -> str:
    """What a file is, by its place: shop, campaigns, offers, templates, or nothing of ours."""
    path = PurePosixPath(file)
    folder = path.parts[0] if len(path.parts) > 1 else ""
    if path.suffix == ".yml":
        errors.append(RuleError(file, 0, 0, f"name it {path.stem}.yaml: .yml is not read"))
        return ""
    if path.suffix == ".j2":
        return "templates" if folder == "templates" else ""
    if folder == "" and path.name == "shop.yaml":
        return "shop"
    if folder == "" and any(name.startswith("campaigns/") for name in sources):
        hint = near(path.stem, ["shop"]) or ": rules are in campaigns/"
        errors.append(RuleError(file, 0, 0, f"a file beside shop.yaml is not read{hint}"))
        return ""
    return folder if folder in {"campaigns", "offers", "segments"} else "campaigns"
