"""The tables' history: numbered .sql files, applied in order, once, and never altered afterwards.

A file is NNNN_name.sql, its statements end with a semicolon at a line's end, and each of them may
run twice without harm (IF NOT EXISTS, OR REPLACE). That is what makes the rest safe: the lock below
only saves two starters from doing the same work, it guards nothing that a repeat could break.
Errors: MigrationError (the files and the database do not agree; its message names the file).
"""

import hashlib
import itertools
import os
import re
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

FOLDER = Path(__file__).parent
LOCK_STALE_SECONDS = 60.0
TABLE_EXISTS = 57
UNKNOWN_TABLE = 60

RECORD = """CREATE TABLE IF NOT EXISTS migrations (
  version UInt32, name String, checksum FixedString(64), applied_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY version"""


class MigrationError(Exception):
    """The migration files and the database do not agree, or another starter holds the lock."""


class Migration(NamedTuple):
    """One file: its number, its name without the number, its text."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The sha256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def file(self) -> str:
        """The file's name, for messages."""
        return f"{self.version:04}_{self.name}.sql"

    @property
    def statements(self) -> list[str]:
        """The statements, without comments before or after them."""
        bare = re.sub(r"^--.*$", "", self.text, flags=re.MULTILINE)
        return [
            part.strip() for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if part.strip()
        ]


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """Read the folder; a misnamed file or a number used twice raises MigrationError."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_name.sql, a-z 0-9 and _")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    for before, after in itertools.pairwise(found):
        if before.version == after.version:
            raise MigrationError(f"{after.file}: the number is taken by {before.file}")
    return found


def migrate(client: Client, folder: Path = FOLDER, wait_seconds: float = 90.0) -> list[str]:
    """Bring the database up to date and return the names of the files applied now."""
    files = migrations(folder)
    client.command(RECORD)
    if not _pending(client, files):
        return []
    mine = _lock(client, wait_seconds)
    try:
        pending = _pending(client, files)
        for migration in pending:
            for statement in migration.statements:
                client.command(statement)
            _record(client, migration)
        return [migration.file for migration in pending]
    finally:
        _unlock(client, mine)


def pending(client: Client, folder: Path = FOLDER) -> list[str]:
    """The files that are still to be applied; a database without any history lacks all of them."""
    files = migrations(folder)
    if not int(str(client.command("EXISTS TABLE migrations"))):
        return [migration.file for migration in files]
    return [migration.file for migration in _pending(client, files)]


def _pending(client: Client, files: list[Migration]) -> list[Migration]:
    applied: dict[int, tuple[str, str]] = {
        version: (name, checksum.decode() if isinstance(checksum, bytes) else checksum)
        for version, name, checksum in client.query(
            "SELECT version, name, checksum FROM migrations FINAL ORDER BY version"
        ).result_rows
    }
    known = {migration.version: migration for migration in files}
    for version, (name, checksum) in applied.items():
        migration = known.get(version)
        if migration is None:
            raise MigrationError(
                f"the database has had {version:04}_{name}.sql applied, which this version of Laike"
                " does not have: run the version that wrote it, or a later one"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"{migration.file} was changed after it had been applied: put it back as it was"
                " and write what is new as the next number"
            )
    pending = [migration for migration in files if migration.version not in applied]
    if applied and pending and pending[0].version < max(applied):
        raise MigrationError(
            f"{pending[0].file} comes before {max(applied):04}, which is applied already:"
            " give it the next free number"
        )
    return pending


def _record(client: Client, migration: Migration) -> None:
    client.insert(
        "migrations",
        [[migration.version, migration.name, migration.checksum, int(time.time() * 1000)]],
        column_names=["version", "name", "checksum", "applied_at"],
    )


def _lock(client: Client, wait_seconds: float) -> str:
    """Create the lock table, whose creation is atomic; its uuid is what the holder knows it by.

    A lock left behind by a killed starter is moved aside under its uuid, which only one of several
    waiters can do.
    """
    deadline = time.monotonic() + wait_seconds
    holder = f"process {os.getpid()}"
    while True:
        mine = str(uuid.uuid4())
        try:
            client.command(
                "CREATE TABLE migration_lock (holder String) ENGINE = Memory"
                f" COMMENT '{holder} {mine}'"
            )
        except DatabaseError as error:
            if error.code != TABLE_EXISTS:
                raise
        else:
            return mine
        held = client.query(
            "SELECT comment, dateDiff('second', metadata_modification_time, now()) FROM"
            " system.tables WHERE database = currentDatabase() AND name = 'migration_lock'"
        ).result_rows
        if held and held[0][1] > LOCK_STALE_SECONDS:
            _move_aside(client, str(held[0][0]).rsplit(" ", 1)[-1])
        elif time.monotonic() > deadline:
            who = held[0][0] if held else "somebody"
            raise MigrationError(f"migrations are being applied by {who}; waited {wait_seconds} s")
        else:
            time.sleep(0.2)


def _move_aside(client: Client, theirs: str) -> None:
    aside = f"migration_lock_{theirs.replace('-', '')}"
    try:
        client.command(f"RENAME TABLE migration_lock TO {aside}")
    except DatabaseError as error:
        if error.code not in {TABLE_EXISTS, UNKNOWN_TABLE}:
            raise
    else:
        client.command(f"DROP TABLE IF EXISTS {aside}")


def _unlock(client: Client, mine: str) -> None:
    """Drop the lock if it is still ours."""
    held = client.query(
        "SELECT comment FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'migration_lock'"
    ).result_rows
    if held and str(held[0][0]).endswith(mine):
        client.command("DROP TABLE IF EXISTS migration_lock")
