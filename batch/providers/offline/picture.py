"""What can be measured in an image file, as one line of plain English.

Pixels are measured on a small copy, the rest is read from the file's own notes. Nothing is said
about what the image shows.
"""

from __future__ import annotations

import io

from msgspec import Struct
from PIL import Image, ImageChops, ImageFile, ImageFilter, ImageStat

from ...errors import DECODER_FAULTS, Rejected
from ..triage import BLANK, BLURRED, TINY, Signs
from .colours import shares
from .notes import captions, exif_notes, origin

# Pillow's names and ours; MPO is a JPEG with further ones behind it.
KINDS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "GIF": "GIF", "WEBP": "WebP"}
KINDS |= {"BMP": "BMP", "DIB": "BMP", "TIFF": "TIFF", "AVIF": "AVIF", "HEIF": "HEIC"}

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF")

SIDE = 256  # pixels: the longer side of the copy that tone and sharpness are measured on
COLOUR_SIDE = 64  # pixels: the same for colours
TINY_SIDE = 64  # pixels: an image whose longer side is less is tiny
FINE, SOFT = 16, 0.02  # pixels of the shorter side that sharpness needs; `detail` of a blur is less
FLAT = 10.0  # contrast of an image that is all one colour but for a speck

TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)

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
    return measure(data)[0]


def measure(data: bytes, *, as_tags: bool = False) -> tuple[str, Signs]:
    """The facts of an image file in one line, and its signs; raises `Rejected` as `describe`.

    As tags they are words with commas between them, and nothing that the file says of itself.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        size = picture.size  # before `shrink`, which changes it
        kind = KINDS[str(picture.format)]
        frames = int(getattr(picture, "n_frames", 1)) if kind != "JPEG" else 1
        small = shrink(picture)
        size = picture.size if kind == "TIFF" else size  # decoding turned it upright
    except TOO_LARGE as error:
        raise Rejected("the image has too many pixels to be decoded", "image_too_large") from error
    except DECODER_FAULTS as error:
        # Pillow's own words may hold the address of the buffer, which no result should vary by.
        reason = f"the image cannot be decoded ({type(error).__name__})"
        raise Rejected(reason, "image_invalid") from error
    seen, notes = look(small), exif_notes(picture)
    if notes.get("orientation") in (5, 6, 7, 8):
        size = (size[1], size[0])
    if as_tags:
        return tags(size, kind, frames, seen), signs(size, small, seen)
    parts = [head(size, kind, frames, seen.grey), *visible(seen)]
    text = " ".join(["; ".join(parts) + ".", *origin(notes), *captions(picture, notes)])
    return text, signs(size, small, seen)


def shrink(picture: ImageFile.ImageFile) -> Image.Image:
    """A copy of at most `SIDE` pixels, in RGB, or in RGBA when the file has transparency."""
    if picture.format in ("JPEG", "MPO"):  # of a HEIC it would take the thumbnail
        picture.draft(None, (SIDE, SIDE))  # decoded at an eighth, where that is enough
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
    if min(luma.size) < FINE or spread < 4:
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


def signs(size: tuple[int, int], small: Image.Image, seen: Look) -> Signs:
    """The flaws and the hash of an image of `size` pixels; a blank one has nothing to compare."""
    tiny = (TINY,) if max(size) < TINY_SIDE else ()
    if not seen.colours or (seen.colours[0][1] >= 0.995 and seen.contrast < FLAT):
        return Signs((*tiny, BLANK))
    measured = min(small.size) >= FINE and seen.contrast >= 4 and seen.clear < 0.005
    blurred = measured and not tiny and seen.detail < SOFT
    return Signs((BLURRED,) if blurred else tiny, difference_hash(small))


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether the grey of a 9 x 8 copy rises from one pixel to the one on its right."""
    grey = image.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
    rises = (grey[at] < grey[at + 1] for at in range(len(grey)) if at % 9 < 8)
    return sum(rise << bit for bit, rise in enumerate(rises))


def shape(size: tuple[int, int]) -> str:
    """How the image lies."""
    width, height = size
    return "Square" if width == height else "Landscape" if width > height else "Portrait"


def tone(seen: Look) -> str:
    """How light it is on the whole."""
    return "dark" if seen.tone < 80 else "light" if seen.tone > 175 else "mid-tone"


def head(size: tuple[int, int], kind: str, frames: int, grey: str) -> str:
    """The opening words: shape, kind, size in pixels, frames."""
    width, height = size
    motion, count = ("animated", f", {frames} frames") if frames > 1 else ("", "")
    words = " ".join(word for word in (shape(size), grey, motion, kind, "image") if word)
    return f"{words} of {width} x {height} pixels{count}"


def tags(size: tuple[int, int], kind: str, frames: int, seen: Look) -> str:
    """Shape, kind, colours and tone in words that need no sentence around them."""
    words = [shape(size), *(["animated"] if frames > 1 else []), kind, *filter(None, [seen.grey])]
    words += [name for name, _ in main_colours(seen.colours)]
    words += [tone(seen)] if seen.colours and tone(seen) != "mid-tone" else []
    words += ["transparent"] if seen.clear >= 0.005 else []
    return ", ".join(dict.fromkeys(word.lower() for word in words))


def visible(seen: Look) -> list[str]:
    """The words for colours, tone, sharpness and transparency."""
    if not seen.colours:
        return ["fully transparent"]
    parts = [palette(seen.colours)]
    if seen.contrast >= 4:
        strength = "low" if seen.contrast < 25 else "soft" if seen.contrast < 60 else "strong"
        parts.append(f"{tone(seen)} with {strength} contrast")
    else:
        parts.append(f"{tone(seen)} without contrast")
    if seen.clear >= 0.005:
        parts.append(f"{max(1, round(seen.clear * 100))}% transparent")
    elif seen.contrast >= 4:
        sharp = "sharp" if seen.detail >= 0.1 else "soft" if seen.detail >= SOFT else ""
        parts.append(sharp or "without fine detail")
    return parts


def main_colours(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The colours that are named, at most four: those of some extent, or else the first."""
    return [pair for pair in found[:4] if pair[1] >= 0.08] or found[:1]


def palette(found: list[tuple[str, float]]) -> str:
    """The dominant colours with their shares, at most four."""
    name, share = found[0]
    if share >= 0.95:
        return f"entirely {name}" if share >= 0.995 else f"almost entirely {name}"
    top = main_colours(found)
    words = [f"{name} ({share:.0%})" for name, share in top]
    listed = " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
    return (
        f"mostly {listed}"
        if sum(share for _, share in top) >= 0.5
        else f"varied colours, led by {listed}"
    )
