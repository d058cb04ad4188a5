"""Any local captioner, OCR or model as a provider: a command that reads stdin and writes stdout.

The prompt goes to its stdin, images to private files whose paths are put into its words, and what
it writes to stdout is the answer. There is no shell, and a job file chooses nothing but a model.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, ClassVar

from ...errors import Crowded, Halt, JobError, Rejected, Retryable, RunError, UsageError
from ...models import Image, Job, Message, Reply, Request
from ...printable import printable, shortened
from ...processes import without_keys
from ..base import AsyncGeneratorProvider, ProviderModelMixin
from ..connection import Completer, Connection
from ..dynaspark import flatten
from ..redact import redacted, secret_forms
from ..wire import ESCAPED
from .process import Ended, TooMuch, run_command
from .scratch import Scratch
from .words import IMAGE, MODEL, Command, reason_unsafe, split_command

TEMPFAIL = 75
"""The exit code of sysexits.h by which a command asks to be tried again."""

MESSAGE_LENGTH = 500
PAGE_END = "\r\n\f"
"""What ends an answer and is no part of it; OCR ends a page with a form feed."""

SECRET = re.compile(r".*(KEY|TOKEN|SECRET|PASSWORD)", re.IGNORECASE)
"""Variables whose values are kept out of what a command is quoted with."""
SECRET_LENGTH = 8

SHORTAGES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What keeps a process from starting now, and may not in a moment."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""What keeps a prompt or an image from being written."""


class Exec(AsyncGeneratorProvider, ProviderModelMixin):
    """A command; `command_provider` makes the kind of provider that one command is."""

    name = "exec:COMMAND"
    summary = "a command of yours: prompt on stdin, {image} for its image, answer on stdout"
    in_process = True
    can_break = True
    max_images: ClassVar[int | None] = None
    command: ClassVar[Command] = Command(("COMMAND",))

    @classmethod
    def get_model(cls, model: str) -> str:
        """The model that the command is told; the program's own name when it is told none."""
        return super().get_model(model) if cls.needs_model else cls.default_model

    @classmethod
    def reason_too_many(cls, images: int) -> str:
        """Why a job with so many images is none for this command; empty when it is one."""
        if not super().reason_too_many(images):
            return ""
        if cls.max_images == 0:
            return "the job has an image and the command has no {image} to put it in"
        return f"{{image}} takes one image a job, this one has {images}: {{images}} takes several"

    def reason_unsupported(self, job: Job) -> str:
        """Why the command cannot do the job, told before anything is started."""
        if self.command.takes(IMAGE) and not job.images:
            # Without the word the command would be another one, and answer another question.
            return "the command has {image} and the job has none"
        if self.needs_model and (unsafe := reason_unsafe(job.model)):
            return unsafe
        return super().reason_unsupported(job)

    def check_usable(self) -> None:
        """Raise `UsageError` when there is no such command."""
        program = self.command.words[0]
        if shutil.which(program) is None:
            where = "no file that can be executed" if "/" in program else "not on the PATH"
            raise UsageError(f"exec: the command {shortened(program)!r} is {where}")

    def connect(self, connection: Connection) -> Completer:
        """What runs the command; the connection tells its time and the size of its answer."""
        return ExecClient(self, connection, os.environ)


def command_provider(typed: str) -> type[Exec]:
    """The provider that `exec:COMMAND` names; raises `UsageError` when that is no command."""
    split = split_command(typed.partition(":")[2])
    told = split.takes(MODEL)

    class CommandProvider(Exec):
        name = typed
        command = split
        max_images = split.max_images
        needs_model = told
        default_model = "" if told else split.program

    return CommandProvider


