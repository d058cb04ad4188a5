"""The seam between a provider and the wire: how to reach it, and what answers requests."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ..models import Reply, Request


class Connection(Struct, frozen=True):
    """How a provider is reached. Times are seconds."""

    base_url: str = ""
    """Up to, not including, the wire's own path."""
    endpoint: str = ""
    """A full address that stands in place of base URL and path."""
    key: str = ""
    key_variable: str = ""
    """The environment variable that may hold the key, for words; empty for a single call."""
    timeout: float = 120.0
    """Bound of one attempt, from the first byte sent to the last byte read."""
    concurrency: int = 8
    max_response_bytes: int = 8 << 20
    proxy: str | None = None
    """An explicit proxy; empty for none. Without one HTTPS_PROXY and NO_PROXY count."""

    def __repr__(self) -> str:
        return f"Connection(base_url={self.base_url!r}, key={'set' if self.key else 'none'})"


class Completer(Protocol):
    """Answers requests: an HTTP client around a codec, or a provider that works in process."""

    async def complete(self, request: Request) -> Reply:
        """Answer one request, once; raises a `JobError` or a `RunError`, never retries."""

    async def drop(self) -> None:
        """Close every connection, also those in use, because they may lead nowhere any more.

        Requests in flight fail as `Retryable` with `connection`; the next request opens new ones.
        One that holds no connections does nothing.
        """

    async def close(self) -> None:
        """Free what is held; the completer is not used afterwards."""
