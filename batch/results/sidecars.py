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
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from ..errors import UsageError
from ..files import part_of
from ..models import Media
from .index import file_lines
from .paths import Paths
from .placing import Found, keep_backup, read_sidecar, write_sidecar
from .records import LONE, decoded, encode_line
from .wording import Wording, one_line, tags_of
from .xmp import alt_text, description, keywords

Existing = Literal["skip", "overwrite", "append", "prepend", "backup"]
JOINING = frozenset({"append", "prepend"})

SHOWN_CLASHES = 20


class SidecarRules(Struct, frozen=True):
    """Which sidecars are written, where, and what is done to those that stand there."""

    kind: Literal["txt", "xmp", "json"] = "txt"
    preset: str = "caption"
    """What was asked for: decides the field of an XMP file."""
    extension: str = ".txt"
    """Of a text sidecar."""
    keeps_suffix: bool = True
    """An XMP sidecar is `photo.jpg.xmp` and not `photo.xmp`."""
    folder: str = ""
    """Where the tree of sidecars is mirrored (absolute); empty for beside the pictures."""
    existing: Existing = "skip"
    wording: Wording = Wording()

    def name_for(self, image: str) -> str:
        """The sidecar of a picture, both as paths from one folder."""
        if self.kind == "xmp" and self.keeps_suffix:
            return f"{image}.xmp"
        endings = {"txt": self.extension, "xmp": ".xmp", "json": ".json"}
        return str(Path(image).with_suffix(endings[self.kind]))

    @property
    def leaves_foreign(self) -> bool:
        """Whether a sidecar that is not ours stays as it is, so that its picture is not asked."""
        return self.existing == "skip"


class Answer(Struct, frozen=True):
    """What of a result a sidecar is made from."""

    id: str
    output: str
    provider: str
    model: str
    source: str
    finish_reason: str
    finished_at: str
    media: tuple[Media, ...] = ()


ANSWER = msgspec.json.Decoder(Answer)


class SidecarTally(Struct):
    """What became of the sidecars of a run."""

    written: int = 0
    recovered: int = 0
    """Those among them that answers of earlier runs were missing."""
    kept: int = 0
    """Sidecars that are not what their answer says, and stay."""
    backed_up: int = 0
    empty: int = 0
    """Answers of which nothing was left to write."""
    failed: int = 0
    trouble: str = ""
    """Why the first one could not be written."""


