"""`overnight caption` as its users meet it: a text beside each picture, and none of theirs lost."""

import json
import os
import xml.etree.ElementTree as ET

import pytest
from server import Status
from shell import openai

from batch.sources.presets import PRESETS

XMP = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}


@pytest.fixture
def caption(shell, server):
    """Caption a folder through the server; its answer is `A cat.` unless a test sets another."""
    server.answer = lambda request: "A cat."

    def call(*words, folder="photos"):
        return shell("caption", folder, *openai(server, *words))

    return call


@pytest.fixture
def photos(shell):
    """Two pictures, one of them in a folder inside."""
    shell.picture("photos/a.png")
    shell.picture("photos/sub/b.png", "blue")
    return shell.folder / "photos"


def texts(photos):
    """What stands beside the pictures, by name."""
    pictures = (".png", ".webp", ".gif")
    files = (p for p in photos.rglob("*") if p.is_file() and p.suffix.lower() not in pictures)
    return {str(path.relative_to(photos)): path.read_text("utf-8") for path in files}


def age(path, seconds=60):
    """Make a file older or, with negative seconds, younger than it is."""
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


def refused(done, *words):
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


# A text beside each picture


def test_each_picture_gets_one_line_without_a_newline_and_stays_as_it_is(caption, photos, server):
    server.answer = lambda request: "\ufeffTwo  cats.\n\n\tOn a\u2028mat. \x07é\r\n"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in photos.rglob("*.png")}
    done = caption()
    assert done.code == 0
    assert "sidecars: 2 files written (*.txt beside the images)" in done.err
    assert (photos / "a.txt").read_bytes() == "Two  cats. On a mat. é".encode()
    assert (photos / "sub/b.txt").read_bytes() == "Two  cats. On a mat. é".encode()
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in photos.rglob("*.png")}
    assert after == before
    assert len(texts(photos)) == 2


def test_a_sidecar_can_be_read_by_whoever_can_read_other_new_files(caption, photos):
    caption()
    (photos / "new").touch()
    assert (photos / "a.txt").stat().st_mode == (photos / "new").stat().st_mode


def test_the_results_keep_the_words_of_the_model(caption, photos, shell, server):
    server.answer = lambda request: "This image shows\na cat."
    more = ("--prefix", "ohwx, ", "--suffix", " -- end", "--strip-phrase", "this image shows")
    assert caption(*more).code == 0
    assert texts(photos)["a.txt"] == "ohwx, a cat. -- end"
    assert shell.outputs("photos.results.jsonl")["a.png"] == "This image shows\na cat."


def test_an_answer_of_which_nothing_is_left_gets_no_sidecar(caption, photos, server):
    server.answer = lambda request: "This image shows"
    done = caption("--strip-phrase", "This image shows", "--prefix", "x")
    assert done.code == 0
    assert texts(photos) == {}
    assert "nothing to write was left of 2 answers" in done.err


def test_a_picture_that_failed_gets_no_sidecar(caption, photos, server):
    server.faults = lambda request: Status(422) if request.number == 1 else None
    assert caption("-j", "1").code == 1
    assert len(texts(photos)) == 1


def test_a_name_as_long_as_a_name_can_be_gets_its_sidecar(caption, shell, photos):
    name = "x" * 251
    shell.picture(f"photos/{name}.png")
    assert caption().code == 0
    assert texts(photos)[f"{name}.txt"] == "A cat."


@pytest.mark.parametrize("ending", ["caption", ".caption", ".wd-tags.txt"])
def test_the_ending_of_a_sidecar_may_be_another(caption, photos, ending):
    assert caption("--caption-ext", ending).code == 0
    ending = ending.removeprefix(".")
    assert set(texts(photos)) == {f"a.{ending}", f"sub/b.{ending}"}


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (".JPG", "they would be replaced"),
        (".new.png", "they would be replaced"),
        ("../x", "no ending"),
        (" .txt", "no ending"),
        (".a*", "no ending"),
        ("", "no ending"),
    ],
)
def test_an_ending_that_would_harm_is_refused(caption, photos, server, ending, words):
    refused(caption("--caption-ext", ending), words)
    assert server.requests == []


