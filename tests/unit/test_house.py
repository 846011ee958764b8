"""The house's laws, held by a test: floors, a core without IO, sizes, READMEs, a clean top level.

Must live here: what can be read off the tracked files. Must not: anything that runs the engine.
"""

import ast
import fnmatch
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("api", "simulator", "sinks", "engine", "rules", "features")  # from the top down
TOP = {
    *("api", "engine", "features", "rules", "simulator", "sinks", "tests"),
    *("docker-compose.yml", "pyproject.toml", "requirements.lock", "Makefile", "README.md"),
    *("CHANGELOG.md", "LICENSE"),
}
CORE = re.compile(r"(engine/(decide|journey)\w*|features/.*|rules/(?!load\b).*)\.py")
NO_IO = {
    *("faust", "redis", "httpx", "fastapi", "aiokafka", "clickhouse_connect", "chdb", "asyncio"),
    *("time", "random", "secrets", "socket", "subprocess", "threading", "uuid"),
}
CLOCKS = re.compile(r"\b(datetime|date)\.(now|today|utcnow)\(|\bos\.urandom\(")
LINES_MAX = 400


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are, or are about to be, in the repository."""
    told = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(told, cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        pytest.skip("not a git checkout: what belongs to the project cannot be told")
    names = sorted(set(found.stdout.decode().split("\0")) - {""})
    return tuple(path for path in map(Path, names) if (ROOT / path).is_file())


def modules(*folders: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in folders]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module imported anywhere in the file, by its full name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.parent.parts[: len(path.parent.parts) - node.level + 1]
                base = ".".join([*package, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_every_import_goes_down_a_floor():
    upward = [
        f"{path} imports {name}"
        for path in modules(*FLOORS)
        for name in set(imports(path))
        if name.split(".")[0] in FLOORS
        and FLOORS.index(name.split(".")[0]) < FLOORS.index(path.parts[0])
    ]
    assert not upward


def test_no_package_imports_in_a_circle():
    names = {".".join(path.with_suffix("").parts): path for path in modules(*FLOORS)}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    inside = {name: {n for n in imports(path) if n in names} for name, path in names.items()}
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for one in sorted(inside[name] - {name}):
                walk(one, (*above, name))
            done.add(name)

    for name in sorted(inside):
        walk(name, ())


def test_the_core_does_no_io_and_has_no_clock():
    found = []
    for path in modules("engine", "features", "rules"):
        if CORE.fullmatch(path.as_posix()):
            taken = {name.split(".")[0] for name in imports(path)} & NO_IO
            found += [f"{path} imports {name}" for name in sorted(taken)]
            if clock := CLOCKS.search((ROOT / path).read_text()):
                found.append(f"{path} reads a clock: {clock[0]}")
    assert not found


def test_a_module_is_one_noun_and_says_which():
    lines = {str(path): (ROOT / path).read_text().count("\n") for path in modules(*FLOORS)}
    long = {path: count for path, count in lines.items() if count > LINES_MAX}
    silent = [str(path) for path in modules(*FLOORS) if not ast.get_docstring(tree(path))]
    assert not long
    assert not silent


def test_every_folder_has_a_readme():
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    bare = [name for name in sorted(folders & TOP) if not (ROOT / name / "README.md").is_file()]
    assert not bare


def guides() -> dict[Path, list[Path]]:
    """Each README, and the modules that it is nearest to."""
    found: dict[Path, list[Path]] = {}
    for path in modules(*FLOORS):
        if path.stem != "__init__":
            near = next(one for one in path.parents if (ROOT / one / "README.md").is_file())
            found.setdefault(near / "README.md", []).append(path)
    return found


def maps(guide: Path) -> list[str]:
    """A README's tables of capabilities and modules; where there is none, its prose is the map."""
    text = (ROOT / guide).read_text()
    return re.findall(r"^\| \w+ \| modules \|\n(?:\|.*\n)+", text, re.MULTILINE)


def quoted(text: str) -> set[str]:
    """The words in backticks, as names of modules."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    words = {word for span in re.findall(r"`([^`]+)`", prose) for word in span.split()}
    return {word.strip(",").removesuffix(".py").rpartition("/")[2] for word in words}


def test_a_readme_names_every_module():
    silent = []
    for guide, paths in guides().items():
        names = quoted("".join(maps(guide)) or (ROOT / guide).read_text())
        told = [one for one in paths if any(fnmatch.fnmatchcase(one.stem, n) for n in names)]
        silent += [f"{guide} does not name {one}" for one in paths if one not in told]
    assert not silent


def test_a_map_names_no_module_that_is_gone():
    gone = []
    for guide, paths in guides().items():
        stems = [path.stem for path in paths]
        names = re.findall(r"`([a-z_*]+)`", "".join(maps(guide)))
        gone += [f"{guide}: {one}" for one in names if not fnmatch.filter(stems, one)]
    assert not gone


def test_the_top_level_holds_what_it_may():
    top = {path.parts[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_no_file_names_a_machine_or_a_registry():
    # Put together here, so that this file does not find itself.
    machine = re.compile(rf"(?<![\w./}}$-])/({'work|root|home|opt|Users'})/\w")
    registry = re.compile("|".join((r"pypi\.org", r"pythonhosted\." + "org", r"registry\.npmjs")))
    found = []
    for path in tracked():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            inside = path.name == "docker-compose.yml"  # its paths are those of the images
            if registry.search(line) or (machine.search(line) and not inside):
                found.append(f"{path}:{number}: {line.strip()[:80]}")
    assert not found


def test_the_lock_file_carries_hashes_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^(-i|-f|--index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)
    pinned = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+", text, re.MULTILINE)
    assert len(pinned) > 50
    assert text.count("--hash=sha256:") > len(pinned)


def test_no_dependency_ships_a_package_of_our_names():
    ours = packages_distributions()
    taken = {name: [d for d in ours.get(name, []) if d != "laike"] for name in FLOORS}
    assert not {name: found for name, found in taken.items() if found}
