"""overnight: prompts and images in, answers out, by morning."""

__version__ = "0.1.0"
