"""XMP files of other programs, and what exiftool says of a file."""

import json
import shutil
import subprocess

import pytest

EXIFTOOL = shutil.which("exiftool")
needs_exiftool = pytest.mark.skipif(not EXIFTOOL, reason="there is no exiftool here")

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:odd="http://example.org/odd/"
   xmp:Rating="4"
   xmpMM:DerivedFrom="a.png"
   odd:Thing="of a program that nobody knows"
   darktable:xmp_version="5"
   darktable:history_end="2">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="exposure"
      darktable:enabled="1"
      darktable:params="00000000000080b90000003f"
      darktable:multi_name=""
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
     <rdf:li
      darktable:num="1"
      darktable:operation="flip"
      darktable:params="ffffffff"/>
    </rdf:Seq>
   </darktable:history>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>places|Paris</rdf:li></rdf:Bag></lr:hierarchicalSubject>
%s
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

WORDS = """   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">old words</rdf:li>
     <rdf:li xml:lang="de">alte Worte</rdf:li>
    </rdf:Alt>
   </dc:description>
   <dc:subject><rdf:Bag><rdf:li>Paris, France</rdf:li><rdf:li>Dog</rdf:li></rdf:Bag></dc:subject>"""

EDITED = DARKTABLE % WORDS
"""Edits of darktable, a description in two languages and two keywords."""

BARE = DARKTABLE % ""
"""Edits of darktable alone."""


def told(path, *words):
    """What exiftool reads in a file, by name and group."""
    done = subprocess.run(
        [EXIFTOOL, "-config", "", "-j", "-struct", "-G1", "-a", "-XMP:all", *words, path],
        capture_output=True,
        check=True,
    )
    (facts,) = json.loads(done.stdout)
    return {name: fact for name, fact in facts.items() if name.startswith("XMP-")}


def others(path, field):
    """What exiftool reads in a file beside a field, the writing program, and what is empty."""
    left_out = (field, "XMP-x:XMPToolkit")
    return {name: fact for name, fact in told(path).items() if fact and name not in left_out}


def is_valid(path):
    """Whether exiftool finds nothing to complain of."""
    done = subprocess.run(
        [EXIFTOOL, "-config", "", "-validate", "-warning", "-a", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split() == ["Validate", ":", "OK"]
