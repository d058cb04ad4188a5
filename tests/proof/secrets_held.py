"""Which places hold a secret, in whatever form it is written: the search shares no code with us."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus


def spelt(secret):
    """A secret as somebody might write it down."""
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    found = {secret, secret.lower(), secret.upper(), escaped, escaped.replace("/", "\\/")}
    found |= {quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    found |= {repr(secret)[1:-1], raw.hex(), raw.hex().upper(), plain(raw), plain(raw).rstrip("=")}
    found.add("".join(f"\\u{ord(c):04x}" for c in secret))
    wider = {plain(b"." * before + raw + b"...") for before in range(3)}  # as of "Bearer KEY"
    return found | wider | {text.replace("+", "-").replace("/", "_") for text in wider}


def forms(secret):
    """What all that somebody might write down of a secret holds."""
    raw = secret.encode()
    found = spelt(secret)
    for before in range(3):
        inner = plain(b"." * before + raw)[(0, 4, 4)[before] : (before + len(raw)) // 3 * 4]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


def plain(raw):
    return base64.b64encode(raw).decode()


def pieces(secret, size=16):
    """The parts of a secret by which a cut one would be known."""
    return {secret[at : at + size] for at in range(0, len(secret) - size, size // 2)}


def holders(places, *secrets):
    """The names of the places that hold a secret, or a part of it."""
    wanted = re.compile(
        b"|".join(re.escape(f.lower().encode()) for s in secrets for f in forms(s) | pieces(s))
    )
    return sorted(name for name, held in places.items() if wanted.search(held.lower()))
