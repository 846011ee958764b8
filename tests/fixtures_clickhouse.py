"""An embedded ClickHouse for tests: one process a test session, a database of its own a test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import connect
from sinks.embedded.process import start


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an engine on an empty folder; every test shares it."""
    folder: Path = tmp_path_factory.mktemp("clickhouse")
    with start(folder) as server:
        yield server.url


@pytest.fixture
def clickhouse_database(clickhouse_url: str) -> Iterator[str]:
    """The address of an empty database of one's own."""
    client = connect(clickhouse_url)
    name = f"t{uuid.uuid4().hex[:12]}"
    client.command(f"CREATE DATABASE {name}")
    yield f"{clickhouse_url}/{name}"
    client.command(f"DROP DATABASE {name}")
    client.close()


@pytest.fixture
def clickhouse(clickhouse_database: str) -> Iterator[Client]:
    """A client in an empty database of one's own."""
    client = connect(clickhouse_database)
    yield client
    client.close()
