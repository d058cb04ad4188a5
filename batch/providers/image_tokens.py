"""How many tokens vendors count for a picture, as data and arithmetic.

Source: OpenAI's guide *Images and vision*, "Calculating costs" (patches, tiles), and Google's
*Media resolution* for the flat count. What no vendor publishes is unknown, and told as a range.
"""

from __future__ import annotations

import re
from math import ceil, floor, sqrt

from msgspec import Struct

LOW_PATCHES = 256
"""Patches of a picture of 512 x 512, what `low` detail is about on a model of patches."""

ROUNDING = 1e-9
"""Forgiven before a side is rounded up to whole patches or tiles."""


class Patches(Struct, frozen=True):
    """Counts squares of 32 pixels, after the picture is shrunk to a budget of them."""

    budget: int | None
    """Patches at the most; None for no such limit."""
    multiplier: float = 1.0
    """Tokens a patch."""
    max_side: int | None = None
    """Pixels of the longer side that the picture is fitted to first."""

    def tokens(self, width: int, height: int) -> int:
        """Tokens of a picture of so many pixels."""
        scale = min(1.0, self.max_side / max(width, height)) if self.max_side else 1.0
        return ceil(patches(width * scale, height * scale, self.budget) * self.multiplier)

    def low(self, width: int, height: int) -> int:
        """The least that `low` detail may take; the guide names no number for these models."""
        budget = LOW_PATCHES if self.budget is None else min(self.budget, LOW_PATCHES)
        return ceil(patches(width, height, budget) * self.multiplier)


class Tiles(Struct, frozen=True):
    """Counts a base and squares of 512 pixels, of a picture fitted to 2048 and then 768 pixels."""

    base: int
    tile: int

    def tokens(self, width: int, height: int) -> int:
        """Tokens of a picture of so many pixels."""
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        return self.base + self.tile * cells(width * scale / 512, height * scale / 512)

    def low(self, width: int, height: int) -> int:
        """Tokens with `low` detail: the base alone."""
        return self.base


Formula = Patches | Tiles
Formulas = tuple[Formula, ...]
"""Those that may hold; several where it hangs on what the request or the server chooses."""

MINI, NANO = (Patches(1536, 1.62),), (Patches(1536, 2.46),)
LARGE = (Patches(2500, max_side=2048), Patches(10_000, max_side=6000))
"""`high` and `original` detail."""
OMNI, REASONING = (Tiles(85, 170),), (Tiles(75, 150),)

OPENAI_MODELS: dict[str, Formulas] = {
    "gpt-4o": OMNI,
    "gpt-4.1": OMNI,
    "gpt-4o-mini": (Tiles(2833, 5667),),
    "gpt-4.1-mini": MINI,
    "gpt-4.1-nano": NANO,
    "o1": REASONING,
    "o3": REASONING,
    "o4-mini": (Patches(1536, 1.72),),
    "gpt-5": (Tiles(70, 140),),
    "gpt-5-mini": MINI,
    "gpt-5-nano": NANO,
    "gpt-5.2": (Patches(1536),),
    "gpt-5.4": LARGE,
    "gpt-5.4-mini": MINI,
    "gpt-5.4-nano": NANO,
    "gpt-5.5": LARGE,
}

GEMINI = Tiles(1120, 0)
"""Gemini 3 counts the same for every picture, at its default resolution."""

UNKNOWN: Formulas = (
    *(each for name, some in OPENAI_MODELS.items() if name != "gpt-4o-mini" for each in some),
    Patches(None),
    GEMINI,
)
"""What a model may count that publishes nothing. gpt-4o-mini's, 33 times those of gpt-4o, only
make up for its price and are no other model's."""

DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def find_formulas(model: str) -> Formulas:
    """The formulas of one of OpenAI's models, dated or fine-tuned too; none when unknown."""
    if model.startswith("ft:"):
        model = model.split(":")[1]
    return OPENAI_MODELS.get(DATED.sub("", model), ())


def image_tokens(formulas: Formulas, width: int, height: int, detail: str = "") -> tuple[int, int]:
    """Tokens of a picture of so many pixels, the least and the most over some formulas.

    No formulas stand for an unknown model. `detail` is OpenAI's, of the image part.
    """
    known = formulas or UNKNOWN
    most = [formula.tokens(width, height) for formula in known]
    if detail != "low":
        return min(most), max(most)
    least = [formula.low(width, height) for formula in known]
    if all(isinstance(formula, Tiles) for formula in known):
        return min(least), max(least)
    return min(least), max(most)


def patches(width: float, height: float, budget: int | None) -> int:
    """Squares of 32 pixels that cover a picture, shrunk so that there are at most `budget`."""
    across, down = width / 32, height / 32
    if budget is None or cells(across, down) <= budget:
        return cells(across, down)
    shrink = sqrt(budget / (across * down))
    across, down = across * shrink, down * shrink
    # A strip thinner than one patch stays one patch: it is not shrunk to nothing.
    fit = min((floor(side) / side for side in (across, down) if side >= 1), default=1.0)
    return min(cells(across * fit, down * fit), budget)


def cells(across: float, down: float) -> int:
    """Whole cells that cover a rectangle of so many."""
    return ceil(across - ROUNDING) * ceil(down - ROUNDING)
