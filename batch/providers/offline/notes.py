"""What an image file says of itself: EXIF, XMP, IPTC and PNG text, as sentences.

The place (GPS) is never read.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from xml.parsers import expat

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from ...errors import DECODER_FAULTS

QUOTED = 300  # characters of a text from the file
XMP_BYTES = 256 << 10  # an XMP packet over this is not read

DATE = re.compile(r"((?:1[89]|20)\d\d):(0[1-9]|1[0-2]):(0[1-9]|[12]\d|3[01])\b")

# What cameras and programs write by themselves where a caption would stand.
NO_CAPTION = re.compile(
    r"(?i)(file )?(created|made|written|generated) (with|by|using) |creator: |dcim|xmp|charset="
    r"|.{0,20}digital (still )?camera$|sony dsc$|default$|untitled|image description$"
)


def exif_notes(picture: Image.Image) -> dict[str, Any]:
    """What of the EXIF is used; what is damaged is left out."""
    tags = ExifTags.Base
    try:
        exif = picture.getexif()
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        return {
            "orientation": exif.get(tags.Orientation),
            "make": exif.get(tags.Make),
            "model": exif.get(tags.Model),
            "taken": inner.get(tags.DateTimeOriginal),
            "caption": exif.get(tags.ImageDescription),
            "comment": user_comment(inner.get(tags.UserComment)),
        }
    except DECODER_FAULTS:
        return {}


def user_comment(value: object) -> str:
    """The text of an EXIF UserComment: eight bytes name its coding (EXIF 2.3, section 4.6.5)."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    coding, body = value[:8], value[8 : 8 + 64 * QUOTED]
    if not coding.startswith(b"UNICODE"):
        return decoded(body if coding.strip(b"\0") in (b"", b"ASCII", b"JIS") else value)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "ignore")
    # The byte order is the writer's guess, whatever the EXIF's own: zeros tell it for latin text.
    little = body[1::2].count(0) > body[::2].count(0)
    return body.decode("utf-16-le" if little else "utf-16-be", "ignore")


def decoded(value: object) -> str:
    """Text from a file: UTF-8 when it is, else Latin-1; Pillow hands EXIF over as Latin-1."""
    try:
        data = value.encode("latin-1") if isinstance(value, str) else value
        return data.decode() if isinstance(data, bytes) else ""
    except UnicodeEncodeError:
        return str(value)
    except UnicodeDecodeError as error:
        return error.object.decode("latin-1")


def one_line(value: object) -> str:
    """A text from a file as one short line: no control characters, at most `QUOTED` long."""
    joiners = "\u200c\u200d"  # scripts and emoji need these two format characters
    text = "".join(
        sign if sign in joiners or unicodedata.category(sign)[0] not in "CZ" else " "
        for sign in decoded(value)[: 64 * QUOTED]
    )
    text = " ".join(text.split()).replace('"', "'")
    return text if len(text) <= QUOTED else text[: QUOTED - 1].rstrip() + "\u2026"


def origin(notes: dict[str, Any]) -> list[str]:
    """The sentence on date and camera, as the EXIF tells them."""
    found = DATE.match(str(notes.get("taken") or ""))
    make, model = one_line(notes.get("make"))[:40], one_line(notes.get("model"))[:60]
    known = not make or make.split()[0].lower() in model.lower()
    camera = model if known else f"{make} {model}".strip()
    if found and camera:
        return [f"Taken on {'-'.join(found.groups())}, camera: {camera}."]
    if found:
        return [f"Taken on {'-'.join(found.groups())}."]
    return [f"Camera: {camera}."] if camera else []


def captions(picture: ImageFile.ImageFile, notes: dict[str, Any]) -> list[str]:
    """The sentences that quote the file's own caption or generation prompt."""
    info = picture.info
    found = []
    comment = str(notes.get("comment") or "")
    prompt = next((text for text in (info.get("parameters"), comment) if is_generation(text)), "")
    if prompt:
        words = one_line(re.split(r"\n(?:Negative prompt|Steps): ", f"\n{prompt}", maxsplit=1)[0])
        found.append(f'The generation prompt in the file: "{words}"')
        comment = ""
    if str(info.get("prompt", "")).lstrip().startswith("{") or "workflow" in info:
        found.append("The file carries a ComfyUI workflow.")
    sources = (xmp_caption(info.get("xmp")), iptc_caption(picture), notes.get("caption"), comment)
    texts = (one_line(text) for text in (*sources, info.get("Description"), info.get("Comment")))
    own = next((text for text in texts if text and not NO_CAPTION.match(text)), "")
    return [*found, f'The file\'s own caption: "{own}"'] if own else found


def is_generation(text: object) -> bool:
    """Whether a text is in the form that Stable Diffusion web interfaces write."""
    return isinstance(text, str) and re.search(r"(?:^|\n)Steps: \d", text) is not None


def iptc_caption(picture: ImageFile.ImageFile) -> bytes:
    """The IPTC Caption-Abstract (record 2, data set 120), empty when there is none."""
    try:
        value = (IptcImagePlugin.getiptcinfo(picture) or {}).get((2, 120))
    except DECODER_FAULTS:
        return b""
    return (value[0] if isinstance(value, list) else value) or b""


def xmp_caption(packet: object) -> str:
    """The dc:description of an XMP packet; empty when it has none or declares a DTD."""
    if not isinstance(packet, bytes) or len(packet) > XMP_BYTES:
        return ""
    reader = DescriptionReader()
    try:
        reader.parse(packet.rstrip(b"\0 "))
    except (expat.ExpatError, ValueError):
        return ""
    return next((text for text in map(str.strip, reader.texts) if text), "")


class DescriptionReader:
    """Collects the texts of dc:description; each language of it is a text of its own."""

    TAG = "http://purl.org/dc/elements/1.1/ description"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._inside = False

    def parse(self, packet: bytes) -> None:
        """Read a packet; raises `ExpatError` for broken XML and `ValueError` for a DTD."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True  # else a line a call, and a long text grows in tiny steps
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(packet, True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("XMP has no DTD: entities could blow it up")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._inside = self._inside or tag == self.TAG
        self.texts.append(attributes.get(self.TAG, ""))

    def _end(self, tag: str) -> None:
        self._inside = self._inside and tag != self.TAG

    def _text(self, text: str) -> None:
        if self._inside:
            self.texts[-1] += text
