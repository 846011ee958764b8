"""Errors that a person can do something about: their message is shown, not their traceback.

Must live here: which those are, and the exit code of each. Must not: raising them.
"""

import sys

# By name, so that a command which never loaded a module does not load it to compare errors.
FAILED: dict[str, tuple[str, ...]] = {
    "builtins": ("PermissionError",),
    "api.up_stack": ("CannotStart",),
    "api.processes": ("PartFailed",),
    "api.up_lock": ("FolderInUse",),
    "api.up_folder": ("FolderError",),
    "api.cli_rules_explain": ("NoDecisionError",),
    "api.cli_rules_publish": ("PublishError",),
    "api.access.accounts": ("AccountError",),
    "api.access.passwords": ("WeakPassword",),
    "engine.audit": ("AuditBroken",),
    "httpx": ("TransportError",),
    "engine.logs.redis_server": ("RedisFailed",),
    "engine.log": ("LogAway",),
    "engine.keystores": ("KeysAway",),
    "engine.masterkey": ("MasterKeyError",),
    "engine.logs.kafka": ("WrongLog",),
    "engine.store": ("StoreAway", "Stopped"),
    "api.server": ("CannotListen",),
    "api.sources": ("SourcesError",),
    "rules.errors": ("RuleErrors",),
    "simulator.doors": ("DoorShut",),
    "simulator.mapping": ("MappingError",),
    "simulator.rows": ("UnreadableError",),
    "simulator.stepping": ("Stalled",),
    "sinks.query": ("NothingToAskError",),
    "sinks.embedded.process": ("NotStartedError",),
    "sinks.channels_setup": ("ChannelsError",),
    "sinks.migrations": ("MigrationError",),
    "clickhouse_connect.driver.exceptions": ("ClickHouseError",),
    "redis.exceptions": ("ConnectionError",),
}
MISUSED: dict[str, tuple[str, ...]] = {
    "api.refusals": ("Refused",),
    "engine.settings": ("SettingsError",),
    "simulator.bench": ("UnknownBench",),
    "simulator.policies": ("BadPolicy",),
}


def code_of(error: Exception) -> int | None:
    """The exit code for an expected error; None for one that is a fault of ours."""
    if _is_of(error, MISUSED):
        return 2
    return 1 if _is_of(error, FAILED) else None


def _is_of(error: Exception, known: dict[str, tuple[str, ...]]) -> bool:
    return any(
        isinstance(error, getattr(sys.modules[module], name))
        for module, names in known.items()
        if module in sys.modules
        for name in names
    )
