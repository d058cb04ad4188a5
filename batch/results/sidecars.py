"""Sidecars: the answers as small files beside their pictures, made from the results file.

The record comes first. A sidecar can be made again from it at any time, free of charge, so a crash
between the two costs nothing; and whether a sidecar is ours is told by comparing it with what our
records would have written. Everything here blocks: it is called in threads.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..errors import UsageError
from ..files import part_of
from .exiftool import MOST, Change, Changed, ExifTool
from .index import file_lines
from .joining import Piece
from .paths import Paths
from .placing import Found, keep_backup, read_sidecar, write_sidecar
from .records import LONE, decoded
from .sidecar_rules import Answer, SidecarRules
from .xmp_read import NoPacket

SHOWN_CLASHES = 20


ANSWER = msgspec.json.Decoder(Answer)


class SidecarTally(Struct):
    """What became of the sidecars of a run."""

    written: int = 0
    recovered: int = 0
    """Those among them that answers of earlier runs were missing."""
    kept: int = 0
    """Sidecars that are not what their answer says, and stay."""
    without_exiftool: int = 0
    """XMP files of other programs that stay because nobody can set a field of them."""
    no_packet: int = 0
    """XMP files that stay because they are none."""
    first_no_packet: str = ""
    """The first of them, and why it is none."""
    backed_up: int = 0
    empty: int = 0
    """Answers of which nothing was left to write."""
    failed: int = 0
    trouble: str = ""
    """Why the first one could not be written."""


class Update(NamedTuple):
    """An XMP file of another program whose field is to be set."""

    path: Path
    found: Found
    text: str
    backup: bool


class Sidecars:
    """The sidecars of the pictures of one run. Memory: about 200 bytes a picture.

    `images` are ids, roots and paths from the root; an id is kept by its hash.
    """

    def __init__(self, rules: SidecarRules, images: Iterable[tuple[str, str, str]]) -> None:
        self.rules = rules
        self.tally = SidecarTally()
        self._images: dict[int, str] = {}
        self._roots: dict[int, str] = {}
        self._root = ""
        self._present: dict[int, int] = {}
        """Sidecars that stood there at the look: hash of the id → hash of the text."""
        self._foreign: set[int] = set()
        self._stale: dict[int, Piece] = {}
        """Sidecars that hold an answer of ours which was superseded since."""
        self._joint = rules.joint
        self._exiftool = ExifTool() if rules.updates else None
        self._updates: list[Update] = []
        for name, root, image in images:
            self._root = self._root or root
            self._images[hash(name)] = image
            if root != self._root:
                self._roots[hash(name)] = root

    def is_foreign(self, name: str) -> bool:
        """Whether the picture of an id has a sidecar that no record of ours accounts for."""
        return hash(name) in self._foreign

    def refuse_clashes(self, paths: Paths) -> None:
        """Raise `UsageError` when two pictures would share a sidecar, or one is our own output.

        Names that differ in case or Unicode form only are one name on many disks.
        """
        taken: dict[str, str] = {}
        clashes: list[str] = []
        outputs = {str(getattr(paths, field)) for field in paths.__struct_fields__}
        number = 0
        for mark, image in self._images.items():
            sidecar = str(self._path(mark, image))
            if sidecar in outputs:
                raise UsageError(f"the sidecar of {image} would be {sidecar}, a file of this run")
            first = taken.setdefault(unicodedata.normalize("NFC", sidecar).casefold(), image)
            if first != image:
                number += 1
                if number <= SHOWN_CLASHES:
                    shared = self.rules.name_for(first)
                    clashes.append(f"{first} and {image} would share the sidecar {shared}")
        if number:
            if number > SHOWN_CLASHES:
                clashes.append(f"… and {number - SHOWN_CLASHES:,} more")
            words = (
                "nothing was sent: rename one of each, leave one out with --exclude or --ext, "
                "or write no sidecars (--sidecar none)"
            )
            raise UsageError("\n".join([*clashes, words]))

    def look(self, paths: Paths) -> None:
        """See which sidecars stand there, and which of them are none of ours."""
        for mark, image in self._images.items():
            path = self._path(mark, image)
            try:
                found = read_sidecar(path)
                if found is not None:
                    self._present[mark] = hash(self.rules.said(found.text))
            except (OSError, ValueError):
                if os.path.lexists(path):
                    self._present[mark] = 0
        self._foreign = set(self._present)
        if self._foreign:
            for path in (paths.results, paths.superseded):
                for answer in self._answers(path):
                    mark = hash(answer.id)
                    if mark in self._foreign and self._stands(mark, self.rules.text(answer)):
                        self._foreign.discard(mark)

    def catch_up(self, paths: Paths) -> None:
        """Write what the answers of earlier runs are missing; their records stand as they shall."""
        self._clean_up()
        if self._present:
            for answer in self._answers(paths.superseded):
                mark = hash(answer.id)
                if mark in self._present and self._stands(mark, text := self.rules.text(answer)):
                    self._stale[mark] = self._joint.piece(text)
        for answer in self._answers(paths.results):
            mark = hash(answer.id)
            if mark in self._images and not self._stands(mark, self.rules.text(answer)):
                self.settle(answer)
        self.flush()
        self.tally.recovered = self.tally.written

    def _clean_up(self) -> None:
        """Remove what a kill left of ours beside sidecars that somebody has written since."""
        for mark in self._foreign:
            with contextlib.suppress(OSError, ValueError):
                part_of(self._path(mark, self._images[mark])).unlink(missing_ok=True)

    def settle(self, answer: Answer) -> None:
        """Bring the sidecar of a recorded answer up to it, as far as the rules allow.

        What exiftool has to do waits for `flush`, or until it is worth a process.
        """
        mark = hash(answer.id)
        image = self._images.get(mark)
        if image is None:
            return  # its picture left the folder
        text = self.rules.text(answer)
        if not text:
            self.tally.empty += 1
            return
        path = self._path(mark, image)
        try:
            self._settle(path, text, answer, self._stale.get(mark))
        except NoPacket as error:
            self.tally.no_packet += 1
            self.tally.first_no_packet = self.tally.first_no_packet or f"{path} {error}"
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            self._failed(path, getattr(error, "strerror", None) or str(error))
        if len(self._updates) >= MOST:
            self.flush()

    def stop(self) -> None:
        """Give up what exiftool has to do: the next run does it. Called from another thread."""
        if self._exiftool is not None:
            self._exiftool.stop()

    def flush(self) -> None:
        """Have exiftool set the fields that wait."""
        updates, self._updates = self._updates, []
        if not updates:
            return
        assert self._exiftool is not None
        changes = [Change(bytes(each.found), self.rules.field, each.text) for each in updates]
        try:
            outcomes = self._exiftool.changed(changes)
        except OSError as error:
            for each in updates:
                self._failed(each.path, f"exiftool: {error.strerror}")
            return
        for update, outcome in zip(updates, outcomes, strict=True):
            self._place(update, outcome)

    def _place(self, update: Update, outcome: Changed) -> None:
        """Put what exiftool made into the place of what it was made from."""
        path, found = update.path, update.found
        try:
            if outcome.trouble:
                self._failed(path, outcome.trouble)
            elif read_sidecar(path) != found:
                self._failed(path, "another program has just changed it")
            else:
                text = outcome.packet.decode("utf-8", "surrogateescape")
                self._write(path, text, found.mode, backup=update.backup)
        except OSError as error:
            self._failed(path, error.strerror or str(error))

    def _failed(self, path: Path, reason: str) -> None:
        """Count a sidecar that could not be written; the first reason is told."""
        self.tally.failed += 1
        self.tally.trouble = self.tally.trouble or f"cannot write {path}: {reason}"

    def _settle(self, path: Path, text: str, answer: Answer, stale: Piece | None) -> None:
        """Write, replace, join or leave; raises `OSError`, and `NoPacket` for what stays."""
        found = read_sidecar(path)
        if found is None:
            return self._write(path, self.rules.file(text))
        said = self.rules.said(found.text)
        if self._joint.holds(said, self._joint.piece(text)):
            return None
        if not said:
            return self._replace(path, found, text)  # its field is free
        if stale is not None and self._joint.holds(said, stale):
            # The answer was ours, and the picture or the prompt changed since.
            rest = self._joint.rest(said, stale)
            return self._replace(path, found, self._joint.joined(rest, text) if rest else text)
        return self._settle_foreign(path, found, text, answer)

    def _settle_foreign(self, path: Path, found: Found, text: str, answer: Answer) -> None:
        """Do to somebody else's sidecar what was asked for.

        One that is younger than the answer was edited since: nothing is joined to it a second
        time, and what it said is not lost when it is overwritten. Raises `OSError`.
        """
        existing = self.rules.existing
        edited = found.mtime_ns > nanoseconds(answer.finished_at)
        unreadable = LONE.search(found.text) is not None
        if existing == "skip" or (self._joint.joins and (edited or unreadable)):
            self.tally.kept += 1
        elif self._joint.joins:
            self._replace(path, found, self._joint.joined(self.rules.said(found.text), text))
        else:
            self._replace(path, found, text, backup=existing == "backup" or edited)

    def _replace(self, path: Path, found: Found, text: str, *, backup: bool = False) -> None:
        """Let a sidecar that is there say a text; raises `OSError`."""
        if self._exiftool is None or self.rules.file(self.rules.said(found.text)) == found.text:
            self._write(path, self.rules.file(text), found.mode, backup=backup)
        elif self._exiftool.is_there:
            self._updates.append(Update(path, found, text, backup))
        else:
            self.tally.without_exiftool += 1

    def _write(
        self, path: Path, text: str, mode: int | None = None, *, backup: bool = False
    ) -> None:
        """Write a sidecar; raises `OSError`."""
        if self.rules.folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if backup:
            keep_backup(path)
            self.tally.backed_up += 1
        write_sidecar(path, text, mode)
        self.tally.written += 1

    def _stands(self, mark: int, text: str) -> bool:
        """Whether a sidecar held a text at the look."""
        if not self._joint.joins:
            return self._present.get(mark) == hash(text)
        if mark not in self._present:
            return False
        try:
            found = read_sidecar(self._path(mark, self._images[mark]))
            said = self.rules.said(found.text) if found is not None else ""
        except (OSError, ValueError):
            return False
        return bool(said) and self._joint.holds(said, self._joint.piece(text))

    def _path(self, mark: int, image: str) -> Path:
        """Where the sidecar of a picture stands."""
        base = self.rules.folder or self._roots.get(mark, self._root)
        return Path(base, self.rules.name_for(image))

    def _answers(self, path: Path) -> Iterator[Answer]:
        """The answers of a file of results; what is none is passed over."""
        for line in file_lines(path):
            if (answer := decoded(ANSWER, line)) is not None:
                yield answer


def nanoseconds(moment: str) -> int:
    """A moment of a record in nanoseconds since the epoch; 0 for one that cannot be read."""
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1e9)
    except ValueError:
        return 0