def test_the_tree_of_sidecars_may_stand_elsewhere(caption, photos, shell):
    done = caption("--sidecar-dir", "photos/../out/texts")
    assert (done.code, f"(*.txt in {shell.folder}/out/texts)" in done.err) == (0, True)
    assert texts(photos) == {}
    assert texts(shell.folder / "out/texts") == {"a.txt": "A cat.", "sub/b.txt": "A cat."}


def test_no_sidecars_when_none_are_wanted(caption, photos):
    assert caption("--sidecar", "none").code == 0
    assert texts(photos) == {}


def test_tags_are_a_list_with_commas_each_once(caption, photos, server):
    server.answer = lambda request: "- cat\n- Mat\n3. cat, black hair."
    assert caption("--preset", "tags").code == 0
    assert texts(photos)["a.txt"] == "cat, Mat, black hair"


def test_a_json_sidecar_holds_the_useful_fields(caption, photos, shell):
    assert caption("--sidecar", "json", "--prefix", "x ").code == 0
    facts = json.loads(texts(photos)["a.json"])
    (row, _) = shell.lines("photos.results.jsonl")
    assert facts == {
        "id": "a.png",
        "caption": "x A cat.",
        "sha256": row["media"][0]["sha256"],
    } | {
        key: row[key]
        for key in ("output", "provider", "model", "source", "finish_reason", "finished_at")
    }
    before = (photos / "a.json").stat().st_mtime_ns
    assert caption("--sidecar", "json", "--prefix", "x ").code == 0
    assert (photos / "a.json").stat().st_mtime_ns == before


# XMP


@pytest.mark.parametrize(
    ("preset", "field", "said"),
    [
        ("caption", "dc:description/rdf:Alt", ['a < b & "c" ]]> é']),
        ("alt", "Iptc4xmpCore:AltTextAccessibility/rdf:Alt", ['a < b & "c" ]]> é']),
        ("tags", "dc:subject/rdf:Bag", ['a < b & "c" ]]> é', "d"]),
    ],
)
def test_an_xmp_sidecar_holds_the_answer_in_the_field_of_its_preset(
    caption, photos, server, preset, field, said
):
    server.answer = lambda request: 'a < b & "c" ]]>\x00 é\ufffe' + ", d" * (preset == "tags")
    assert caption("--preset", preset, "--sidecar", "xmp").code == 0
    assert set(texts(photos)) == {"a.png.xmp", "sub/b.png.xmp"}
    root = ET.fromstring((photos / "a.png.xmp").read_bytes())
    (items,) = root.findall(f"rdf:RDF/rdf:Description/{field}", XMP)
    assert [item.text for item in items] == said
    languages = [item.get("{http://www.w3.org/XML/1998/namespace}lang") for item in items]
    assert set(languages) == ({None} if preset == "tags" else {"x-default"})


def test_xmp_names_may_be_those_of_lightroom(caption, photos):
    assert caption("--sidecar", "xmp", "--xmp-naming", "photo.xmp").code == 0
    assert set(texts(photos)) == {"a.xmp", "sub/b.xmp"}


def test_an_xmp_file_that_is_there_stays_byte_for_byte(caption, photos, server):
    edits = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>\r\n\r\n"
    (photos / "a.png.xmp").write_bytes(edits)
    done = caption("--sidecar", "xmp")
    assert done.code == 0
    assert "1 image has a sidecar already" in done.err
    assert (photos / "a.png.xmp").read_bytes() == edits
    assert server.arrived == 1


# The same command again


