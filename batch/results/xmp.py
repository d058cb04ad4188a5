"""XMP packets with one text, as darktable, digiKam, Lightroom and Immich read it.

Fields: `dc:description` (a text in alternative languages) and `dc:subject` (a bag of keywords) of
the XMP specification, part 1; `Iptc4xmpCore:AltTextAccessibility` of IPTC Core 1.3. How the picture
was made (`Iptc4xmpExt:DigitalSourceType`) is not touched: a caption says nothing about that.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from msgspec import Struct

from .wording import one_line, tags_of

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


class Field(Struct, frozen=True):
    """The property of a packet that a text of ours goes to.

    The value of one with keywords is a line for each of them.
    """

    name: str
    """As it stands in our packets, with its prefix."""
    url: str
    """The name space that the prefix stands for."""
    exiftool: str
    """The name by which exiftool knows it."""
    keywords: bool = False

    @property
    def full_name(self) -> str:
        """The name as a parser that knows name spaces tells it."""
        return f"{self.url} {self.name.rpartition(':')[2]}"

    def value(self, text: str) -> str:
        """What an answer puts into the field, as captions word it."""
        return "\n".join(tags_of(text)) if self.keywords else one_line(text)

    def packet(self, value: str) -> str:
        """A packet with this field alone, without a newline at its end."""
        if self.keywords:
            items = "".join(f"<rdf:li>{escape(tag)}</rdf:li>" for tag in value.split("\n"))
            field = f"<rdf:Bag>{items}</rdf:Bag>"
        else:
            item = f'<rdf:li xml:lang="x-default">{escape(value)}</rdf:li>'
            field = f"<rdf:Alt>{item}</rdf:Alt>"
        return PACKET.format(field=f"   <{self.name}>{field}</{self.name}>").rstrip("\n")


DC = "http://purl.org/dc/elements/1.1/"
IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"

DESCRIPTION = Field("dc:description", DC, "XMP-dc:Description")
SUBJECT = Field("dc:subject", DC, "XMP-dc:Subject", keywords=True)
ALT_TEXT = Field("Iptc4xmpCore:AltTextAccessibility", IPTC, "XMP-iptcCore:AltTextAccessibility")


def field_of(preset: str) -> Field:
    """The field that the answers of a preset go to."""
    return {"tags": SUBJECT, "alt": ALT_TEXT}.get(preset, DESCRIPTION)
