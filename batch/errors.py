"""The errors, and what the run does with each: the class is the policy.

::

    BatchError
    ├── UsageError     found before the run: exit 2, nothing was sent
    ├── RunError       ends the whole run in order; `exit_code` says how
    │   ├── Halt           the provider is unusable: exit 4, no job is failed for it
    │   │   └── Denied         401 or 403: believed when it is met a second time
    │   ├── Away           the provider stayed away longer than --max-outage: exit 3
    │   ├── OutputError    results cannot be created (73) or written (74)
    │   ├── Unreadable     the source cannot be read to its end: exit 74
    │   ├── Locked         another run holds the lock: exit 75
    │   └── Interrupted    a signal came before the first request: exit 130 or 143
    └── JobError       belongs to one job, which ends as a line of the failed file
        ├── Rejected       the same again would be refused again: not retried
        ├── Unfit          an answer that is not accepted: asked again at once, a few times
        └── Retryable      passing trouble: tried again after a pause, an attempt spent
            ├── Unreachable    nobody answers at the address: no job is failed for it
            └── RateLimited    "slow down": the lane pauses, no attempt is spent
                ├── Outage         the provider is away: spent attempts are given back
                └── Crowded        this machine has too much open: fewer at a time

`Left` stands aside: it is no error but the word of a stopping run to its own jobs.
"""

from __future__ import annotations

import errno
import struct
import zlib

EXIT_CODES = {
    0: "everything is answered (also: nothing to do)",
    1: "finished, some jobs failed",
    2: "usage, bad job file or bad configuration: nothing was sent",
    3: "stopped early by a guard: run the same command again",
    4: "the provider is unusable: no job is marked failed for it",
    70: "a bug of ours (traceback on stderr); results are safe",
    73: "output cannot be created",
    74: "output cannot be written (disk full, fsync error), or the source read to its end",
    75: "another run holds the lock",
    130: "interrupted by SIGINT; state saved",
    143: "ended by SIGTERM or SIGHUP; state saved",
}

FAILURE_CODES = {
    "bad_job": "the line is no valid job (only with --skip-bad-lines)",
    "image_unreadable": "the image is missing, a folder, or may not be read",
    "image_invalid": "the bytes are no image of an allowed type, or are cut short",
    "image_too_large": "the image is over the limit in bytes or in pixels",
    "not_allowed": "the image reference leaves the root, is an address or no regular file",
    "unsupported": "the provider cannot do this kind of job, or an extra is not installed",
    "refused": "the model or its safety filter declined to answer",
    "rejected": "the provider refused the request as it stands (400, 413, 422 …)",
    "empty_output": "the answer was empty, also when asked again",
    "bad_response": "the reply could not be understood (HTML, broken JSON, no answer in it)",
    "response_too_large": "the reply was over the limit in bytes, or of too many values",
    "rate_limited": "the provider kept asking to slow down until the time was up",
    "server_error": "the provider kept answering 5xx, 408, 409 or 425",
    "timeout": "no whole reply within the time of an attempt",
    "connection": "no connection, or it broke before the reply was whole",
    "checks_failed": "the answer did not pass the acceptance checks",
    "command_failed": "the command of an exec provider failed",
    "interrupted_often": "in flight in three runs in a row that died, alone in the last two",
    "internal": "a bug of ours met while doing this job (traceback in the log)",
}

PASSING_CODES = frozenset(
    {"empty_output", "bad_response", "rate_limited", "server_error", "timeout", "connection"}
)
"""Codes of passing trouble: such jobs are tried again, by the next run too."""

MACHINE_FAULTS = frozenset(
    {
        *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOMEM),
        *(errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT),
    }
)
"""What the system says of a disk or a machine in trouble, which is no bug of ours."""

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
"""What it says when too much is open at once: fewer at a time may do."""

DECODER_FAULTS = (
    OSError,  # truncated, unidentified
    SyntaxError,  # broken structure
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AssertionError,  # a palette image without a palette
    RuntimeError,  # what the AVIF and HEIF decoders say; RecursionError
    struct.error,
    zlib.error,
    Warning,  # where the process makes them errors
)
"""What Pillow raises for damaged files, beside its bomb errors: there is no common base."""


class BatchError(Exception):
    """The base of every error that this package raises on purpose."""


class UsageError(BatchError):
    """The command, the job file or the configuration cannot be used as it is."""

    exit_code = 2


class RunError(BatchError):
    """Ends the whole run in order; answers that were counted stay."""

    exit_code = 70


class Halt(RunError):
    """The provider cannot be used for any job: key, quota, model, address."""

    exit_code = 4


class Denied(Halt):
    """The key, or this machine's place, was refused: believed when it is met a second time.

    Some gateways answer 401 or 403 for a moment while they restart or change keys, and Gemini
    refuses the place of some requests among many; `http_status` is the status of the reply.
    """

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class Away(RunError):
    """The provider was away too long: the jobs are left for the same command later."""

    exit_code = 3


class OutputError(RunError):
    """The output cannot be created (73) or written (74)."""

    def __init__(self, message: str, exit_code: int = 74) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Unreadable(RunError):
    """The source could be read when the run began, and now it cannot: the rest is left."""

    exit_code = 74


class Locked(RunError):
    """Another living run holds the lock of this output."""

    exit_code = 75


class Interrupted(RunError):
    """A signal ended the run before it sent anything."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("interrupted: nothing was sent")
        self.exit_code = exit_code


class JobError(BatchError):
    """One job cannot be answered.

    `code` is one of `FAILURE_CODES`; `http_status` is the status of the reply, if one came.
    """

    retryable = False

    def __init__(self, message: str, code: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class Rejected(JobError):
    """The job itself is at fault: sending it again would change nothing."""


class Unfit(JobError):
    """An answer did not pass the checks.

    `check` is the option that asked for what it lacks, `reason` says so of it (it …), `text` is
    the whole answer.
    """

    def __init__(self, check: str, reason: str, text: str) -> None:
        super().__init__(f"{check}: {reason}", "checks_failed", 200)
        self.reason = reason
        self.text = text


class Retryable(JobError):
    """Passing trouble; `retry_after` is what the server asked for, in seconds."""

    retryable = True

    def __init__(
        self,
        message: str,
        code: str,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code, http_status)
        self.retry_after = retry_after


class Unreachable(Retryable):
    """Nobody answers at the address, which no job is at fault for: tried until the outage ends."""


class RateLimited(Retryable):
    """The provider asks for patience: pauses the whole lane and spends no attempt."""


class Outage(RateLimited):
    """The provider is away; the lane waits for it, and the job's attempts start anew."""


class Crowded(RateLimited):
    """Too much is open at once on this machine: tried again, fewer at a time, never a failure."""


class Left(Exception):
    """The run is stopping, so this job is left undone and unrecorded."""
