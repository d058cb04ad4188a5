"""Opens a file that a job names, and nothing outside the folder that the job belongs to.

The reference comes from a stranger: its words are checked first, then each folder on the way is
opened from the one before it and no link is followed, so that nobody can swap a part of the path
between the check and the opening. A reference that holds a link is resolved first, must stay
inside, and is then walked in the same way.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from msgspec import Struct

from ..errors import SHORTAGES, Crowded, JobError, Rejected, Retryable
from ..files import open_below
from ..printable import shortened

LONGEST = 4096
"""Bytes of a reference (PATH_MAX of Linux); also bounds the work of resolving it."""

MAYBE_A_LINK = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
"""What the walk meets at a link (EMLINK on FreeBSD)."""
NO_FILE = {errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}
"""What a socket, or a device without a driver, answers."""
PASSING = {errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
"""The machine's trouble, not the job's."""

FORBIDDEN = (
    (re.compile(r"\A\Z"), "is empty"),
    (re.compile(r"\0"), "holds a NUL byte"),
    (
        re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*:"),
        "looks like an address or a drive (a file of this name is written ./NAME)",
    ),
    (re.compile(r"\A(\\\\|//)"), "looks like a network share"),
    (re.compile(r"\A~"), "starts with ~, which is not expanded (a file is written ./~NAME)"),
    (re.compile(r"(\A|[/\\])\.\.([/\\]|\Z)"), "holds .. (a path may not climb)"),
)


class Opened(Struct, frozen=True):
    """A regular file under the root, open for reading; whoever holds it closes `fd`."""

    fd: int
    stat: os.stat_result


def open_confined(root: str, reference: str) -> Opened:
    """Open the file that `reference` names under the folder `root`.

    Raises `Rejected`: `not_allowed` for what leaves the root, is an address, or is no regular
    file; `image_unreadable` for what is missing, a folder or closed to us. Trouble of the machine
    (too many open files, a disk that fails) is `Retryable`. Never waits for a FIFO or a device.
    """
    check_words(reference)
    try:
        fd = open_under(root, reference)
    except OSError as error:
        raise read_error(reference, error) from error
    except (RecursionError, ValueError) as error:  # a long chain of links; a name no file can have
        raise Rejected(f"{named(reference)} cannot be opened", "image_unreadable") from error
    try:
        return Opened(fd, regular_stat(fd, reference))
    except (OSError, JobError):
        os.close(fd)
        raise


def check_words(reference: str) -> None:
    """Refuse, before the disk is asked, what no honest reference says: `not_allowed`."""
    for pattern, fault in FORBIDDEN:
        if pattern.search(reference):
            raise Rejected(f"{named(reference)} {fault}", "not_allowed")
    if len(reference.encode("utf-8", "surrogatepass")) > LONGEST:
        reason = os.strerror(errno.ENAMETOOLONG)
        raise Rejected(f"{named(reference)} cannot be opened: {reason}", "image_unreadable")


def read_error(reference: str, error: OSError) -> JobError:
    """The job's error for what the system said about its file."""
    if error.errno in NO_FILE:
        return Rejected(f"{named(reference)} is no regular file", "not_allowed")
    reason = os.strerror(error.errno) if error.errno else "unknown reason"
    if error.errno in SHORTAGES:
        return Crowded(f"{named(reference)} cannot be read now: {reason}", "image_unreadable")
    kind = Retryable if error.errno in PASSING else Rejected
    return kind(f"{named(reference)} cannot be read: {reason}", "image_unreadable")


def named(reference: str) -> str:
    """The image as messages name it."""
    return f"image '{shortened(reference)}'"


def open_under(root: str, reference: str) -> int:
    """Open what `reference` names; the links in it are followed as far as they stay inside."""
    absolute = reference.startswith("/")
    if not absolute:
        try:
            return open_below(root, reference)
        except OSError as error:
            if error.errno not in MAYBE_A_LINK:
                raise
    top = os.path.realpath(root)
    real = os.path.realpath(reference if absolute else f"{top}/{reference}")
    if os.path.commonpath((top, real)) != top:
        raise Rejected(f"{named(reference)} leaves the folder of the job", "not_allowed")
    return open_below(top, os.path.relpath(real, top))


def regular_stat(fd: int, reference: str) -> os.stat_result:
    """The stat of an open file; raises `Rejected` when it is no regular one."""
    found = os.fstat(fd)
    if stat.S_ISDIR(found.st_mode):
        raise read_error(reference, IsADirectoryError(errno.EISDIR, "a folder"))
    if not stat.S_ISREG(found.st_mode):
        raise Rejected(f"{named(reference)} is no regular file", "not_allowed")
    return found