class ExecClient:
    """Answers each request by one run of a command."""

    def __init__(self, provider: Exec, connection: Connection, environ: Mapping[str, str]) -> None:
        self._provider = provider
        self._connection = connection
        self._environment = without_keys(environ)
        self._secrets = secrets_of(environ)
        self._scratch = Scratch()

    async def complete(self, request: Request) -> Reply:
        """What the command answers; raises `Rejected`, `Retryable` or `Halt`."""
        images = self._provider.images_of(request)
        if self._provider.needs_model and (unsafe := reason_unsafe(request.model)):
            raise Rejected(unsafe, "unsupported")
        try:
            ended = await self._run(request, images)
        except TimeoutError:
            words = f"no whole reply within {self._connection.timeout:g} s"
            raise Retryable(words, "timeout") from None
        except TooMuch:
            most = self._connection.max_response_bytes
            words = f"the reply is larger than {most} bytes (--max-response-bytes)"
            raise Rejected(words, "response_too_large") from None
        except OSError as error:
            raise not_started(error) from error
        if ended.status:
            raise self._failed(ended)
        return Reply(answer(ended.output), request.model, finish_reason="stop", source="command")

    async def _run(self, request: Request, images: Sequence[Image]) -> Ended:
        """Run the command for a request to its end."""
        async with self._scratch.files(images) as paths:
            words = self._provider.command.filled(paths, request.model)
            with tempfile.TemporaryFile() as typed:
                write_prompt(typed, request.messages)
                async with asyncio.timeout(self._connection.timeout):
                    return await run_command(
                        words,
                        typed,
                        self._environment,
                        self._connection.max_response_bytes,
                    )

    def _failed(self, ended: Ended) -> JobError:
        """The error of a command that ended with another code than 0."""
        how = f"exit code {ended.status}"
        if ended.status < 0:
            how = f"ended by signal {-ended.status} ({signal.strsignal(-ended.status)})"
        said = printable(redacted(last_line(ended.last_words), self._secrets))
        words = f"{how}: {said}" if said else how
        kind = Retryable if ended.status == TEMPFAIL else Rejected
        return kind(words[:MESSAGE_LENGTH], "command_failed")

    async def drop(self) -> None:
        """There is no connection: what runs on this machine slept with it."""

    async def close(self) -> None:
        """Remove the image files."""
        self._scratch.close()


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every form of the values that the names of their variables call secret, longest first."""
    found = {
        form
        for name, value in environ.items()
        if SECRET.fullmatch(name) and len(value) >= SECRET_LENGTH
        for form in secret_forms(value)
    }
    return tuple(sorted(found, key=len, reverse=True))


def write_prompt(typed: IO[bytes], messages: Sequence[Message]) -> None:
    """Write what the command is asked to its stdin: UTF-8, no newline added.

    The system message comes first and a blank line after it; several other messages are flattened
    as for Dynaspark.
    """
    # A file, because a pipe would have to be fed while the command runs, and holds 64 KiB.
    system = [message.text for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    text = "\n\n".join([*system, flatten(rest)] if rest else system)
    typed.write(text.encode("utf-8", ESCAPED))
    typed.seek(0)


def answer(output: bytes) -> str:
    """The text that a command wrote, less the ends of its last line and page.

    Raises `Rejected` for none, and for bytes that are no UTF-8. Neither is tried again: a command
    that wants to be says so with exit code 75.
    """
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError as error:
        words = f"the output of the command is not UTF-8 (byte {error.start + 1})"
        raise Rejected(words, "bad_response") from error
    text = text.rstrip(PAGE_END)
    if not text.strip():
        raise Rejected("the command printed nothing", "empty_output")
    return text


def last_line(told: bytes) -> str:
    """The last line of stderr that is not blank; a carriage return ends one of a progress bar."""
    lines = re.split(r"[\r\n]+", told.decode("utf-8", "replace"))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def not_started(error: OSError) -> JobError | RunError:
    """What it means that a command cannot be started or be given its files."""
    why = error.strerror or error
    if error.errno in NO_ROOM:
        place = tempfile.gettempdir()
        return Halt(f"there is no room in {place} for what the command is given: {why} ($TMPDIR)")
    words = f"the command cannot be started: {why}"
    if error.errno == errno.E2BIG:
        return Rejected(words, "command_failed")
    if error.errno in SHORTAGES:
        return Crowded(words, "command_failed")
    return Halt(words)
