"""Which sidecars a run writes: their names, what they say, and what happens to those of others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ..models import Media
from .joining import Existing, Joint
from .records import encode_line
from .wording import Wording
from .xmp import Field, field_of
from .xmp_read import Packet


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


class SidecarRules(Struct, frozen=True):
    """Which sidecars are written, where, and what is done to those that stand there.

    An XMP file that is there is never replaced, because other programs keep their edits in it.
    Where it is not left as it is, one field of it is set, and sidecars are compared by that field
    alone.
    """

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
        if self.kind == "xmp":
            return xmp_name(image, keeps_suffix=self.keeps_suffix)
        return str(Path(image).with_suffix(self.extension if self.kind == "txt" else ".json"))

    @property
    def leaves_foreign(self) -> bool:
        """Whether a sidecar that is not ours stays as it is, so that its picture is not asked."""
        return self.existing == "skip"

    @property
    def updates(self) -> bool:
        """Whether a field of XMP files of others is set."""
        return self.kind == "xmp" and not self.leaves_foreign

    @property
    def field(self) -> Field:
        """The field of an XMP file that answers go to."""
        return field_of(self.preset)

    @property
    def joint(self) -> Joint:
        """How our texts stand beside those of others."""
        keywords = self.updates and self.field.keywords
        return Joint(self.existing, self.wording, keywords, keeps_lines=self.updates)

    def text(self, answer: Answer) -> str:
        """What tells the sidecar of an answer from others; empty when nothing is left to say.

        It is all of the file, or what is set in it.
        """
        caption = self.wording.caption(answer.output)
        if not caption or self.kind == "txt":
            return caption
        if self.kind == "json":
            return json_text(answer, caption)
        value = self.field.value(caption)
        return value if self.updates or not value else self.field.packet(value)

    def said(self, file: str) -> str:
        """What of a file is compared with such a text.

        Raises `NoPacket` when a field is to be set and the file is no XMP packet.
        """
        if not self.updates:
            return file
        return Packet(file.encode("utf-8", "surrogateescape")).says(self.field)

    def file(self, text: str) -> str:
        """A whole new file with such a text."""
        return self.field.packet(text) if self.updates else text


def xmp_name(image: str, *, keeps_suffix: bool) -> str:
    """The XMP sidecar of a picture: `photo.jpg.xmp`, or `photo.xmp`."""
    return f"{image}.xmp" if keeps_suffix else str(Path(image).with_suffix(".xmp"))


def json_text(answer: Answer, caption: str) -> str:
    """The useful fields of a result, and the caption as a text sidecar would say it."""
    facts = msgspec.structs.asdict(answer)
    media = facts.pop("media")
    facts = {"id": answer.id, "caption": caption} | facts
    if media:
        facts["sha256"] = media[0].sha256
    return msgspec.json.format(encode_line(facts), indent=2).decode().rstrip("\n")