def test_the_same_command_again_asks_nothing_and_touches_nothing(caption, photos, server):
    caption()
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*.txt")}
    assert caption().code == 0
    assert server.arrived == 2
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*.txt")} == before


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_sidecar_that_is_missing_or_empty_is_written_from_the_results(
    caption, photos, server, content
):
    caption()
    (photos / "a.txt").unlink()
    if content is not None:
        (photos / "a.txt").write_text(content)
    done = caption()
    assert (done.code, server.arrived) == (0, 2)
    assert texts(photos) == {"a.txt": "A cat.", "sub/b.txt": "A cat."}
    assert "1 of them for answers of earlier runs" in done.err


def test_results_of_run_become_sidecars_when_the_question_was_the_same(
    caption, photos, shell, server
):
    shell("run", "photos", "-p", "What?", *openai(server))
    assert texts(photos) == {}
    assert caption("-p", "What?").code == 0
    assert texts(photos) == {"a.txt": "A cat.", "sub/b.txt": "A cat."}
    assert server.arrived == 2


def test_other_words_for_the_prompt_replace_our_sidecars_and_going_back_brings_them_back(
    caption, photos, server
):
    server.answer = lambda request: f"{request.prompt}!"
    caption("-p", "one")
    caption("-p", "two")
    assert texts(photos) == {"a.txt": "two!", "sub/b.txt": "two!"}
    assert server.arrived == 4
    assert caption("-p", "one").code == 0
    assert texts(photos) == {"a.txt": "one!", "sub/b.txt": "one!"}
    assert server.arrived == 4


def test_an_edited_sidecar_stays_and_is_not_asked_about_again(caption, photos, server):
    caption("-p", "one")
    (photos / "a.txt").write_text("by hand")
    done = caption("-p", "one")
    assert "note: 1 sidecar does not say what the answer does" in done.err
    assert "one that is deleted is written anew, --existing overwrite replaces them" in done.err
    done = caption("-p", "two")
    assert done.code == 0
    assert "1 image has a sidecar already and will not be asked about" in done.err
    assert texts(photos)["a.txt"] == "by hand"
    assert server.arrived == 3


def test_beginning_anew_replaces_ours_and_leaves_what_was_edited(caption, photos, server):
    caption()
    (photos / "a.txt").write_text("by hand")
    server.answer = lambda request: "A dog."
    assert caption("--fresh").code == 0
    assert texts(photos) == {"a.txt": "by hand", "sub/b.txt": "A dog."}
    assert server.arrived == 3


def test_a_picture_that_was_renamed_takes_its_answer_along(caption, photos, server):
    caption()
    (photos / "a.png").rename(photos / "c.png")
    assert caption().code == 0
    assert texts(photos)["c.txt"] == "A cat."
    assert server.arrived == 2


def test_a_picture_renamed_with_its_sidecar_gets_its_answer_back(caption, photos, server, shell):
    caption()
    for name in ("a.png", "a.txt"):
        (photos / name).rename(photos / name.replace("a", "c", 1))
    assert "1 image has a sidecar already" in caption().err
    done = caption("--existing", "overwrite")
    assert "1 of them carried over to a picture's new name" in done.err
    assert texts(photos) == {"c.txt": "A cat.", "sub/b.txt": "A cat."}
    assert "note: 1 answer belongs to no job" in caption().err
    assert server.arrived == 2
    path = shell.folder / "photos.results.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(row for row in rows if not row.startswith('{"id":"a.png",')))
    assert "sound: 2 answers and 0 failed of 2 jobs\n" in shell("verify", "photos").out


def test_a_last_newline_of_an_editor_is_no_edit(caption, photos, server):
    caption("-p", "one")
    (photos / "a.txt").write_text("A cat.\n")
    server.answer = lambda request: "A dog."
    caption("-p", "two")
    assert texts(photos)["a.txt"] == "A dog."


# What stands there already


def test_a_picture_with_a_sidecar_is_not_asked_about(caption, photos, shell, server):
    (photos / "a.txt").write_text("old")
    done = caption()
    assert done.code == 0
    assert "1 job: 1 to do" in done.err
    assert "1 image has a sidecar already and will not be asked about" in done.err
    assert (server.arrived, texts(photos)["a.txt"]) == (1, "old")
    assert shell("status", "photos", "--json").json["left"] == 0
    assert shell("verify", "photos").code == 0


