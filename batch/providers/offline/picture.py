"""What can be measured in an image file, as one line of plain English.

Pixels are measured on a small copy, the rest is read from the file's own notes (EXIF, XMP, IPTC,
PNG text). Nothing is said about what the image shows, and its place (GPS) is never read.
"""

from __future__ import annotations

import io
import re
import struct
import unicodedata
from typing import Any
from xml.parsers import expat

from msgspec import Struct
from PIL import ExifTags, Image, ImageChops, ImageFile, ImageFilter, ImageStat, IptcImagePlugin

from ...errors import Rejected
from .colours import shares

# Pillow's names and ours; MPO is a JPEG with further ones behind it.
KINDS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "GIF": "GIF", "WEBP": "WebP"}

SIDE = 256  # pixels: the longer side of the copy that tone and sharpness are measured on
COLOUR_SIDE = 64  # pixels: the same for colours
QUOTED = 300  # characters of a text from the file
XMP_BYTES = 256 << 10  # an XMP packet over this is not read

# What Pillow raises for damaged files, beside its bomb errors: there is no common base.
BROKEN = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError),
    *(AttributeError, AssertionError, struct.error, UserWarning),
)
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)

DATE = re.compile(r"((?:1[89]|20)\d\d):(0[1-9]|1[0-2]):(0[1-9]|[12]\d|3[01])\b")

# What cameras and programs write by themselves where a caption would stand.
NO_CAPTION = re.compile(
    r"(?i)(file )?(created|made|written|generated) (with|by|using) |creator: |dcim|xmp|charset="
    r"|.{0,20}digital (still )?camera$|sony dsc$|default$|untitled|image description$"
)

LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=2, offset=128)


class Look(Struct, frozen=True):
    """What the pixels say."""

    colours: list[tuple[str, float]]
    """Name and share, the most frequent first; empty when nothing is visible."""
    tone: float
    """Mean luma of what is visible, 0-255."""
    contrast: float
    """Standard deviation of that luma."""
    detail: float
    """Variance of the Laplacian over the variance of the luma, on the small copy."""
    clear: float
    """Transparent share, 0-1."""
    grey: str
    """`black-and-white`, `greyscale` or empty."""


def describe(data: bytes) -> str:
    """The facts of an image file in one line; raises `Rejected` when it cannot be decoded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "GIF", "WEBP"))
        size = picture.size  # before `shrink`, which changes it
        kind = KINDS[str(picture.format)]
        frames = int(getattr(picture, "n_frames", 1)) if kind != "JPEG" else 1
        small = shrink(picture)
    except TOO_LARGE as error:
        raise Rejected("the image has too many pixels to be decoded", "image_too_large") from error
    except BROKEN as error:
        # Pillow's own words may hold the address of the buffer, which no result should vary by.
        reason = f"the image cannot be decoded ({type(error).__name__})"
        raise Rejected(reason, "image_invalid") from error
    seen, notes = look(small), exif_notes(picture)
    if notes.get("orientation") in (5, 6, 7, 8):
        size = (size[1], size[0])
    parts = [head(size, kind, frames, seen.grey), *visible(seen)]
    return " ".join(["; ".join(parts) + ".", *origin(notes), *captions(picture, notes)])


def shrink(picture: ImageFile.ImageFile) -> Image.Image:
    """A copy of at most `SIDE` pixels, in RGB, or in RGBA when the file has transparency."""
    picture.draft(None, (SIDE, SIDE))  # a JPEG is decoded at an eighth, where that is enough
    picture.load()
    small: Image.Image = picture
    if picture.mode.startswith("I"):  # 16 bits a channel, which `convert` would clip to white
        small = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    wanted = "RGBA" if picture.has_transparency_data else "RGB"
    if small.mode in ("1", "P", "PA"):
        small = small.convert(wanted)  # indices cannot be averaged
    return fit(small, SIDE).convert(wanted)


def fit(image: Image.Image, side: int) -> Image.Image:
    """The image with its longer side at most `side` pixels."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    target = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(target, Image.Resampling.BOX, reducing_gap=2.0)


def look(small: Image.Image) -> Look:
    """What is measured on the small copy."""
    alpha = small.getchannel("A") if small.mode == "RGBA" else None
    rgb = small.convert("RGB")
    luma = rgb.convert("L")
    mask = alpha.point([0] * 128 + [255] * 128) if alpha else None
    counted = luma.histogram(mask)
    stat = ImageStat.Stat(counted)
    clear = 1 - ImageStat.Stat(alpha).mean[0] / 255 if alpha else 0.0
    seen = sum(counted) > 0
    return Look(
        colours=colours(small),
        tone=stat.mean[0] if seen else 0.0,
        contrast=stat.stddev[0] if seen else 0.0,
        detail=detail(luma) if clear < 0.005 else 0.0,
        clear=clear,
        grey=greyness(rgb, counted) if seen else "",
    )


