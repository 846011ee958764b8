"""What every test gets: the fixtures of the real parts, each in a module beside this file.

Must live here: the list of fixture modules. Must not: a fixture.
"""

from importlib.util import find_spec

_MODULES = (
    *("tests.fixtures_logs", "tests.fixtures_workers", "tests.fixtures_clickhouse"),
    *("tests.fixtures_stack", "tests.order"),
)

pytest_plugins = [name for name in _MODULES if find_spec(name)]
