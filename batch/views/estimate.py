"""What `check --estimate` tells of tokens and cost."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..image_estimate import ImageEstimate
from ..plan import Plan
from ..providers.registry import find_provider
from ..settings import Settings
from .text import clean, count


class Estimate(Struct, frozen=True):
    """What the jobs to do take, answers not included."""

    images: ImageEstimate
    text_tokens: int
    price: float | None
    """US dollars for a million tokens of input."""
    counts_tokens: bool
    """Whether the provider counts any; one that works on this machine does not."""

    @classmethod
    def of(cls, settings: Settings, plan: Plan, images: ImageEstimate) -> Estimate:
        """The estimate of a plan with its images."""
        price = settings.price.input if settings.price else None
        counts = not find_provider(settings.provider).in_process
        return cls(images, plan.tokens, price, counts)

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of images and text, the least and the most."""
        return self.images.low + self.text_tokens, self.images.high + self.text_tokens

    @property
    def cost(self) -> tuple[float, float] | None:
        """US dollars, the least and the most; None without a price."""
        if self.price is None or not self.counts_tokens:
            return None
        return self.tokens[0] * self.price / 1e6, self.tokens[1] * self.price / 1e6

    def facts(self) -> dict[str, Any]:
        """The estimate as numbers; null for what nobody counts or no price tells."""
        images, cost = self.images, self.cost or (None, None)
        low, high = (images.low, images.high) if self.counts_tokens else (None, None)
        return {
            "images": images.images,
            "unreadable": images.unreadable,
            "addresses": images.addresses,
            "image_bytes": images.bytes,
            "pixels": images.pixels,
            "image_tokens_low": low,
            "image_tokens_high": high,
            "unknown_models": sorted(images.unknown) if self.counts_tokens else [],
            "cost_low_usd": cost[0],
            "cost_high_usd": cost[1],
        }

    def lines(self) -> list[str]:
        """The estimate in words: what the images are, then what they take."""
        images = self.images
        seen = f"images: {images.images:,} looked into, {images.bytes / 1e6:,.1f} MB of files"
        seen += f", {images.pixels / 1e6:,.1f} million pixels to send"
        if images.unreadable:
            seen += f", {images.unreadable:,} unreadable"
        if images.addresses:
            seen += f", {count(images.addresses, 'address', 'addresses')} not looked at"
        if not (self.counts_tokens and images.images):
            return [seen]
        taken = f"tokens of the images: {span(f'{images.low:,}', f'{images.high:,}')} (estimate)"
        if images.unknown:
            names = ", ".join(clean(name) or "the server's own" for name in sorted(images.unknown))
            taken += f"; how this server counts them is unknown ({names})"
        lines = [seen, taken]
        if self.cost:
            dollars = span(*(f"${cost:,.4f}" for cost in self.cost))
            lines.append(f"cost of text and images: {dollars} (estimate, answers not included)")
        return lines


def span(low: str, high: str) -> str:
    """`765`, or `765 to 1,530`."""
    return low if low == high else f"{low} to {high}"
