"""About how many tokens a request takes, for limits and prices that are told before it is sent."""

from __future__ import annotations

from .models import Reply, Request

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
        return self._rule_of_thumb(request) * self._factor()

    def learn(self, request: Request, reply: Reply) -> float | None:
        """The tokens that a reply reports; None when it reports none."""
        usage = reply.usage
        if usage.input_tokens is None and usage.output_tokens is None:
            return None
        used = float((usage.input_tokens or 0) + (usage.output_tokens or 0))
        self._answers += 1
        self._thought += self._rule_of_thumb(request)
        self._used += used
        return used

    def _rule_of_thumb(self, request: Request) -> float:
        """Tokens by the number of characters and pictures."""
        characters = sum(len(message.text) for message in request.messages)
        characters += len(str(request.body)) if request.body else 0
        images = sum(1 for _ in request.images())
        return characters / CHARACTERS_A_TOKEN + images * IMAGE_TOKENS + ANSWER_TOKENS

    def _factor(self) -> float:
        """What was used over what was thought."""
        if self._answers < TRUSTED or not self._used:
            return 1.0
        return self._used / self._thought
