"""`laike learn …`: what the models learned, which of them decide, how good they are.

Must live here: these commands' names and options. Must not: work. The learner itself runs as
`laike learner`, or beside the API.
"""

# ruff: noqa: PLC0415 - as in cli

from pathlib import Path
from typing import Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption

learn = typer.Typer(no_args_is_help=True, help="What the models learned, and how good they are.")
Model = Annotated[str, typer.Argument(help="The model, as `laike learn models` lists it.")]


@learn.command("models")
def models(
    name: Annotated[str | None, typer.Argument(help="One model alone.")] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """List the snapshots that are kept, the newest first, and which one decides.

    Example: laike learn models purchase_24h
    """
    from api.cli_learn_models import show

    raise typer.Exit(show(data, name, as_json))


@learn.command("pin")
def pin(
    name: Model,
    digest: Annotated[str, typer.Argument(help="A snapshot, or a decision's model_version.")],
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Let this snapshot of a model decide until it is let go; learning goes on.

    The learner puts it in force within some 5 seconds. Example: laike learn pin purchase_24h 4f1c
    """
    from api.cli_learn_models import pin as run

    raise typer.Exit(run(data, name, digest, as_json))


@learn.command("unpin")
def unpin(name: Model, data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """Let the newest snapshot of a model decide again.

    Example: laike learn unpin purchase_24h
    """
    from api.cli_learn_models import unpin as run

    raise typer.Exit(run(data, name, as_json))


@learn.command("report")
def report(
    file: Annotated[
        Path | None,
        typer.Option(help="Public data by its own name, or a folder of it (simulator/README.md)."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="These reports alone, by name.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the page and its charts (HTML, PNG).")
    ] = None,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say how good the models are: the engine's own, or what they make of a file, with baselines.

    Example: laike learn report --file online_retail_orders.csv.gz --out report --json
    """
    from api.cli_learn_report import report as run

    raise typer.Exit(run(file, data, out, only or [], as_json))


@learn.command("evaluate-policy")
def evaluate_policy(
    rule: Annotated[str, typer.Argument(help="The rule whose bandit is meant.")] = "",
    policy: Annotated[
        list[str] | None,
        typer.Option(help="always:ARM, random, learned, greedy, model, or FILE.yaml; repeatable."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A CSV log instead of the tables.")] = None,
    arm: Annotated[str, typer.Option(help="The file's column of arms.")] = "arm",
    propensity: Annotated[
        str, typer.Option(help="Its column of propensities, or one number for all.")
    ] = "propensity",
    reward: Annotated[str, typer.Option(help="Its column of rewards.")] = "reward",
    who: Annotated[str, typer.Option(help="Its column of customers; else each row is one.")] = "",
    context: Annotated[str, typer.Option(help="Its columns of context, with commas.")] = "",
    step: Annotated[str, typer.Option(help="Which bandit, if the rule has several.")] = "",
    rules: Annotated[Path, typer.Option(help="The rules' folder.")] = Path("rules"),
    sure: Annotated[
        bool, typer.Option("--bernstein", help="Also IPS by the empirical Bernstein bound.")
    ] = False,
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say what other policies would have brought, from the decisions and propensities logged.

    Example: laike learn evaluate-policy which-offer --policy always:ten --policy mine.yaml
    """
    from api import cli_learn_policy as run

    if (file is None) == (not rule):
        raise typer.BadParameter("name a rule, or a --file: one of the two")
    if file is not None:
        told = run.columns(arm, propensity, reward, who, context)
        code = run.from_file(file, told, policy or [], sure=sure, as_json=as_json)
    else:
        code = run.from_engine(rule, rules, data, step, policy or [], sure=sure, as_json=as_json)
    raise typer.Exit(code)
