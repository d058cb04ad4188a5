"""The wire of a provider: pure functions between requests and bytes, without I/O or state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..errors import BatchError, UsageError
from ..models import Call, Reply, Request
from .classify import RULES, Rule, classify


class Codec:
    """What a client needs of a provider."""

    name: ClassVar[str] = ""
    """What `--provider` takes and results say."""
    default_base_url: ClassVar[str] = ""
    """Where a run goes without `--base-url`; empty when the user must name the server."""
    rules: ClassVar[tuple[Rule, ...]] = RULES
    """What an error means; a provider puts lines of its own before the shared ones."""

    def address(self, base_url: str) -> str:
        """The base URL as the wire's paths are appended to it."""
        return (base_url or self.default_base_url).rstrip("/")

    def encode(self, request: Request) -> Call:
        """The call that asks `request`; raises `Rejected` for what the wire cannot say."""
        raise UsageError(f"{self.name} does not speak HTTP")

    def decode(self, body: bytes) -> Reply:
        """The reply in the body of a 2xx response; raises a `JobError` when there is none."""
        raise UsageError(f"{self.name} does not speak HTTP")

    def headers(self, key: str) -> dict[str, str]:
        """The headers that carry the key; none when `key` is empty."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> BatchError:
        """The error that a response other than 2xx means, by `rules`."""
        return classify(status, headers, body, self.rules)
