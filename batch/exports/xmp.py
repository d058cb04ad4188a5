"""An XMP sidecar a picture, with the answer in one field, as `overnight caption` writes it.

An XMP file that is there may hold the edits of another program. It is never replaced: with
`--overwrite` exiftool sets that one field, and where it cannot the file stays as it is.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..lines import SLAB
from ..results.exiftool import INSTALL, MOST, Change, ExifTool
from ..results.placing import LONGEST
from ..results.sidecar_rules import xmp_name
from ..results.xmp import Field, field_of
from ..results.xmp_read import NoPacket, Packet
from .answers import Answers
from .captions import Caption, alone
from .draft import EXISTING, OF_ONE_FILE, open_folder, write_file
from .terms import Export, LeftOut, Taken, Written


class Update(NamedTuple):
    """A file of another program, and what a field of it shall say."""

    name: str
    id: str
    old: bytes
    value: str


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write the sidecars beside the images, or in the same folders under `out`.

    Their folders are not synced: the same command writes again what a power cut took.
    """
    place = Path(export.root) if export.beside else export.out
    keeps_suffix = export.xmp_naming == "photo.jpg.xmp"

    def target(found: Caption) -> str:
        return xmp_name(found.path, keeps_suffix=keeps_suffix)

    sidecars = PacketFiles(place, field_of(export.preset), left_out, overwrite=export.overwrite)
    for found in alone(answers, export, target, left_out):
        sidecars.add(target(found), found.answer.result.id, found.line)
    sidecars.flush()
    load = f"exiftool -r -ext xmp -{sidecars.field.exiftool} {shlex.quote(str(place))}"
    return Written(sidecars.rows, sidecars.files, f"{place}/….xmp", load)


class PacketFiles:
    """The XMP files under a folder; updates wait until they are worth a process."""

    def __init__(self, place: Path, field: Field, left_out: LeftOut, *, overwrite: bool) -> None:
        self.field = field
        self.rows = self.files = 0
        self._place = place
        self._left_out = left_out
        self._overwrite = overwrite
        self._exiftool = ExifTool()
        self._updates: list[Update] = []

    def add(self, name: str, id_: str, caption: str) -> None:
        """Write the file of an answer, or see what is to be done with the one that is there."""
        value = self.field.value(caption)
        if not value:
            return self._left_out.add(id_, "no keyword is left of the answer")
        packet = self.field.packet(value).encode()
        try:
            return self._write(name, id_, packet, overwrite=False)
        except Taken:
            pass
        self._each(name, id_, lambda: self._meet(Update(name, id_, self._read(name), value)))
        if len(self._updates) >= MOST:
            self.flush()
        return None

    def flush(self) -> None:
        """Have exiftool set the fields that wait; raises `OSError` when it cannot be started."""
        updates, self._updates = self._updates, []
        if not updates:
            return
        changes = [Change(each.old, self.field, each.value) for each in updates]
        for each, changed in zip(updates, self._exiftool.changed(changes), strict=True):
            if changed.trouble:
                self._left_out.add(each.id, f"{self._place / each.name} stays: {changed.trouble}")
            else:
                self._put(each, changed.packet)

    def _put(self, update: Update, packet: bytes) -> None:
        """Put what exiftool made into the place of what it was made from."""

        def put() -> None:
            if self._read(update.name) != update.old:
                self._left_out.add(update.id, "another program has just changed its XMP file")
            else:
                self._write(update.name, update.id, packet, overwrite=True)

        self._each(update.name, update.id, put)

    def _meet(self, update: Update) -> None:
        """Leave, replace or update a file that is there; raises `OSError` and `NoPacket`."""
        old, path = update.old, self._place / update.name
        if not old.strip() and self._overwrite:
            return self._replace(update)
        says = Packet(old).says(self.field)
        if says == update.value:
            self.rows += 1
        elif not self._overwrite:
            words = f"exists and differs: --overwrite sets its {self.field.name}"
            self._left_out.add(update.id, f"{path} {words}")
        elif self.field.packet(says).encode() == old:
            self._replace(update)
        elif not self._exiftool.is_there:
            words = "is another program's and stays"
            self._left_out.add(update.id, f"{path} {words}: {INSTALL}")
        else:
            self._updates.append(update)
        return None

    def _replace(self, update: Update) -> None:
        """Write a file of ours anew; raises `OSError`."""
        packet = self.field.packet(update.value).encode()
        self._write(update.name, update.id, packet, overwrite=True)

    def _write(self, name: str, id_: str, packet: bytes, *, overwrite: bool) -> None:
        """Write a file and count it; raises `OSError` and `Taken`."""

        def write() -> None:
            self.files += write_file(self._place, name, (packet,), overwrite=overwrite)
            self.rows += 1

        self._each(name, id_, write)

    def _each(self, name: str, id_: str, act: Callable[[], None]) -> None:
        """Do something with one file; what is wrong with that file alone leaves it out."""
        try:
            act()
        except NoPacket as error:
            self._left_out.add(id_, f"{self._place / name} {error}")
        except OSError as error:
            if error.errno not in OF_ONE_FILE:
                raise
            self._left_out.add(id_, f"cannot be written: {error.strerror}")

    def _read(self, name: str) -> bytes:
        """The bytes of a file that is there; raises `OSError`, also for a link."""
        *folders, last = name.split("/")
        folder = open_folder(self._place, folders, make=False)
        try:
            fd = os.open(last, EXISTING, dir_fd=folder)
        finally:
            os.close(folder)
        with os.fdopen(fd, "rb") as file:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LONGEST:
                raise NoPacket("is no file of a size that a packet has")
            return b"".join(iter(lambda: file.read(SLAB), b""))