def test_the_dry_run_tells_who_has_a_sidecar_and_writes_nothing(caption, photos, shell, server):
    (photos / "a.txt").write_text("old")
    before = shell.files()
    told = caption("-n", "--json").json
    assert (told["to_do"], told["withheld"]) == (1, 1)
    assert (server.arrived, shell.files()) == (0, before)


def test_the_answer_to_another_question_stands_aside_while_its_picture_is_not_asked_about(
    caption, photos, shell, server
):
    earlier = ("run", "photos", "-p", "What?", *openai(server))
    shell(*earlier)
    (photos / "a.txt").write_text("by hand")
    done = caption()
    assert (done.code, done.err.count("note: ")) == (0, 1)
    assert [line["id"] for line in shell.lines("photos.results.jsonl")] == ["sub/b.png"]
    assert len(shell.lines("photos.superseded.jsonl")) == 2
    assert "1 of 1 job answered" in shell("status", "photos").out
    assert "sound: 1 answer and 0 failed of 1 job" in shell("verify", "photos").out
    assert "exported 1 answer " in shell("export", "photos", "--to", "xmp").out
    again = shell(*earlier)
    assert "2 done, 2 of them taken back from earlier" in again.err
    assert (server.arrived, len(shell.lines("photos.results.jsonl"))) == (3, 2)


@pytest.mark.parametrize(("more", "left"), [((), 2), (("-p", "Else?"), 1)])
def test_beginning_anew_leaves_the_answer_of_a_picture_that_is_not_asked_about(
    caption, photos, shell, server, more, left
):
    caption()
    (photos / "a.txt").write_text("mine")
    assert caption("--fresh", *more).code == 0
    assert (server.arrived, len(shell.lines("photos.results.jsonl"))) == (3, left)
    assert texts(photos) == {"a.txt": "mine", "sub/b.txt": "A cat."}


def test_what_an_edited_sidecar_leaves_unasked_keeps_its_edit(caption, photos, shell, server):
    caption()
    (photos / "a.txt").write_text("mine")
    assert caption("-p", "Else?").code == 0
    assert texts(photos) == {"a.txt": "mine", "sub/b.txt": "A cat."}
    assert caption().code == 0
    assert texts(photos) == {"a.txt": "mine", "sub/b.txt": "A cat."}
    assert (server.arrived, len(shell.lines("photos.results.jsonl"))) == (3, 2)


def test_the_dry_run_counts_no_picture_that_only_got_another_name(caption, photos):
    caption()
    (photos / "a.png").rename(photos / "c.png")
    (photos / "sub/b.png").rename(photos / "d.png")
    planned = caption("-n")
    assert "2 answers of those carried over to a picture's new name" in planned.out
    assert "to do: 0 requests to openai, about 0 tokens of text (estimate)\n" in planned.out


def test_only_pictures_that_would_be_asked_about_are_counted_when_none_can_be(shell, photos):
    shell.picture("photos/c.png", "green")
    (photos / "a.txt").write_text("by hand")
    words = ("--provider", "exec:cat", "-p", "What?")
    assert "(so for all 2 jobs)" in shell("caption", "photos", *words).err


def test_what_is_no_file_stays_and_is_not_asked_about(caption, photos, server):
    (photos / "a.txt").mkdir()
    os.mkfifo(photos / "sub/b.txt")
    assert caption().code == 0
    assert server.arrived == 0


@pytest.mark.parametrize(
    ("existing", "left"),
    [
        ("overwrite", {"a.txt": "A cat."}),
        ("append", {"a.txt": "old. A cat."}),
        ("prepend", {"a.txt": "A cat. old"}),
        ("backup", {"a.txt": "A cat.", "a.txt.bak": "old"}),
    ],
)
def test_what_is_there_is_treated_as_asked_and_only_once(caption, photos, server, existing, left):
    (photos / "a.txt").write_text("old")
    age(photos / "a.txt")
    for _ in range(3):
        assert caption("--existing", existing).code == 0
        assert texts(photos) == left | {"sub/b.txt": "A cat."}
    assert server.arrived == 2


