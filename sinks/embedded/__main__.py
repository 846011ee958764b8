"""`python -m sinks.embedded`: serve one folder until told to end.

Composition root of the embedded ClickHouse. Exit codes: 0 ended as told, 1 could not serve, 2 used
wrongly. SIGTERM and Ctrl-C let what runs finish, close the engine, and end with 0.
"""

import argparse
import os
import sys
from pathlib import Path

from sinks.embedded.limits import Limits

PORT = 8123


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve."""
    parent = os.getppid()
    asked = _parser().parse_args(arguments)
    os.environ["TZ"] = "UTC"  # a server's day must not depend on whose machine it is
    from sinks.embedded.serve import CannotServeError, serve  # noqa: PLC0415 - it loads the engine

    limits = Limits(
        query_seconds=asked.query_seconds,
        query_memory_mb=asked.query_memory_mb,
        queries=asked.queries,
        inserts=asked.inserts,
        body_mb=asked.body_mb,
    )
    try:
        serve(
            asked.data,
            asked.port,
            limits=limits,
            ready_file=asked.ready_file,
            password=os.environ.get("CLICKHOUSE_PASSWORD", ""),
            parent=parent if asked.die_with_parent else None,
        )
    except CannotServeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sinks.embedded",
        description="Serve a folder of ClickHouse tables over ClickHouse's HTTP on 127.0.0.1."
        " The user is `default`; CLICKHOUSE_PASSWORD may hold a password.",
        epilog="example: python -m sinks.embedded --data .laike/clickhouse --port 8123",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="the folder; made when missing")
    add("--port", type=_port, default=PORT, help=f"0 picks a free one (default {PORT})")
    add("--ready-file", type=Path, metavar="FILE", help="write the address here once it answers")
    add("--die-with-parent", action="store_true", help="end when the starting process is gone")
    defaults = Limits()
    for name, text in (
        ("query_seconds", "seconds a query may take"),
        ("query_memory_mb", "MiB a query may use"),
        ("queries", "queries at once"),
        ("inserts", "inserts at once"),
        ("body_mb", "MiB a request's body may have"),
    ):
        value = getattr(defaults, name)
        flag = "--" + name.replace("_", "-")
        add(flag, type=_positive, default=value, metavar="N", help=f"{text} (default {value})")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