class Piece(NamedTuple):
    """A text of ours in a sidecar."""

    length: int
    mark: int
    """Its hash."""


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
            except (OSError, ValueError):
                if os.path.lexists(path):
                    self._present[mark] = 0
            else:
                if found is not None:
                    self._present[mark] = hash(found.text)
        self._foreign = set(self._present)
        if self._foreign:
            for path in (paths.results, paths.superseded):
                for answer in self._answers(path):
                    mark = hash(answer.id)
                    if mark in self._foreign and self._stands(mark, self._text(answer)):
                        self._foreign.discard(mark)

    def catch_up(self, paths: Paths) -> None:
        """Write what the answers of earlier runs are missing; their records stand as they shall.

        What a killed run left of a sidecar goes, also where somebody wrote one since.
        """
        for mark in self._foreign:
            with contextlib.suppress(OSError, ValueError):
                part_of(self._path(mark, self._images[mark])).unlink(missing_ok=True)
        if self._present:
            for answer in self._answers(paths.superseded):
                mark = hash(answer.id)
                if mark in self._present and self._stands(mark, text := self._text(answer)):
                    self._stale[mark] = Piece(len(text), hash(text))
        for answer in self._answers(paths.results):
            mark = hash(answer.id)
            if mark in self._images and not self._stands(mark, self._text(answer)):
                self.settle(answer)
        self.tally.recovered = self.tally.written

    def settle(self, answer: Answer) -> None:
        """Bring the sidecar of a recorded answer up to it, as far as the rules allow."""
        mark = hash(answer.id)
        image = self._images.get(mark)
        if image is None:
            return  # its picture left the folder
        text = self._text(answer)
        if not text:
            self.tally.empty += 1
            return
        path = self._path(mark, image)
        try:
            self._settle(path, text, answer, self._stale.get(mark))
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            self.tally.failed += 1
            reason = getattr(error, "strerror", None) or str(error)
            self.tally.trouble = self.tally.trouble or f"cannot write {path}: {reason}"

    def _settle(self, path: Path, text: str, answer: Answer, stale: Piece | None) -> None:
        """Write, replace, join or leave; raises `OSError`."""
        found = read_sidecar(path)
        if found is None:
            return self._write(path, text)
        if self._holds(found.text, Piece(len(text), hash(text))):
            return None
        if stale is not None and self._holds(found.text, stale):
            # The answer was ours, and the picture or the prompt changed since.
            rest = self._rest(found.text, stale)
            return self._write(path, self._joined(rest, text) if rest else text, found.mode)
        return self._settle_foreign(path, found, text, answer)

    def _settle_foreign(self, path: Path, found: Found, text: str, answer: Answer) -> None:
        """Do to somebody else's sidecar what was asked for.

        One that is younger than the answer was edited since: nothing is joined to it a second
        time, and what it said is not lost when it is overwritten. Raises `OSError`.
        """
        existing = self.rules.existing
        edited = found.mtime_ns > nanoseconds(answer.finished_at)
        unreadable = LONE.search(found.text) is not None
        if existing == "skip" or (existing in JOINING and (edited or unreadable)):
            self.tally.kept += 1
        elif existing in JOINING:
            self._write(path, self._joined(one_line(found.text), text), found.mode)
        else:
            if existing == "backup" or edited:
                keep_backup(path)
                self.tally.backed_up += 1
            self._write(path, text, found.mode)

    def _write(self, path: Path, text: str, mode: int | None = None) -> None:
        """Write a sidecar; raises `OSError`."""
        if self.rules.folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_sidecar(path, text, mode)
        self.tally.written += 1

    def _joined(self, old: str, text: str) -> str:
        """Somebody's text and ours on one line, in the order that was asked for."""
        join = self.rules.wording.joined
        return join(old, text) if self.rules.existing == "append" else join(text, old)

    def _stands(self, mark: int, text: str) -> bool:
        """Whether a sidecar held a text at the look."""
        if self.rules.existing not in JOINING:
            return self._present.get(mark) == hash(text)
        if mark not in self._present:
            return False
        try:
            found = read_sidecar(self._path(mark, self._images[mark]))
        except OSError:
            return False
        return found is not None and self._holds(found.text, Piece(len(text), hash(text)))

    def _holds(self, whole: str, piece: Piece) -> bool:
        """Whether a sidecar says a text of ours, where the rules would have put it."""
        if self.rules.existing == "append":
            return hash(whole[-piece.length :]) == piece.mark
        if self.rules.existing == "prepend":
            return hash(whole[: piece.length]) == piece.mark
        return len(whole) == piece.length and hash(whole) == piece.mark

    def _rest(self, whole: str, piece: Piece) -> str:
        """What a sidecar says beside a text of ours."""
        if self.rules.existing == "append":
            return whole[: -piece.length].strip()
        return whole[piece.length :].lstrip(".").strip() if self.rules.existing == "prepend" else ""

    def _path(self, mark: int, image: str) -> Path:
        """Where the sidecar of a picture stands."""
        base = self.rules.folder or self._roots.get(mark, self._root)
        return Path(base, self.rules.name_for(image))

    def _answers(self, path: Path) -> Iterator[Answer]:
        """The answers of a file of results; what is none is passed over."""
        for line in file_lines(path):
            if (answer := decoded(ANSWER, line)) is not None:
                yield answer

    def _text(self, answer: Answer) -> str:
        """What the sidecar of an answer says; empty when nothing is left to say."""
        caption = self.rules.wording.caption(answer.output)
        if not caption or self.rules.kind == "txt":
            return caption
        if self.rules.kind == "json":
            return json_text(answer, caption)
        if self.rules.preset == "tags":
            return keywords(tags_of(caption)).rstrip("\n")
        return (alt_text if self.rules.preset == "alt" else description)(caption).rstrip("\n")


def json_text(answer: Answer, caption: str) -> str:
    """The useful fields of a result, and the caption as a text sidecar would say it."""
    facts = msgspec.structs.asdict(answer)
    media = facts.pop("media")
    facts = {"id": answer.id, "caption": caption} | facts
    if media:
        facts["sha256"] = media[0].sha256
    return msgspec.json.format(encode_line(facts), indent=2).decode().rstrip("\n")


def nanoseconds(moment: str) -> int:
    """A moment of a record in nanoseconds since the epoch; 0 for one that cannot be read."""
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1e9)
    except ValueError:
        return 0