@pytest.mark.parametrize(
    ("existing", "first", "then"),
    [
        ("append", "old. one!", "old. two!"),
        ("prepend", "one! old", "two! old"),
        ("overwrite", "one!", "two!"),
    ],
)
def test_a_changed_answer_takes_the_place_of_its_own_words_only(
    caption, photos, server, existing, first, then
):
    server.answer = lambda request: f"{request.prompt}!"
    (photos / "a.txt").write_text("old")
    age(photos / "a.txt")
    caption("--existing", existing, "-p", "one")
    assert texts(photos)["a.txt"] == first
    caption("--existing", existing, "-p", "two")
    assert texts(photos) == {"a.txt": then, "sub/b.txt": "two!"}


def test_tags_are_joined_with_a_comma(caption, photos, server):
    server.answer = lambda request: "cat, mat"
    (photos / "a.txt").write_text("1girl, solo,\n")
    age(photos / "a.txt")
    caption("--existing", "append", "--preset", "tags")
    assert texts(photos)["a.txt"] == "1girl, solo, cat, mat"


def test_nothing_is_joined_to_a_text_that_was_edited_since(caption, photos):
    (photos / "a.txt").write_text("old")
    age(photos / "a.txt")
    caption("--existing", "append")
    (photos / "a.txt").write_text("old, A cut.")
    age(photos / "a.txt", -5)
    assert caption("--existing", "append").code == 0
    assert texts(photos)["a.txt"] == "old, A cut."


def test_overwriting_what_was_edited_since_keeps_the_edit_as_a_backup(caption, photos):
    caption("--existing", "overwrite")
    (photos / "a.txt").write_text("by hand")
    age(photos / "a.txt", -5)
    assert caption("--existing", "overwrite").code == 0
    assert texts(photos) == {"a.txt": "A cat.", "a.txt.bak": "by hand", "sub/b.txt": "A cat."}


def test_a_text_that_is_no_utf_8_is_not_joined_to(caption, photos):
    (photos / "a.txt").write_bytes(b"caf\xe9")
    age(photos / "a.txt")
    assert caption("--existing", "append").code == 0
    assert (photos / "a.txt").read_bytes() == b"caf\xe9"


def test_a_link_is_replaced_and_not_what_it_leads_to(caption, photos, shell):
    (shell.folder / "precious").write_text("keep me")
    age(shell.folder / "precious")
    (photos / "a.txt").symlink_to(shell.folder / "precious")
    assert caption("--existing", "overwrite").code == 0
    assert (shell.folder / "precious").read_text() == "keep me"
    assert texts(photos)["a.txt"] == "A cat."


# What cannot be


@pytest.mark.parametrize(
    ("first", "second"), [("a.png", "a.webp"), ("A.png", "a.png"), ("é.png", "e\u0301.webp")]
)
def test_two_pictures_that_would_share_a_sidecar_are_told_before_anything_is_sent(
    caption, shell, server, first, second
):
    shell.picture(f"photos/{first}")
    shell.picture(f"photos/{second}", "blue")
    before = shell.files()
    refused(caption(), first, second, "would share the sidecar", "--exclude")
    assert (server.arrived, shell.files()) == (0, before)
    assert caption("--exclude", second).code == 0


def test_pictures_of_one_stem_do_not_share_an_xmp_sidecar(caption, shell):
    shell.picture("photos/a.png")
    shell.picture("photos/a.webp", "blue")
    assert caption("--sidecar", "xmp").code == 0


def test_a_sidecar_never_takes_the_place_of_the_results(caption, photos, server):
    refused(caption("-o", photos / "a.txt"), "a file of this run")
    assert server.arrived == 0


