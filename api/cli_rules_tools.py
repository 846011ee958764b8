"""`laike rules backtest|diff|…`: words; the work is elsewhere.

Must live here: these commands' names and options. Must not: replaying, comparing, publishing.
"""

# ruff: noqa: PLC0415 - as in cli

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption
from api.cli_values import duration

WEEK_S = 604_800.0
SHIPPED = Path(__file__).resolve().parent.parent / "rules"
RulesPath = Annotated[Path, typer.Argument(help="A folder of rule files, or one file.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="A CSV or Parquet file; else the engine's events.")
]
MappingOption = Annotated[
    str | None, typer.Option(help="How a file's columns become events, as for `laike replay`.")
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Rules act from then; before, only memory."),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Stop before.")]
RuleOption = Annotated[
    list[str] | None, typer.Option("--rule", help="Only this one, as if live; again for more.")
]

rules = typer.Typer()


@rules.command("backtest")
def rules_backtest(
    path: RulesPath = SHIPPED,
    start: FromOption = None,
    end: ToOption = None,
    file: FileOption = None,
    mapping: MappingOption = None,
    rule: RuleOption = None,
    within: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Bought how soon counts: 7d if unsaid."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page, which needs no other.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the chart.")] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Replay history under these rules: who would have got what, when, and at what cost.

    Example: laike rules backtest rules --file orders.csv.gz --from 2011-06-01 --html impact.html
    """
    from api.cli_rules_backtest import backtest

    raise typer.Exit(
        backtest(
            path, file, data, (start, end), rule or [],
            mapping=mapping, window_ms=round((within or WEEK_S) * 1_000), html=html, png=png,
            as_json=as_json,
        )
    )  # fmt: skip


@rules.command("diff")
def rules_diff(
    old: Annotated[Path, typer.Argument(help="The rules as they are.")],
    new: Annotated[Path, typer.Argument(help="The rules as they are to be.")],
    start: FromOption = None,
    end: ToOption = None,
    file: FileOption = None,
    mapping: MappingOption = None,
    rule: RuleOption = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare two folders of rules over the same history; markdown, as a pull request shows it.

    Example: laike rules diff main/rules rules --file orders.csv.gz > impact.md
    """
    from api.cli_rules_backtest import diff

    raise typer.Exit(
        diff(old, new, file, data, (start, end), rule or [], mapping=mapping, as_json=as_json)
    )


@rules.command("explain")
def rules_explain(
    decision_id: Annotated[str, typer.Argument(help="A decision's id, or its first letters.")],
    data: DataOption = HERE,
    zone: Annotated[str, typer.Option(help="The zone of times.")] = "Asia/Shanghai",
    as_json: JsonOption = False,
) -> None:
    """Say one decision in words: what it read, which gates it passed, what came of it.

    Example: laike rules explain 5f0c9ab34d
    """
    from api.cli_rules_explain import explain

    raise typer.Exit(explain(decision_id, data, zone, as_json))


@rules.command("why")
def rules_why(
    rule: Annotated[str, typer.Argument(help="A rule in force.")],
    customer: Annotated[str, typer.Argument(help="u:alice, a:visitor-1, or alice for a user.")],
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As of then; else now.")] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Ask why a rule acts for a customer or does not: each condition, each gate, and what is near.

    Example: laike rules why cart-rescue alice
    """
    from api.cli_rules_why import why

    raise typer.Exit(why(rule, customer, at, data, as_json))


@rules.command("publish")
def rules_publish(
    path: Annotated[Path | None, typer.Argument(help="A folder of rule files.")] = None,
    rollback: Annotated[
        str | None, typer.Option(metavar="HASH", help="Instead: a version published before.")
    ] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Have a folder's rules decide from now on, or those of an earlier version again.

    Example: laike rules publish rules; laike rules publish --rollback 5f0c9ab3
    """
    from api.cli_rules_publish import publish

    if (path is None) == (rollback is None):
        raise typer.BadParameter("either a folder or --rollback HASH", param_hint="path")
    raise typer.Exit(publish(path, rollback or "", data, as_json))


@rules.command("versions")
def rules_versions(data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """List what was published, by whom and when; the version in force is marked.

    Example: laike rules versions
    """
    from api.cli_rules_publish import versions

    raise typer.Exit(versions(data, as_json))


class SchemaOf(StrEnum):
    """The kinds of rule files."""

    rule = "rule"
    offer = "offer"
    segment = "segment"
    shop = "shop"


@rules.command("schema")
def rules_schema(
    of: Annotated[SchemaOf, typer.Argument(help="Which kind of file.")] = SchemaOf.rule,
) -> None:
    """Print the JSON Schema of rule files: VS Code's YAML extension completes and checks by it.

    Example: laike rules schema > .vscode/laike-rule.json
    """
    from api.cli_rules import schema

    schema(of.value)
