"""exiftool sets one field of a packet, exactly, and nothing else of it changes."""

import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import EDITED, is_valid, needs_exiftool, others, told
from processes import PYTHON, is_gone, pid_in, wait_until

from batch.results import exiftool
from batch.results.exiftool import Change, ExifTool
from batch.results.xmp import ALT_TEXT, DESCRIPTION, SUBJECT
from batch.results.xmp_read import Packet

FIELDS = (DESCRIPTION, SUBJECT, ALT_TEXT)
HARD = "  $0 -a=b\n<b> & 'c' \"d\" ]]>\n\n%n \\n #[CSTR] {ready}\n🐱\u200d é \u2028 -execute  "


def changed(*changes):
    return ExifTool().changed([Change(*change) for change in changes])


def one(packet, field, value):
    (outcome,) = changed((packet, field, value))
    assert outcome.trouble == ""
    return outcome.packet


@needs_exiftool
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_field_reads_back_exactly_and_all_others_stay(tmp_path, field):
    before, after = tmp_path / "before.xmp", tmp_path / "after.xmp"
    before.write_text(EDITED, "utf-8")
    value = "cat, mat\n$x\n -dog\n🐱" if field.keywords else HARD
    after.write_bytes(one(before.read_bytes(), field, value))
    wanted = value.split("\n") if field.keywords else value
    assert told(after)[field.exiftool] == wanted
    assert others(after, field.exiftool) == others(before, field.exiftool)
    assert told(after)["XMP-darktable:History"][1]["Operation"] == "flip"
    assert is_valid(after)


@needs_exiftool
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_packet_of_ours_is_valid_and_reads_back(tmp_path, field):
    path = tmp_path / "a.xmp"
    path.write_text(field.packet("one <two> & 'three' 🐱"), "utf-8")
    said = told(path)[field.exiftool]
    assert said == (["one <two> & 'three' 🐱"] if field.keywords else "one <two> & 'three' 🐱")
    assert is_valid(path)


TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1
).filter(str.strip)


@needs_exiftool
@given(st.lists(TEXT, min_size=20, max_size=20))
@settings(max_examples=3, deadline=None)
def test_any_text_reads_back(texts):
    outcomes = changed(*((EDITED.encode(), DESCRIPTION, text) for text in texts))
    assert [outcome.trouble for outcome in outcomes] == [""] * 20
    assert [Packet(outcome.packet).says(DESCRIPTION) for outcome in outcomes] == texts


@needs_exiftool
def test_another_language_of_the_text_stays():
    packet = Packet(one(EDITED.encode(), DESCRIPTION, "new"))
    said = {value.language: value.text for value in packet.values if "description" in value.name}
    assert said == {"x-default": "new", "de": "alte Worte"}


@needs_exiftool
def test_what_cannot_be_changed_is_told_and_its_neighbours_are_changed():
    good, bad, last = changed(
        (EDITED.encode(), DESCRIPTION, "one"),
        (b"no packet", DESCRIPTION, "two"),
        (EDITED.encode(), DESCRIPTION, "three"),
    )
    assert Packet(good.packet).says(DESCRIPTION) == "one"
    assert Packet(last.packet).says(DESCRIPTION) == "three"
    assert bad.packet == b""
    assert bad.trouble.startswith("exiftool: Error: ")


@needs_exiftool
def test_no_configuration_of_exiftool_is_read(tmp_path, monkeypatch):
    (tmp_path / ".ExifTool_config").write_text("die 'the configuration was read';\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert one(EDITED.encode(), DESCRIPTION, "new")


@needs_exiftool
def test_nothing_of_it_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one(EDITED.encode(), DESCRIPTION, "new")
    assert list(tmp_path.iterdir()) == []


# Programs that are called exiftool and are none


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a script into the place of exiftool."""

    def put(script):
        path = tmp_path / "bin/exiftool"
        path.parent.mkdir()
        path.write_text(f"#!{PYTHON}\n{script}")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)

    return put


KEYS = """import os, pathlib, sys
seen = [name for name in os.environ if name.endswith("_API_KEY")]
pathlib.Path(os.environ["SEEN"]).write_text(repr([sys.argv[1:], seen]))
"""


def test_no_text_is_in_its_words_and_no_key_in_its_environment(program, tmp_path, monkeypatch):
    program(KEYS)
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    changed((EDITED.encode(), DESCRIPTION, "private words"))
    assert (tmp_path / "seen").read_text() == "[['-config', '', '-@', '-'], []]"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("", "no reason was given"),
        ("import sys; sys.exit('out of order')", "out of order"),
        ("open('0.new.xmp', 'w').write('half')", "is no XMP packet"),
        ("import shutil; shutil.copy('0.old.xmp', '0.new.xmp')", "did not write dc:description"),
        ("import shutil; shutil.copy('0.set.xmp', '0.new.xmp')", "would have lost"),
    ],
)
def test_what_comes_back_wrong_is_not_taken(program, script, words):
    program(script)
    (outcome,) = changed((EDITED.encode(), DESCRIPTION, "new"))
    assert outcome.packet == b""
    assert words in outcome.trouble


HANGS = """import os, pathlib, time
pathlib.Path(os.environ["PID"]).write_text(f"{os.getpid()}\\n")
time.sleep(60)
"""


def test_one_that_hangs_is_killed_when_its_time_is_over(program, tmp_path, monkeypatch):
    program(HANGS)
    monkeypatch.setenv("PID", str(tmp_path / "pid"))
    monkeypatch.setattr(exiftool, "SECONDS", 0.5)
    begun = time.monotonic()
    (outcome,) = changed((EDITED.encode(), DESCRIPTION, "new"))
    assert time.monotonic() - begun < 10
    assert "took too long" in outcome.trouble
    wait_until(lambda: is_gone(pid_in(tmp_path / "pid")))


def test_it_can_be_stopped_from_another_thread(program, tmp_path, monkeypatch):
    program(HANGS)
    monkeypatch.setenv("PID", str(tmp_path / "pid"))
    tool, outcomes = ExifTool(), []
    change = [Change(EDITED.encode(), DESCRIPTION, "new")]
    thread = threading.Thread(target=lambda: outcomes.extend(tool.changed(change)))
    thread.start()
    pid = pid_in(tmp_path / "pid")
    tool.stop()
    thread.join(10)
    assert is_gone(pid)
    assert [outcome.packet for outcome in outcomes] == [b""]
    told = [outcomes[0].trouble, tool.changed(change)[0].trouble]
    assert told == ["interrupted: the same command goes on"] * 2


def test_where_there_is_none_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not ExifTool().is_there