def test_sidecars_that_cannot_be_written_are_told_once_and_written_once_they_can(
    caption, photos, shell, server
):
    (shell.folder / "out").write_text("in the way")
    done = caption("--sidecar-dir", "out")
    assert done.code == 74
    assert done.err.count("the answers are safe in the results file") == 1
    assert "2 sidecars not written" in done.err
    assert len(shell.lines("photos.results.jsonl")) == 2
    assert caption("--sidecar-dir", "out").code == 74
    (shell.folder / "out").unlink()
    assert caption("--sidecar-dir", "out").code == 0
    assert texts(shell.folder / "out") == {"a.txt": "A cat.", "sub/b.txt": "A cat."}
    assert server.arrived == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--sidecar", "json", "--existing", "append"), "nothing is joined to a JSON file"),
        (("-o", "-"), "--sidecar none"),
        (("--preset", "poem"), "poem"),
        (("--ext", "jpg,doc"), "there are jpg"),
    ],
)
def test_what_does_not_go_together_is_refused(caption, photos, server, more, words):
    refused(caption(*more), words)
    assert server.arrived == 0


def test_a_job_file_is_a_matter_of_run(caption, shell, server):
    shell.jobs(1)
    refused(caption(folder="jobs.jsonl"), "`overnight run` does job files")
    refused(caption(folder="nowhere"), "No such file or directory")
    refused(shell("caption"), "Missing argument 'FOLDER")


# What is asked


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_prompt_that_can_be_shown(caption, photos, shell, server, preset):
    shown = shell("caption", "--preset", preset, "--show-prompt")
    assert (shown.code, shown.out) == (0, f"{PRESETS[preset]}\n")
    caption("--preset", preset, "--sidecar", "none")
    assert {request.prompt for request in server.requests} == {PRESETS[preset]}


def test_a_prompt_of_ones_own_comes_before_the_preset(caption, photos, shell, server):
    caption("-p", "Mine.")
    assert {request.prompt for request in server.requests} == {"Mine."}
    assert shell("caption", "-p", "Mine.", "--show-prompt").out == "Mine.\n"


def test_caption_has_a_table_of_its_own(photos, shell, server):
    shell.write(
        "overnight.toml",
        '[run]\nprompt = "not this"\n[caption]\nprompt = "this"\nprovider = "openai"\n'
        f'model = "m"\nbase_url = "{server.url}"\ncaption-ext = ".caption"\nexclude = ["sub/"]',
    )
    assert shell("caption", "photos").code == 0
    assert [request.prompt for request in server.requests] == ["this"]
    assert set(texts(photos)) == {"a.caption"}


def test_the_next_command_is_a_caption_again(caption, photos, server):
    server.faults = lambda request: Status(422) if request.number == 1 else None
    done = caption("-j", "1", "--preset", "alt")
    assert "next: overnight caption photos" in done.err
    assert "--preset alt" in done.err


def test_the_provider_that_costs_nothing_captions_too(photos, shell):
    assert shell("caption", "photos").code == 0
    assert texts(photos)["a.txt"].startswith("Landscape PNG image of 8 x 6 pixels")


def test_the_provider_that_costs_nothing_lists_words_when_tags_are_asked_for(photos, shell):
    assert shell("caption", "photos", "--preset", "tags", "--sidecar", "xmp").code == 0
    packet = ET.parse(photos / "a.png.xmp")
    words = [each.text for each in packet.iterfind(".//dc:subject//rdf:li", XMP)]
    assert words == ["landscape", "png", "red", "dark"]


def test_the_provider_that_sees_nothing_says_that_it_writes_no_alt_text(photos, shell):
    told = "note: offline measures and does not see: what it writes is no alt text"
    assert told in shell("caption", "photos", "--preset", "alt").err
    assert shell("caption", "photos", "--preset", "alt", "-q").err == ""
    assert "no alt text" not in shell("caption", "photos").err


def test_a_prompt_may_name_the_picture(caption, photos, server):
    assert caption("-p", "{{name}} {{ stem }} {{folder}}.").code == 0
    prompts = {request.prompt for request in server.requests}
    assert prompts == {"a.png a photos.", "b.png b sub."}


