"""A scripted provider for tests, benches and rehearsals: it answers in process.

Its script stands in the job's `params`, so that a job file tells its own story: `reply` (text) or
`replies` (a text an attempt, the last one again and again), `finish_reason`, `delay` (seconds
before each reply), `failures` (one failure code an attempt, then the replies). Without a script it
echoes the prompt.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..errors import (
    FAILURE_CODES,
    PASSING_CODES,
    Denied,
    Halt,
    JobError,
    RateLimited,
    Rejected,
    Retryable,
)
from ..models import Reply, Request, Usage
from .base import AsyncGeneratorProvider, ProviderModelMixin
from .connection import Completer, Connection


class Fake(AsyncGeneratorProvider, ProviderModelMixin):
    """Echoes, waits and fails as its script says."""

    name = "fake"
    summary = "scripted replies for tests and rehearsals: params reply, replies, delay, failures"
    in_process = True
    default_model = "fake-1"
    supports_schema = True
    max_images = None

    def connect(self, connection: Connection) -> Completer:
        """A completer that remembers how often each prompt was asked."""
        return FakeClient()


class FakeClient:
    """Plays the scripts; `requests` is every request in order of arrival."""

    def __init__(self, *, keep: bool = False) -> None:
        self.requests: list[Request] = []
        self._keep = keep
        self._played: dict[str, int] = {}

    async def complete(self, request: Request) -> Reply:
        """The next act of the request's script."""
        if self._keep:
            self.requests.append(request)
        prompt = request.messages[-1].text if request.messages else ""
        script = request.params
        if delay := script.get("delay"):
            await asyncio.sleep(delay)
        text = script.get("reply", f"echo: {prompt}")
        failures, replies = script.get("failures", ()), script.get("replies", ())
        if failures or replies:
            act = self._next_act(request)
            if act < len(failures):
                raise failure(failures[act], script)
            if replies:
                text = replies[min(act - len(failures), len(replies) - 1)]
        usage = Usage(len(prompt) // 4, len(text) // 4)
        return Reply(text, request.model, usage, script.get("finish_reason", "stop"))

    def _next_act(self, request: Request) -> int:
        """How often the request's first prompt was asked before."""
        prompt = next((each.text for each in request.messages if each.role == "user"), "")
        act = self._played.get(prompt, 0)
        self._played[prompt] = act + 1
        return act

    async def drop(self) -> None:
        """There is no connection."""

    async def close(self) -> None:
        """Nothing is held."""


def failure(code: str, script: dict[str, Any]) -> JobError | Halt:
    """The error that a failure code stands for; `halt` and `denied` end the run."""
    if code == "halt":
        return Halt("the script says halt")
    if code == "denied":
        return Denied("the script says denied", 401)
    if code == "rate_limited":
        return RateLimited("scripted", code, 429, script.get("retry_after"))
    kind = Retryable if code in PASSING_CODES else Rejected
    return kind("scripted", code if code in FAILURE_CODES else "internal", 400)
