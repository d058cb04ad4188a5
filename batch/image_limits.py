"""What pictures a provider takes, as data: types, bytes, sides."""

from __future__ import annotations

from msgspec import Struct

JPEG, PNG, WEBP, GIF = "image/jpeg", "image/png", "image/webp", "image/gif"
BMP, TIFF, AVIF, HEIC = "image/bmp", "image/tiff", "image/avif", "image/heic"

WEB_TYPES = (JPEG, PNG, WEBP, GIF)
"""What can be sent as it is: the types whose metadata is cut out without decoding."""


class ImageLimits(Struct, frozen=True):
    """What a provider takes of pictures; what goes beyond is converted or scaled down.

    How many one request may carry is the provider's `max_images`. None means: it sets no limit.
    """

    types: tuple[str, ...] = WEB_TYPES
    """Media types that go out as they are; JPEG or PNG must be among them."""
    animations: bool = True
    """Whether an animated GIF or WebP goes out whole; else its first picture does."""
    max_bytes: int | None = None
    """Of one picture, before base64."""
    max_total_bytes: int | None = None
    """Of all pictures of one request together, before base64."""
    max_side: int | None = None
    """Pixels of the longer side."""

    def share(self, images: int) -> ImageLimits:
        """The limits of each of so many pictures in one request: the total is divided evenly."""
        if self.max_total_bytes is None:
            return self
        each = least(self.max_bytes, self.max_total_bytes // max(images, 1))
        return ImageLimits(self.types, self.animations, each, None, self.max_side)

    def narrowed(self, other: ImageLimits) -> ImageLimits:
        """What both take."""
        return ImageLimits(
            tuple(kind for kind in self.types if kind in other.types),
            self.animations and other.animations,
            least(self.max_bytes, other.max_bytes),
            least(self.max_total_bytes, other.max_total_bytes),
            least(self.max_side, other.max_side),
        )


def least(*limits: int | None) -> int | None:
    """The smallest of some limits of which each may be missing."""
    return min((limit for limit in limits if limit is not None), default=None)
