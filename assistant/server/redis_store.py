"""Conversations in Redis (extra `cluster`)."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from assistant.server.errors import ServerError
from assistant.server.keeper import StoreLost
from assistant.server.logs import logger

_DEADLINE_S = 1.0
_CONNECTIONS = 16  # a save takes a millisecond: more would wait for each other in Redis
_PREFIX = "assistant:conversation:"
_T = TypeVar("_T")


class RedisStore:
    """See Store. What is lost and found again is one line each in the log.

    A key is a digest of the session's id and the server's token: who reads the keys can resume nothing, and
    a server with another token finds nothing.
    """

    def __init__(self, url: str, token: str | None, ttl_s: int, most_bytes: int) -> None:
        """Connects when it is first used; raises ServerError for an address that is none."""
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_DEADLINE_S,
                socket_timeout=_DEADLINE_S,
                socket_connect_timeout=_DEADLINE_S,
                retry=Retry(NoBackoff(), 1),  # of a connection that Redis has closed while nobody used it
                retry_on_error=[Disconnected],
            )
        except ValueError as error:
            raise ServerError(f"[server] resume is no address of a Redis: {error}") from error
        self._redis = Redis.from_pool(pool)
        self._token, self._ttl_s, self._most = (token or "").encode(), ttl_s, most_bytes
        self.lost = False

    async def __aenter__(self) -> "RedisStore":
        """Say now if it cannot be reached, and not at the first conversation."""
        with suppress(StoreLost):
            await self._ask(self._redis.ping())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        await self._redis.aclose()

    async def load(self, session_id: str) -> bytes | None:
        """See Store; of what is larger than anything saved here, a part."""
        text = await self._ask(self._redis.getrange(self._key(session_id), 0, self._most))
        assert isinstance(text, bytes), "responses are not decoded"
        return text or None

    async def save(self, session_id: str, text: str) -> None:
        """See Store."""
        await self._ask(self._redis.set(self._key(session_id), text, ex=self._ttl_s))

    def _key(self, session_id: str) -> str:
        return _PREFIX + hmac.new(self._token, session_id.encode(), hashlib.sha256).hexdigest()

    async def _ask(self, asked: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                answer = await asked
        except (RedisError, OSError, TimeoutError) as error:
            if not self.lost:
                why = str(error) or f"no answer in {_DEADLINE_S:g} s"
                logger().warning("redis lost", why=why, effect="conversations cannot be resumed")
            self.lost = True
            raise StoreLost(str(error)) from error
        if self.lost:
            logger().info("redis back", effect="conversations can be resumed")
        self.lost = False
        return answer
