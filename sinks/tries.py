"""Whether any try of a message may have arrived: asked before the code in it goes to another.

Must live here: counting tries, in Redis, so that a relay that died in the midst of one is counted.
Must not: trying (channels_trying.py), what follows. Only of messages whose codes go back to a pool
(`Message.pooled`): a try counts before it begins, and no more once its receiver refused it or could
not be reached. What is left counts for ever: who may have had a code keeps it.
"""

from typing import Final

from redis.asyncio import Redis

from sinks.channels import Channel, Failed, Later, Message, Result

KEPT_MS: Final = 8 * 86_400_000  # beyond the message's end


class Tries:
    """The tries of messages that may have arrived."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def send(self, channel: Channel, message: Message) -> Result:
        """Send it once through a channel. Raises what the channel raises."""
        if not message.pooled:
            return await channel.send(message)
        key = _key(message)
        pipe = self._redis.pipeline(transaction=True)
        pipe.incr(key)
        pipe.pexpireat(key, message.not_after + KEPT_MS)
        await pipe.execute()
        try:
            result = await channel.send(message)
        except Later as later:
            if later.unsent:
                await self._redis.decr(key)
            raise
        if isinstance(result, Failed):
            await self._redis.decr(key)
        return result

    async def none(self, message: Message) -> bool:
        """Whether certainly no receiver has anything of it; False too where nobody counts."""
        return message.pooled and not int(await self._redis.get(_key(message)) or 0)


def _key(message: Message) -> str:
    return f"laike:tries:{message.key}"
