"""Small pictures for pages: read under the same rules as the pictures that are sent."""

from __future__ import annotations

from io import BytesIO

import msgspec
import pybase64

from ..errors import JobError
from .load import ImageRules, read_file
from .pillow import decoding, load_pillow
from .prepare import prepare

SIDE = 288
"""Pixels of the longer side: a card of a gallery is about as wide."""

QUALITY = 40
"""Of WebP: about 6 KB for a photograph of this size."""


def thumbnail(root: str, reference: str, rules: ImageRules) -> str:
    """A `data:` address of the small picture of a file under `root`; empty where there is none.

    The file comes from a stranger, so it is confined and checked as it is for a request. Blocks.
    """
    small = msgspec.structs.replace(rules, max_side=SIDE, original_bytes=False)
    try:
        data, _ = read_file(root, reference, rules)
        webp = encoded_webp(prepare(data, small).data, small)
    except JobError:
        return ""
    return "data:image/webp;base64," + pybase64.b64encode(webp).decode()


def encoded_webp(data: bytes, rules: ImageRules) -> bytes:
    """A picture that was prepared, as WebP without metadata; raises `Rejected`."""
    with decoding("picture", rules), load_pillow().open(BytesIO(data)) as pixels:
        plain = pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
        plain.info = {}
        out = BytesIO()
        plain.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()
