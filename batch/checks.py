"""Acceptance checks: what an answer must be like to be saved, and asking again when it is not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from .declined import refusal
from .errors import Rejected, Unfit, UsageError
from .models import Message, Reply, Request
from .patterns import Endless, found, holds, plain

CUT_SHORT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Finish reasons of an answer that met the token limit, in lower case, over all wires."""

KEPT = 2000
"""Characters of a failure's message, which ends with the answer that did not pass."""

QUOTED = 2000
"""Characters of its own answer that a model is shown when it is told what was wrong with it."""


class Problem(Struct, frozen=True):
    """Why an answer did not pass."""

    check: str
    """The option that asked for it."""
    words: str
    """What is said of the answer: it …"""


class Checks(Struct, frozen=True, kw_only=True):
    """What is asked of every answer; fields are named as the options.

    Each check looks at the answer without the white space around it. Characters are those of
    Unicode, words are what stands between white space.
    """

    min_chars: int | None = None
    max_chars: int | None = None
    min_words: int | None = None
    max_words: int | None = None
    require: tuple[str, ...] = ()
    """Words and phrases that must stand in it."""
    ban: tuple[str, ...] = ()
    """Words and phrases that must not."""
    match: str | None = None
    """A regular expression that must be found in it."""
    one_line: bool = False
    refuse_refusals: bool = False
    fail_truncated: bool = False
    check_retries: int = 2
    """How often a job is asked again for an answer that passes."""
    explain_retry: bool = False
    """Whether the model is told what was wrong."""

    @property
    def asks_nothing(self) -> bool:
        """Whether every answer passes."""
        return self == Checks(check_retries=self.check_retries, explain_retry=self.explain_retry)

    def validate(self) -> None:
        """Raise `UsageError` for checks that no answer can pass or that cannot be made."""
        for unit in ("chars", "words"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise UsageError(f"--min-{unit} {least} is more than --max-{unit} {most}")
        for option, phrases in (("--require", self.require), ("--ban", self.ban)):
            if not all(phrase.strip() for phrase in phrases):
                raise UsageError(f"{option} is empty: give a word or a phrase")
        for phrase in self.require:
            if any(holds(plain(phrase), banned) for banned in self.ban):
                raise UsageError(f"--require {phrase!r} asks for what --ban refuses")
        try:
            re.compile(self.match or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"--match {self.match!r} is no regular expression: {error}") from error

    def problem(self, reply: Reply) -> Problem | None:
        """The first thing that is wrong with an answer; None when it passes."""
        return next(self._problems(reply.text.strip(), reply.finish_reason), None)

    def _problems(self, text: str, finish_reason: str) -> Iterator[Problem]:
        """All that is wrong, what explains most first."""
        if self.fail_truncated and finish_reason.lower() in CUT_SHORT:
            yield Problem("--fail-truncated", f"it was cut short (finish reason {finish_reason})")
        if self.refuse_refusals and (words := refusal(text)):
            yield Problem("--refuse-refusals", f"it declines to answer (“{words}”)")
        if self.one_line and (lines := len(text.splitlines())) > 1:
            yield Problem("--one-line", f"it has {lines:,} lines")
        yield from beyond("chars", "characters", len(text), self.min_chars, self.max_chars)
        yield from beyond("words", "words", len(text.split()), self.min_words, self.max_words)
        yield from self._wrong_words(plain(text))
        if self.match is not None and (words := mismatch(self.match, text)):
            yield Problem("--match", words)

    def _wrong_words(self, text: str) -> Iterator[Problem]:
        """Phrases that must not stand in a `plain` text, then those that are missing in it."""
        for phrase in self.ban:
            if holds(text, phrase):
                yield Problem("--ban", f"it contains “{phrase}”")
        for phrase in self.require:
            if not holds(text, phrase):
                yield Problem("--require", f"it does not contain “{phrase}”")


def beyond(
    option: str, unit: str, count: int, least: int | None, most: int | None
) -> Iterator[Problem]:
    """The problem of a count that is out of its bounds."""
    if least is not None and count < least:
        words = f"it has {count:,} {unit}, and at least {least:,} are asked for"
        yield Problem(f"--min-{option}", words)
    if most is not None and count > most:
        words = f"it has {count:,} {unit}, and at most {most:,} are allowed"
        yield Problem(f"--max-{option}", words)


def mismatch(pattern: str, text: str) -> str:
    """What is said of a text in which a pattern is not found; empty when it is found."""
    try:
        return "" if found(re.compile(pattern), text) else f"it does not match {pattern}"
    except Endless:
        return f"looking for {pattern} in it takes too long: write a simpler pattern"


async def accepted(
    ask: Callable[[Request], Awaitable[Reply]],
    request: Request,
    checks: Checks | None,
    again: Callable[[Unfit], None],
    late: Callable[[], bool],
) -> Reply:
    """An answer that passes: `ask` raises `Unfit` for one that does not, and is called again.

    `again` is told before each further call, and none is made once it is `late`. Raises
    `Rejected` when the tries are spent; every other error passes through.
    """
    if checks is None:
        return await ask(request)
    asked, left = request, checks.check_retries
    while True:
        try:
            return await ask(asked)
        except Unfit as unfit:
            if not left or late():
                raise Rejected(final_words(unfit), "checks_failed", 200) from unfit
            left -= 1
            again(unfit)
            if checks.explain_retry:
                asked = explained(request, unfit)


def final_words(unfit: Unfit) -> str:
    """What the failed file says: the check, and the answer, so that what was paid for is kept."""
    return f"{unfit}; the answer was: {unfit.text}"[:KEPT]


def explained(request: Request, unfit: Unfit) -> Request:
    """The request with its answer and, as one more user message, what was wrong with it.

    The answer stands between them because many chat templates want the roles to take turns. A
    batch line's body is sent as it was written.
    """
    if request.body is not None:
        return request
    words = f"That answer cannot be used: {unfit.reason}. Answer again, with the new answer alone."
    turns = (Message("assistant", unfit.text[:QUOTED]), Message("user", words))
    return replace(request, messages=request.messages + turns)