def test_an_unknown_name_in_a_prompt_is_told_before_anything_is_sent(caption, photos, server):
    refused(caption("-p", "{{nam}}"), "no value for {{nam}}", "name, stem, tags")
    assert server.arrived == 0


def test_a_prompt_may_hold_the_text_beside_the_picture(caption, photos, server):
    (photos / "a.txt").write_text("1girl,solo {{name}},\n")
    asked = ("-p", "Tags: {{tags}}; {{caption}}", "--caption-ext", "caption")
    assert caption(*asked).code == 0
    prompts = {request.prompt for request in server.requests}
    assert prompts == {"Tags: 1girl, solo {{name}}; 1girl,solo {{name}},", "Tags: ; "}
    assert caption(*asked).code == 0
    assert server.arrived == 2


def test_a_prompt_that_reads_what_the_run_writes_is_refused(caption, photos, server):
    refused(caption("-p", "{{tags}}", "--existing", "append"), "--caption-ext .caption")
    assert server.arrived == 0


# Which pictures


def test_only_the_asked_endings_are_taken(caption, photos, shell):
    shell.picture("photos/c.WEBP")
    shell.picture("photos/d.gif")
    assert caption("--ext", "webp, .GIF").code == 0
    assert set(texts(photos)) == {"c.txt", "d.txt"}


def test_what_is_excluded_is_no_job_for_status_and_verify_either(caption, photos, shell):
    assert caption("--exclude", "sub/").code == 0
    assert set(texts(photos)) == {"a.txt"}
    assert shell("verify", "photos").code == 0
    assert shell("status", "photos", "--json").json["jobs"] == 1


def test_the_ignore_file_of_the_folder_is_heeded(caption, photos, shell):
    shell.picture("photos/sub/c.png")
    (photos / ".overnightignore").write_text("# drafts\nsub/*\n!b.png\n")
    assert caption().code == 0
    assert set(texts(photos)) == {".overnightignore", "a.txt", "sub/b.txt"}


def test_pictures_can_be_named_one_by_one(caption, photos, shell, server):
    assert caption(folder="photos/a.png").code == 0
    assert set(texts(photos)) == {"a.txt", "a.png.results.jsonl", "a.png.lock", "a.png.run.json"}
    shell.picture("photos/c.png")
    more = openai(server, "-o", "all.results.jsonl", "--root", "photos")
    assert shell("caption", "photos/c.png", "photos/sub", *more).code == 0
    assert set(shell.outputs("all.results.jsonl")) == {"c.png", "sub/b.png"}
    assert server.arrived == 3


# Killed


def test_what_a_kill_left_of_a_sidecar_goes_where_a_person_wrote_one_since(caption, photos):
    assert caption().code == 0
    (photos / "a.txt").write_text("by hand")
    (photos / ".a.txt.part").write_text("A c")  # what a kill leaves
    assert caption().code == 0
    assert not (photos / ".a.txt.part").exists()
    assert texts(photos)["a.txt"] == "by hand"


def test_what_a_kill_left_beside_a_sidecar_that_was_written_by_hand_since_goes(caption, photos):
    (photos / "a.txt").write_text("by hand")
    (photos / ".a.txt.part").write_text("A c")
    assert caption("-n").code == 0
    assert (photos / ".a.txt.part").exists()
    caption()
    assert texts(photos) == {"a.txt": "by hand", "sub/b.txt": "A cat."}


def test_an_answer_saved_before_its_sidecar_is_not_asked_for_again(caption, photos, shell, server):
    caption("--limit", "1")
    (photos / "a.txt").rename(shell.folder / "gone")
    (photos / ".a.txt.part").write_text("A c")  # what a kill leaves
    assert caption().code == 0
    assert server.arrived == 2
    assert texts(photos) == {"a.txt": "A cat.", "sub/b.txt": "A cat."}
