"""The command line's words: every command has help with an example, and the exit codes hold."""

import json
import re
import subprocess
import sys

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from api import cli
from api.cli_values import duration
from tests.unit.test_house import ROOT

RUNNER = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def commands(group=None, path=()):
    group = group or typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help_with_an_example(path):
    shown = RUNNER.invoke(cli.app, [*path, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example: (\w+=\S+ )*laike {' '.join(path)}\b", shown.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["up", "--no-such-option"],
        ["up", "--for", "soon"],
        ["up", "--clock", "sundial"],
        ["up", "--port", "99999"],
        ["query"],
        ["rules", "frown"],
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2(arguments):
    assert RUNNER.invoke(cli.app, arguments).exit_code == 2


def laike(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
    )


def test_a_bad_setting_is_wrong_use_and_says_what_is_allowed(tmp_path):
    done = laike("worker", LAIKE_DATA=str(tmp_path), LAIKE_SHARDS="many")
    assert done.returncode == 2
    assert "LAIKE_SHARDS='many': a whole number from 1 to 1024" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_an_engine_is_wrong_use_that_says_what_to_do(tmp_path):
    done = laike("query", "SELECT 1", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "laike up" in done.stderr
    done = laike("simulate", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "no engine runs on" in done.stderr
    assert "Traceback" not in done.stderr


def test_rules_check_tells_every_error_with_its_place(tmp_path):
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "bad.yaml").write_text("rule: bad\nwhen: {evnet: Order Paid}\n")
    done = laike("rules", "check", str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"campaigns/bad\.yaml:2:\d+: ", done.stderr)
    told = laike("rules", "check", str(tmp_path), "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout.splitlines()[-1])["errors"][0]["line"] >= 1


def test_the_shipped_rules_are_right():
    told = laike("rules", "check", "--json")
    summary = json.loads(told.stdout.splitlines()[-1])
    assert {"browse-nudge", "cart-rescue", "first-order-welcome", "win-back"} < set(
        summary["rules"]
    )
    assert len(summary["rules"]) >= 14
    assert summary["errors"] == []


def test_help_loads_nothing_of_the_engine():
    code = (
        "import sys; from api import cli;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " {'engine', 'rules', 'features', 'sinks', 'simulator', 'faust', 'redis', 'numpy'}])"
    )
    told = [sys.executable, "-c", code]
    done = subprocess.run(told, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("2m", 120), ("1.5h", 5400), ("500ms", 0.5), ("90", 90)]
)
def test_a_time_span(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3s", "0", "3 weeks", "1e9"])
def test_no_time_span(text):
    with pytest.raises(typer.BadParameter, match="no time span"):
        duration(text)


def test_compose_starts_commands_that_exist_with_options_that_exist():
    services = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name: of for name, of in services.items() if of["image"].startswith("laike:")}
    assert set(ours) == {"migrate", "api", "worker", "relay", "learner", "simulator"}
    for service in ours.values():
        name, *options = service["command"]
        known = {option for parameter in LEAVES[name,].params for option in parameter.opts}
        known |= {
            option for parameter in LEAVES[name,].params for option in parameter.secondary_opts
        }
        assert {option for option in options if option.startswith("--")} <= known


def test_compose_is_closed_pinned_and_bounded():
    compose = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']} is not pinned"
        assert service["mem_limit"], name
        assert service["stop_grace_period"], name
        assert service["healthcheck"], name
        assert "ports" not in service or name == "api"
        for needed, how in service.get("depends_on", {}).items():
            assert needed in compose["services"]
            assert how["condition"] in {"service_healthy", "service_completed_successfully"}
        for secret in service.get("secrets", ()):
            assert compose["secrets"][secret]["file"].startswith("./.secrets/")
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["api"]["ports"])
