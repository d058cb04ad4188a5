"""About how many tokens a request takes, for limits and prices that are told before it is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .media.request import body_images
from .models import Job, Reply, Request, Text

CHARACTERS_A_TOKEN = 4
"""A rule of thumb for English; every estimate made with it is called one."""

IMAGE_TOKENS = 1000
"""About what vendors count for a picture of 1024 px (PROVIDERS, *Images*: 765 to 1,300)."""

ANSWER_TOKENS = 200
"""Of an answer, as long as none came."""

TRUSTED = 10
"""Answers that make the estimate better than the rule of thumb."""


class TokenEstimate:
    """Estimates tokens, and learns from what replies report how far off it is."""

    def __init__(self) -> None:
        self._answers = 0
        self._thought = 0.0
        self._used = 0.0

    def __repr__(self) -> str:
        return f"TokenEstimate({self._factor():.3g} of the rule of thumb)"

    def of(self, request: Request) -> float:
        """Tokens of a request and its answer."""
        return self.rule_of_thumb(request) * self._factor()

    def learn(self, request: Request, reply: Reply) -> float | None:
        """The tokens that a reply reports; None when it reports none."""
        usage = reply.usage
        if usage.input_tokens is None and usage.output_tokens is None:
            return None
        used = float((usage.input_tokens or 0) + (usage.output_tokens or 0))
        self._answers += 1
        self._thought += self.rule_of_thumb(request)
        self._used += used
        return used

    def rule_of_thumb(self, request: Request) -> float:
        """Tokens by the number of characters and pictures."""
        characters = sum(len(message.text) for message in request.messages)
        images = sum(not isinstance(part, Text) for part in request.parts())
        if request.body:
            inside = list(body_images(request.body))
            characters += len(str(request.body)) - sum(map(len, inside))
            images += len(inside)
        return characters / CHARACTERS_A_TOKEN + images * IMAGE_TOKENS + ANSWER_TOKENS

    def _factor(self) -> float:
        """What was used over what was thought."""
        if self._answers < TRUSTED or not self._used:
            return 1.0
        return self._used / self._thought


def job_size(job: Job) -> tuple[int, int]:
    """The characters of a job's texts, and how many images it has."""
    characters, images = 0, len(job.images)
    for message in job.messages:
        if isinstance(message.content, str):
            characters += len(message.content)
        else:
            characters += sum(len(part.text) for part in message.content if isinstance(part, Text))
    if job.body is not None:
        characters += text_size(job.body.get("messages"))
        images += sum(1 for _ in body_images(job.body))
    return characters, images


def text_size(value: Any) -> int:
    """Characters of the texts in some JSON, less images."""
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if isinstance(value, dict):
        value = value.values()
    return sum(map(text_size, value)) if isinstance(value, Iterable) else 0
