"""What a request may use: plain numbers, which can be imported without the engine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """A request's own settings go before the first two."""

    query_seconds: int = 60
    query_memory_mb: int = 2048
    whole_result_mb: int = 512  # of a result in a format that cannot be streamed
    queries: int = 8
    inserts: int = 4
    waiting: int = 128
    body_mb: int = 1024
    sessions: int = 256
