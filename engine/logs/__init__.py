"""The logs a Laike can stand on, and the one place that knows which address means which.

Must live here: one file a log, one a Faust transport over it, and the servers we start ourselves.
Must not: what is in the records.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from engine.logs.kafka import KafkaLog
    from engine.logs.redis import RedisLog


def open_log(
    url: str, *, redis: "Redis | None" = None, shards: int, record: bool = False
) -> "RedisLog | KafkaLog":
    """The log at `url`: redis://, unix:// (Redis Streams) or kafka://host:port[,host:port][/topic].

    `redis` and `record` matter to Kafka alone: in record time its producer reads the world's clock
    from the store. The clients are imported here so that a process loads only the one it uses.
    """
    if url.startswith("kafka://"):
        from engine.logs.kafka import KafkaLog  # noqa: PLC0415

        return KafkaLog(url, shards, clock=redis if record else None)
    from engine.logs.redis import RedisLog  # noqa: PLC0415

    return RedisLog(url, shards)
