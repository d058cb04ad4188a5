"""An XMP packet with one text, as darktable, digiKam, Lightroom and Immich read it.

Fields: `dc:description` (a text in alternative languages) and `dc:subject` (a bag of keywords) of
the XMP specification, part 1; `Iptc4xmpCore:AltTextAccessibility` of IPTC Core 1.3. How the picture
was made (`Iptc4xmpExt:DigitalSourceType`) is not touched: a caption says nothing about that.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

PACKET = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
{field}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def description(text: str) -> str:
    """A packet with a caption."""
    return PACKET.format(field=alternative("dc:description", text))


def alt_text(text: str) -> str:
    """A packet with a text for those who cannot see the picture."""
    return PACKET.format(field=alternative("Iptc4xmpCore:AltTextAccessibility", text))


def keywords(tags: Sequence[str]) -> str:
    """A packet with keywords."""
    items = "".join(f"<rdf:li>{escape(tag)}</rdf:li>" for tag in tags)
    return PACKET.format(field=f"   <dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>")


def alternative(name: str, text: str) -> str:
    """A text in one language, which stands for all."""
    item = f'<rdf:li xml:lang="x-default">{escape(text)}</rdf:li>'
    return f"   <{name}><rdf:Alt>{item}</rdf:Alt></{name}>"