def colours(small: Image.Image) -> list[tuple[str, float]]:
    """Names and shares of the colours of the small copy."""
    small = fit(small, COLOUR_SIDE)
    alpha = small.getchannel("A").tobytes() if small.mode == "RGBA" else None
    return shares(small.convert("RGB").tobytes(), alpha)


def detail(luma: Image.Image) -> float:
    """How much of the luma's variance is edges: near 0 for a blur, over 0.1 when sharp."""
    spread = ImageStat.Stat(luma).var[0]
    if min(luma.size) < 16 or spread < 4:
        return 0.0
    inner = (1, 1, luma.width - 1, luma.height - 1)  # a kernel copies the border as it is
    edges = luma.filter(LAPLACIAN).crop(inner)
    return float(ImageStat.Stat(edges).var[0] * 4 / spread)


def greyness(rgb: Image.Image, counted: list[int]) -> str:
    """Whether the picture is black-and-white or greyscale; `counted` is its luma histogram."""
    red, green, blue = rgb.split()
    spread = ImageChops.lighter(
        ImageChops.difference(red, green), ImageChops.difference(green, blue)
    ).histogram()
    if sum(spread[9:]) > 0.005 * sum(spread):
        return ""
    ends = sum(counted[:24]) + sum(counted[-24:])
    both = min(sum(counted[:24]), sum(counted[-24:])) > 0
    return "black-and-white" if both and ends > 0.95 * sum(counted) else "greyscale"


def head(size: tuple[int, int], kind: str, frames: int, grey: str) -> str:
    """The opening words: shape, kind, size in pixels, frames."""
    width, height = size
    shape = "Square" if width == height else "Landscape" if width > height else "Portrait"
    motion, count = ("animated", f", {frames} frames") if frames > 1 else ("", "")
    words = " ".join(word for word in (shape, grey, motion, kind, "image") if word)
    return f"{words} of {width} x {height} pixels{count}"


def visible(seen: Look) -> list[str]:
    """The words for colours, tone, sharpness and transparency."""
    if not seen.colours:
        return ["fully transparent"]
    parts = [palette(seen.colours)]
    tone = "dark" if seen.tone < 80 else "light" if seen.tone > 175 else "mid-tone"
    if seen.contrast >= 4:
        strength = "low" if seen.contrast < 25 else "soft" if seen.contrast < 60 else "strong"
        parts.append(f"{tone} with {strength} contrast")
    else:
        parts.append(f"{tone} without contrast")
    if seen.clear >= 0.005:
        parts.append(f"{max(1, round(seen.clear * 100))}% transparent")
    elif seen.contrast >= 4:
        sharp = "sharp" if seen.detail >= 0.1 else "soft" if seen.detail >= 0.02 else ""
        parts.append(sharp or "without fine detail")
    return parts


def palette(found: list[tuple[str, float]]) -> str:
    """The dominant colours with their shares, at most four."""
    name, share = found[0]
    if share >= 0.95:
        return f"entirely {name}" if share >= 0.995 else f"almost entirely {name}"
    top = [pair for pair in found[:4] if pair[1] >= 0.08] or found[:1]
    words = [f"{name} ({share:.0%})" for name, share in top]
    listed = " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
    return (
        f"mostly {listed}"
        if sum(share for _, share in top) >= 0.5
        else f"varied colours, led by {listed}"
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
    except BROKEN:
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


def clean(value: object) -> str:
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
    make, model = clean(notes.get("make"))[:40], clean(notes.get("model"))[:60]
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
        words = clean(re.split(r"\n(?:Negative prompt|Steps): ", f"\n{prompt}", maxsplit=1)[0])
        found.append(f'The generation prompt in the file: "{words}"')
        comment = ""
    if str(info.get("prompt", "")).lstrip().startswith("{") or "workflow" in info:
        found.append("The file carries a ComfyUI workflow.")
    sources = (xmp_caption(info.get("xmp")), iptc_caption(picture), notes.get("caption"), comment)
    texts = (clean(text) for text in (*sources, info.get("Description"), info.get("Comment")))
    own = next((text for text in texts if text and not NO_CAPTION.match(text)), "")
    return [*found, f'The file\'s own caption: "{own}"'] if own else found


def is_generation(text: object) -> bool:
    """Whether a text is in the form that Stable Diffusion web interfaces write."""
    return isinstance(text, str) and re.search(r"(?:^|\n)Steps: \d", text) is not None


def iptc_caption(picture: ImageFile.ImageFile) -> bytes:
    """The IPTC Caption-Abstract (record 2, data set 120), empty when there is none."""
    try:
        value = (IptcImagePlugin.getiptcinfo(picture) or {}).get((2, 120))
    except BROKEN:
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
