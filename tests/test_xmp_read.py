"""What a packet says comes out alike however it is spelt, and a hostile one is refused."""

import pytest
from packets import BARE, EDITED

from batch.results.xmp import ALT_TEXT, DESCRIPTION, SUBJECT
from batch.results.xmp_read import NoPacket, Packet

HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:a="urn:a/" '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/">'
)
TAIL = "</rdf:RDF></x:xmpmeta>"


LANGUAGE = '<dc:description><rdf:Alt><rdf:li xml:lang="en">a</rdf:li></rdf:Alt></dc:description>'
INNER = "<a:b><rdf:Description><dc:description>i</dc:description></rdf:Description></a:b>"


def packet(inner, attributes=""):
    text = f'{HEAD}<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description>{TAIL}'
    return Packet(text.encode())


def values(found):
    return [(value.property, value.name, value.text) for value in found.values]


@pytest.mark.parametrize("field", [DESCRIPTION, ALT_TEXT, SUBJECT], ids=lambda field: field.name)
def test_a_packet_of_ours_says_what_was_put_into_it(field):
    assert Packet(field.packet("a <b> & c").encode()).says(field) == "a <b> & c"


def test_fields_of_others_are_read():
    found = Packet(EDITED.encode())
    assert found.says(DESCRIPTION) == "old words"
    assert found.says(SUBJECT) == "Paris, France\nDog"
    assert found.says(ALT_TEXT) == ""
    assert Packet(BARE.encode()).says(DESCRIPTION) == ""


@pytest.mark.parametrize(
    ("inner", "attributes", "said"),
    [
        ("", 'dc:description="flat"', "flat"),
        ("<dc:description>plain\n\n é</dc:description>", "", "plain\n\n é"),
        (LANGUAGE, "", "a"),
        (INNER, "", ""),
    ],
)
def test_a_text_is_found_in_every_spelling_and_not_inside_others(inner, attributes, said):
    assert packet(inner, attributes).says(DESCRIPTION) == said


def test_a_structure_is_the_same_in_every_spelling():
    as_attributes = packet('<a:b><rdf:Seq><rdf:li a:c="1" a:d="2"/></rdf:Seq></a:b>', 'a:e="3"')
    as_elements = packet(
        "<a:e>3</a:e><a:b><rdf:Seq><rdf:li rdf:parseType='Resource'><a:c>1</a:c><a:d>2</a:d>"
        "</rdf:li></rdf:Seq></a:b>"
    )
    assert sorted(values(as_attributes)) == sorted(values(as_elements))
    assert as_attributes.lost(as_elements, DESCRIPTION) == ""
    assert as_elements.lost(as_attributes, DESCRIPTION) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('xmp:Rating="4"', ""),
        ('xmp:Rating="4"', 'xmp:Rating="3"'),
        ('darktable:params="ffffffff"', ""),
        ("alte Worte", "neue"),
        ("Paris, France", "Paris"),
    ],
)
def test_what_is_not_said_any_more_is_told(old, new):
    later = Packet(EDITED.replace(old, new).encode())
    assert Packet(EDITED.encode()).lost(later, DESCRIPTION)


def test_the_text_of_the_field_itself_may_go():
    later = Packet(EDITED.replace("old words", "new").encode())
    assert Packet(EDITED.encode()).lost(later, DESCRIPTION) == ""


def test_a_resource_is_a_value():
    with_it = packet('<a:b rdf:resource="urn:x"/>')
    assert values(with_it) == [("urn:a/ b", "urn:a/ b", "urn:x")]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no element found"),
        (b"\x00\xff\x00", "is no XMP packet"),
        (EDITED.encode()[:-30], "is no XMP packet"),
        (b"<html/>", "no rdf:RDF"),
        ((BOMB + HEAD + TAIL).encode(), "document type"),
        ((BOMB + HEAD + TAIL).encode("utf-16"), "document type"),
        ((HEAD + "<rdf:li>" * 200).encode(), "too deep"),
    ],
)
def test_what_is_no_packet_is_refused(data, words):
    with pytest.raises(NoPacket, match=words):
        Packet(data)


def test_a_packet_in_another_encoding_is_read():
    assert Packet(EDITED.replace("UTF-8", "UTF-16").encode("utf-16")).says(SUBJECT).endswith("Dog")


@pytest.mark.parametrize("encoding", ["gbk", "utf-7", "utf-32", "hex", "rot13", "foo"])
def test_an_encoding_that_cannot_be_read_is_no_packet(encoding):
    with pytest.raises(NoPacket):
        Packet(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())
