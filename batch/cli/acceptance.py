"""The options of the acceptance checks, as data."""

from __future__ import annotations

import click

from .options import COUNT, flag, option


def acceptance(*, refuse_refusals: bool) -> tuple[click.Option, ...]:
    """What is asked of every answer; whether refusals pass unless it is told is each command's."""
    return (
        option("--min-chars", type=COUNT, metavar="N", help="An answer has at least N characters."),
        option("--max-chars", type=COUNT, metavar="N", help="An answer has at most N characters."),
        option("--min-words", type=COUNT, metavar="N", help="An answer has at least N words."),
        option("--max-words", type=COUNT, metavar="N", help="An answer has at most N words."),
        option(
            "--require",
            multiple=True,
            metavar="TEXT",
            help="A word or phrase that must stand in an answer, in upper or lower case.",
        ),
        option(
            "--ban",
            multiple=True,
            metavar="TEXT",
            help="A word or phrase that must not stand in an answer.",
        ),
        option(
            "--match",
            metavar="REGEX",
            help="A regular expression of Python that must be found in an answer.",
        ),
        flag("--one-line", help="An answer has no line breaks."),
        flag(
            "--refuse-refusals/--allow-refusals",
            default=refuse_refusals,
            help="Whether an answer that begins like “I'm sorry, but I can't” is refused"
            f" [{'refused' if refuse_refusals else 'allowed'}].",
        ),
        flag("--fail-truncated", help="An answer that met the token limit is refused."),
        option(
            "--check-retries",
            type=click.IntRange(min=0),
            default=2,
            metavar="N",
            help="Ask so often again for an answer that passes; each answer is paid.",
        ),
        flag("--explain-retry", help="Tell the model what was wrong when it is asked again."),
    )
