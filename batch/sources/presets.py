"""What is asked of pictures when nobody says it better."""

from __future__ import annotations

PRESETS = {
    "caption": "Describe this image in one or two plain sentences. "
    "Say what is in it, not that it is an image. Answer with the description only.",
    "alt": "Write alt text for this image: one sentence of at most 125 characters that tells "
    "somebody who cannot see it what it shows. Answer with that sentence only.",
    "tags": "List 10 to 20 tags for this image: short, in lower case, the most important first, "
    "with commas between them. Answer with the tags only.",
    "describe": "Describe this image in detail: subject, setting, composition, light, colours and "
    "any text that can be read in it. Write plain paragraphs and nothing that cannot be seen.",
}
