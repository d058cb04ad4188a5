"""One field of XMP files of other programs is set by exiftool, which knows what they write.

exiftool is given copies in a folder of ours and writes new files there: it meets no name and no
file of the user, no text stands in its words, and what it wrote is read back and compared before
anybody puts it anywhere. Many files go through one process, because its start costs twenty times
the work (measured: 190 ms for one file, 10 ms each for a hundred).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..processes import ended, send, start, without_keys
from ..scratch import ScratchFolder
from .xmp import Field
from .xmp_read import DEFAULT, NoPacket, Packet

MOST = 64
"""Files that go through one process."""

SECONDS = 30.0
"""Time for a process; each file gets a second more."""

INSTALL = "exiftool is not on PATH (Debian and Ubuntu: apt install libimage-exiftool-perl)"

STOPPED = "interrupted: the same command goes on"

LONGEST = 300
"""Characters of what exiftool is quoted with."""


class Change(NamedTuple):
    """A packet, and what one of its fields shall say."""

    packet: bytes
    field: Field
    value: str


class Changed(NamedTuple):
    """What came of a change: the new packet, or why there is none."""

    packet: bytes
    trouble: str = ""


class ExifTool:
    """The exiftool on PATH, looked up once. Its calls block; `stop` may come from another thread.

    The user's own configuration of exiftool is not read: it may add to what is written.
    """

    def __init__(self) -> None:
        self._program = shutil.which("exiftool")
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def is_there(self) -> bool:
        """Whether there is an exiftool."""
        return self._program is not None

    def stop(self) -> None:
        """End the process that works now; nothing is changed any more."""
        self._stopped = True
        if self._process is not None:
            send(self._process, signal.SIGKILL)

    def changed(self, changes: Sequence[Change]) -> list[Changed]:
        """New packets for at most `MOST` changes, in their order.

        Each says what it shall, and loses nothing that the old one says. Raises `OSError` when
        exiftool cannot be started or there is no room for its files.
        """
        if self._stopped:
            return [Changed(b"", STOPPED)] * len(changes)
        scratch = ScratchFolder("overnight-xmp-")
        try:
            folder = scratch.path
            for number, change in enumerate(changes):
                (folder / f"{number}.old.xmp").write_bytes(change.packet)
                packet = change.field.packet(change.value)
                (folder / f"{number}.set.xmp").write_text(packet, "utf-8", newline="")
            told = self._run(folder, changes)
            outcomes = [result(folder, number, each, told) for number, each in enumerate(changes)]
        finally:
            scratch.close()
        if self._stopped:
            return [each if each.packet else Changed(b"", STOPPED) for each in outcomes]
        return outcomes

    def _run(self, folder: Path, changes: Sequence[Change]) -> str:
        """Let exiftool work through a folder; what it complained of."""
        assert self._program is not None
        words = [self._program, "-config", "", "-@", "-"]  # "" is none, and it must come first
        with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as told:
            typed.write("".join(f"{word}\n" for word in orders(changes)).encode())
            typed.seek(0)
            process = start(words, typed, without_keys(os.environ), told, told, folder)
            self._process = process
            if self._stopped:
                send(process, signal.SIGKILL)
            in_time = ended(process, SECONDS + len(changes))
            self._process = None
            told.seek(0)
            complaint = told.read(1 << 20).decode("utf-8", "replace")
        return complaint if in_time else f"{complaint}\nexiftool took too long"


def orders(changes: Sequence[Change]) -> Iterator[str]:
    """The lines by which exiftool copies each field out of a packet of ours.

    Copying keeps a text as it is: no escapes, and line breaks stand. Of a text in several languages
    the one that stands for all is set, and the others stay.
    """
    for number, change in enumerate(changes):
        name = change.field.exiftool
        yield from ("-q", "-q", "-tagsFromFile", f"{number}.set.xmp")
        yield f"-{name}" if change.field.keywords else f"-{name}-{DEFAULT}<{name}"
        yield from ("-o", f"{number}.new.xmp", f"{number}.old.xmp", "-execute")


def result(folder: Path, number: int, change: Change, told: str) -> Changed:
    """The packet that exiftool wrote for a change, or why it is not to be used."""
    try:
        data = (folder / f"{number}.new.xmp").read_bytes()
    except FileNotFoundError:
        return Changed(b"", f"exiftool: {complaint_of(told, number)}"[:LONGEST])
    try:
        packet = Packet(data)
        if packet.says(change.field) != change.value:
            return Changed(b"", f"exiftool did not write {change.field.name} as it should")
        if lost := Packet(change.packet).lost(packet, change.field):
            return Changed(b"", f"exiftool would have lost {lost}"[:LONGEST])
    except NoPacket as error:
        return Changed(b"", f"what exiftool wrote {error}")
    return Changed(data)


def complaint_of(told: str, number: int) -> str:
    """What was said about a file, else what was said last."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    ending = f" - {number}.old.xmp"
    own = [line.removesuffix(ending) for line in lines if line.endswith(ending)]
    return (own or lines or ["no reason was given"])[-1]
