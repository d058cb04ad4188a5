"""What an XMP packet of another program says: read with suspicion, and never written here.

RDF allows several spellings of one value (attributes, structures, resources). They come out alike,
so that a packet can be compared with what another program made of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from xml.parsers import expat

from .xmp import Field

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
RESOURCE = f"{RDF}resource"
LANG = "http://www.w3.org/XML/1998/namespace lang"
SYNTAX = (RDF, "http://www.w3.org/XML/1998/namespace ")
"""Name spaces of the notation; what stands in others is said of the picture."""

DEFAULT = "x-default"
DEEPEST = 100


class NoPacket(ValueError):
    """A file is no XMP packet, or one that is not touched."""


class Value(NamedTuple):
    """A text in a packet. Names are a name space, a blank and a name."""

    property: str
    """The property of the picture that it belongs to."""
    name: str
    """The innermost name around it: another one inside a structure."""
    language: str
    text: str


class Packet:
    """The values of an XMP packet in their order; raises `NoPacket`."""

    def __init__(self, data: bytes) -> None:
        self.values: list[Value] = []
        self._path: list[str] = []
        self._texts: list[list[str]] = []
        self._languages: list[str] = []
        self._roots = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._more
        parser.StartDoctypeDeclHandler = refuse_doctype
        try:
            parser.Parse(data, True)
        except NoPacket:
            raise
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last: its encoding
            raise NoPacket(f"is no XMP packet: {error}") from error
        if not self._roots:
            raise NoPacket("is no XMP packet: it holds no rdf:RDF")

    def says(self, field: Field) -> str:
        """The text of a field, in the language that stands for all; empty when there is none.

        Keywords come a line each.
        """
        own = [each for each in self.values if each.property == each.name == field.full_name]
        if field.keywords:
            return "\n".join(each.text.replace("\n", " ") for each in own)
        chosen = next((each for each in own if each.language == DEFAULT), None)
        return (chosen or own[0]).text if own else ""

    def lost(self, later: Packet, field: Field) -> str:
        """What a later packet does not say any more, beside the text of a field; empty for none."""
        left = Counter(self._others(field))
        left.subtract(later._others(field))
        return next((f"{each.name}: {each.text}" for each, count in left.items() if count > 0), "")

    def _others(self, field: Field) -> Sequence[Value]:
        """The values that no change of a field touches: other fields, and other languages of it."""
        name = field.full_name
        return [
            each
            for each in self.values
            if each.property != name or each.language not in ("", DEFAULT)
        ]

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins; its attributes are values too."""
        self._path.append(name)
        self._texts.append([])
        self._languages.append(attributes.get(LANG, ""))
        self._roots += name == f"{RDF}RDF"
        if len(self._path) > DEEPEST:
            raise NoPacket("is no XMP packet: it is too deep")
        for each, text in attributes.items():
            if each == RESOURCE:
                self._add(self._path, text)
            elif " " in each and not each.startswith(SYNTAX):
                self._add([*self._path, each], text)

    def _more(self, text: str) -> None:
        self._texts[-1].append(text)

    def _end(self, _name: str) -> None:
        """An element ends."""
        self._add(self._path, "".join(self._texts.pop()), self._languages.pop())
        self._path.pop()

    def _add(self, path: Sequence[str], text: str, language: str = "") -> None:
        """A value, unless it is blank or outside the description of the picture."""
        start = path.index(f"{RDF}RDF") + 2 if f"{RDF}RDF" in path else len(path)
        names = [name for name in path[start:] if not name.startswith(SYNTAX)]
        if names and text.strip():
            self.values.append(Value(names[0], names[-1], language, text.replace("\r", "\n")))


def refuse_doctype(*_about: object) -> None:
    """Raise `NoPacket`: no program writes a document type into a packet, and entities can bomb."""
    raise NoPacket("is no XMP packet: it has a document type")
