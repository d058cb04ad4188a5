"""XMP files that are there: one field is set by exiftool, and nobody's edits are lost."""

import os
import shutil
import signal

import pytest
from packets import BARE, EDITED, EXIFTOOL, is_valid, needs_exiftool, others, told
from processes import is_gone, pid_in, wait_until
from shell import openai

CAPTION, TAGS, ALT = (("--preset", name) for name in ("caption", "tags", "alt"))
FIELD = {
    "caption": "XMP-dc:Description",
    "tags": "XMP-dc:Subject",
    "alt": "XMP-iptcCore:AltTextAccessibility",
}
NAMES = ("-a.png", "two\nlines.png", "caf\udce9 $x.png")
"""Names that a command line would trip over."""


@pytest.fixture
def caption(shell, server):
    """Caption a folder with XMP files through the server."""
    server.answer = lambda request: "A cat."

    def call(*words):
        return shell("caption", "photos", "--sidecar", "xmp", *openai(server, *words))

    return call


@pytest.fixture
def photos(shell):
    """A picture with an XMP file of darktable that is older than any answer."""
    shell.picture("photos/a.png")
    put(shell.folder / "photos/a.png.xmp", EDITED)
    return shell.folder / "photos"


@pytest.fixture
def no_exiftool(shell, monkeypatch):
    """A PATH without exiftool."""
    (shell.folder / "home/bin").mkdir()
    monkeypatch.setenv("PATH", str(shell.folder / "home/bin"))


@pytest.fixture
def counted(shell, monkeypatch):
    """Count how often exiftool is started."""
    log = shell.folder / "home/log"
    script = shell.folder / "home/bin/exiftool"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho >> {log}\nexec {EXIFTOOL} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    return lambda: log.read_text().count("\n") if log.exists() else 0


def put(path, text, seconds=-60):
    path.write_text(text, "utf-8")
    age(path, seconds)


def age(path, seconds):
    moment = path.stat().st_mtime + seconds
    os.utime(path, (moment, moment))


def files(photos):
    return sorted(path.name for path in photos.iterdir())


# caption


@needs_exiftool
@pytest.mark.parametrize("preset", ["caption", "tags", "alt"])
def test_overwriting_sets_the_field_of_the_preset_and_keeps_all_else(
    caption, photos, server, preset
):
    server.answer = lambda request: "a < b & é 🐱, $c"
    path, field = photos / "a.png.xmp", FIELD[preset]
    before = others(path, field)
    done = caption("--preset", preset, "--existing", "overwrite")
    assert done.code == 0
    assert "sidecars: 1 file written" in done.err
    said = told(path)[field]
    assert said == (["a < b & é 🐱", "$c"] if preset == "tags" else "a < b & é 🐱, $c")
    assert others(path, field) == before
    assert is_valid(path)
    assert files(photos) == ["a.png", "a.png.xmp"]


@needs_exiftool
@pytest.mark.parametrize(
    ("existing", "preset", "said"),
    [
        ("append", "caption", "old words. A cat."),
        ("prepend", "caption", "A cat. old words"),
        ("append", "tags", ["Paris, France", "Dog", "A cat"]),
        ("prepend", "tags", ["A cat", "Paris, France", "Dog"]),
        ("append", "alt", "A cat."),
        ("overwrite", "caption", "A cat."),
        ("backup", "caption", "A cat."),
    ],
)
def test_the_same_command_again_changes_nothing_and_starts_nothing(
    caption, photos, server, counted, existing, preset, said
):
    words = ("--existing", existing, "--preset", preset)
    assert caption(*words).code == 0
    path = photos / "a.png.xmp"
    first, when = path.read_bytes(), path.stat().st_mtime_ns
    assert told(path)[FIELD[preset]] == said
    for _ in range(2):
        assert caption(*words).code == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (first, when)
    assert (server.arrived, counted()) == (1, 1)


@needs_exiftool
def test_keywords_that_are_there_are_not_added_again(caption, photos, server):
    server.answer = lambda request: "dog, mat"
    assert caption("--existing", "append", *TAGS).code == 0
    assert told(photos / "a.png.xmp")["XMP-dc:Subject"] == ["Paris, France", "Dog", "mat"]


@needs_exiftool
@pytest.mark.parametrize(
    ("existing", "said"),
    [("append", "old words. two!"), ("prepend", "two! old words"), ("overwrite", "two!")],
)
def test_a_changed_answer_takes_the_place_of_its_own_words_only(
    caption, photos, server, existing, said
):
    server.answer = lambda request: f"{request.prompt}!"
    caption("--existing", existing, "-p", "one")
    caption("--existing", existing, "-p", "two")
    assert told(photos / "a.png.xmp")["XMP-dc:Description"] == said
    assert told(photos / "a.png.xmp")["XMP-xmp:Rating"] == 4


@needs_exiftool
@pytest.mark.parametrize("existing", ["append", "overwrite"])
def test_a_free_field_is_filled_and_edits_of_other_fields_are_no_edit_of_it(
    caption, photos, server, existing
):
    path = photos / "a.png.xmp"
    put(path, BARE, 60)
    assert caption("--existing", existing, "-p", "one").code == 0
    assert told(path)["XMP-dc:Description"] == "A cat."
    put(path, path.read_text("utf-8").replace(">4<", ">5<"), 60)
    server.answer = lambda request: "A dog."
    assert caption("--existing", existing, "-p", "two").code == 0
    assert told(path)["XMP-dc:Description"] == "A dog."
    assert told(path)["XMP-xmp:Rating"] == 5
    assert files(photos) == ["a.png", "a.png.xmp"]


@needs_exiftool
def test_a_description_that_was_edited_since_is_not_joined_to(caption, photos):
    path = photos / "a.png.xmp"
    caption("--existing", "append")
    put(path, path.read_text("utf-8").replace("A cat.", "A cut."), 60)
    before = path.read_bytes()
    done = caption("--existing", "append")
    assert "note: 1 sidecar does not say what the answer does" in done.err
    assert path.read_bytes() == before


@needs_exiftool
@pytest.mark.parametrize(("existing", "seconds"), [("backup", -60), ("overwrite", 60)])
def test_a_backup_keeps_the_bytes_of_the_file(caption, photos, existing, seconds):
    put(photos / "a.png.xmp", EDITED, seconds)
    assert caption("--existing", existing).code == 0
    assert (photos / "a.png.xmp.bak").read_text("utf-8") == EDITED
    assert told(photos / "a.png.xmp")["XMP-dc:Description"] == "A cat."


@needs_exiftool
def test_odd_names_are_met_by_nobody_but_us(caption, photos, shell):
    (photos / "a.png").unlink()
    for name in NAMES:
        shell.picture(f"photos/{name}")
        put(photos / f"{name}.xmp", EDITED)
    assert caption("--existing", "append").code == 0
    for name in NAMES:
        assert b"old words. A cat." in (photos / f"{name}.xmp").read_bytes()


@needs_exiftool
def test_many_files_go_through_few_processes(caption, photos, shell, counted):
    for number in range(70):
        shell.picture(f"photos/{number}.png")
    caption("--existing", "append", "--no-dedupe")
    for number in range(70):
        put(photos / f"{number}.png.xmp", EDITED)
    before = counted()
    assert caption("--existing", "append", "--no-dedupe").code == 0
    assert counted() - before == 2
    assert b"old words. A cat." in (photos / "69.png.xmp").read_bytes()


@needs_exiftool
@pytest.mark.parametrize("content", ["no packet", EDITED[:300], "<html/>"])
def test_a_file_that_is_no_packet_stays(caption, photos, content):
    put(photos / "a.png.xmp", content)
    done = caption("--existing", "overwrite")
    assert done.code == 0
    assert f"note: 1 XMP file stays: {photos / 'a.png.xmp'} is no XMP packet: " in done.err
    assert (photos / "a.png.xmp").read_text("utf-8") == content


@needs_exiftool
def test_the_mode_of_a_file_stays(caption, photos):
    (photos / "a.png.xmp").chmod(0o604)
    caption("--existing", "overwrite")
    assert (photos / "a.png.xmp").stat().st_mode & 0o777 == 0o604


def test_an_exiftool_that_is_out_of_order_costs_nothing_but_its_own_work(
    caption, photos, shell, server, monkeypatch
):
    script = shell.folder / "home/exiftool"
    script.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    for _ in range(2):
        done = caption("--existing", "backup")
        assert done.code == 74
        assert "1 sidecar not written: cannot write" in done.err
        assert "exiftool: out of order" in done.err
    assert (photos / "a.png.xmp").read_text("utf-8") == EDITED
    assert files(photos) == ["a.png", "a.png.xmp"]
    assert server.arrived == 1


@pytest.fixture
def slow(shell, monkeypatch):
    """An exiftool that never ends; what starts a run that waits for it, and its number."""
    script, pid = shell.folder / "home/exiftool", shell.folder / "home/pid"
    script.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 60\n")
    script.chmod(0o755)

    def start(*words):
        path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
        run = shell.start(*words, env={**os.environ, "PATH": path})
        return run, pid_in(pid)

    return start


@needs_exiftool
def test_a_kill_leaves_the_file_as_it_was_and_the_next_run_sets_the_field(
    caption, photos, server, slow
):
    words = ("caption", "photos", "--sidecar", "xmp", "--existing", "append", *openai(server))
    run, pid = slow(*words)
    with run:
        run.kill()
    os.kill(pid, signal.SIGKILL)
    assert (photos / "a.png.xmp").read_text("utf-8") == EDITED
    assert caption("--existing", "append").code == 0
    assert told(photos / "a.png.xmp")["XMP-dc:Description"] == "old words. A cat."
    assert server.arrived == 1


@pytest.mark.parametrize("during", ["the run", "its start"])
def test_a_second_signal_ends_exiftool_and_the_run(caption, photos, server, slow, during):
    if during == "its start":
        caption("--sidecar", "none")
    words = ("caption", "photos", "--sidecar", "xmp", "--existing", "append", *openai(server))
    run, pid = slow(*words)
    with run:
        run.send_signal(signal.SIGINT)
        run.send_signal(signal.SIGTERM)
        _, messages = run.communicate(timeout=10)
    assert run.returncode in (130, 143), messages
    assert "Traceback" not in messages
    wait_until(lambda: is_gone(pid))
    assert (photos / "a.png.xmp").read_text("utf-8") == EDITED


@pytest.mark.parametrize("existing", ["overwrite", "append", "prepend", "backup"])
def test_without_exiftool_a_file_stays_byte_for_byte_and_the_summary_says_what_to_install(
    caption, photos, no_exiftool, existing
):
    when = (photos / "a.png.xmp").stat().st_mtime_ns
    for _ in range(2):
        done = caption("--existing", existing)
        assert done.code == 0
        assert "note: 1 XMP file of another program stays as it is: exiftool is not on" in done.err
        assert "apt install libimage-exiftool-perl" in done.err
    assert (photos / "a.png.xmp").read_text("utf-8") == EDITED
    assert (photos / "a.png.xmp").stat().st_mtime_ns == when
    assert files(photos) == ["a.png", "a.png.xmp"]


@needs_exiftool
def test_what_stayed_for_want_of_exiftool_is_done_by_the_next_run_free_of_charge(
    caption, photos, server, monkeypatch
):
    with monkeypatch.context() as poor:
        poor.setenv("PATH", str(photos))
        caption("--existing", "append")
    assert caption("--existing", "append").code == 0
    assert told(photos / "a.png.xmp")["XMP-dc:Description"] == "old words. A cat."
    assert server.arrived == 1


def test_files_of_ours_follow_their_records_without_exiftool(caption, shell, server, no_exiftool):
    shell.picture("photos/a.png")
    server.answer = lambda request: f"{request.prompt}!"
    for prompt in ("one", "two"):
        done = caption("--existing", "overwrite", "-p", prompt)
        assert (done.code, "exiftool" in done.err) == (0, False)
        assert f"{prompt}!" in (shell.folder / "photos/a.png.xmp").read_text("utf-8")


# export


@pytest.fixture
def export(shell):
    def call(*words):
        return shell("export", "photos", "--to", "xmp", *words)

    return call


@pytest.fixture
def album(shell, server):
    """Two answered pictures without sidecars."""
    server.answer = lambda request: "A cat,\n<mat> é 🐱"
    shell.picture("photos/a.png")
    shell.picture("photos/sub/b.png", "blue")
    assert shell("run", "photos", "-p", "What?", *openai(server)).code == 0
    return shell.folder / "photos"


@needs_exiftool
@pytest.mark.parametrize("preset", ["caption", "tags", "alt"])
def test_sidecars_are_made_from_the_results_in_the_field_of_the_preset(album, export, preset):
    done = export("--preset", preset)
    assert (done.code, done.err) == (0, "")
    for path in (album / "a.png.xmp", album / "sub/b.png.xmp"):
        said = told(path)[FIELD[preset]]
        assert said == (["A cat", "<mat> é 🐱"] if preset == "tags" else "A cat, <mat> é 🐱")
        assert is_valid(path)
    load = f"exiftool -r -ext xmp -{FIELD[preset]} {album}"
    assert done.out == f"exported 2 answers to {album}/….xmp\nload: {load}\n"
    again = export("--preset", preset)
    assert (again.code, "(nothing has changed)" in again.out) == (0, True)


def test_an_export_writes_what_captioning_would_have_written(caption, shell, export, photos):
    (photos / "a.png.xmp").unlink()
    caption(*ALT)
    first = (photos / "a.png.xmp").read_bytes()
    (photos / "a.png.xmp").unlink()
    assert export().code == 0  # the preset is that of the last run
    assert (photos / "a.png.xmp").read_bytes() == first
    assert b"AltTextAccessibility" in first
    assert export(*CAPTION).code == 1
    assert export("--preset", "caption", "--out", "copies").code == 0
    assert b"<dc:description>" in (shell.folder / "copies/a.png.xmp").read_bytes()


def test_names_may_be_those_of_lightroom_and_the_tree_may_stand_elsewhere(album, export, shell):
    assert export("--xmp-naming", "photo.xmp", "--out", "out").code == 0
    there = {str(path.relative_to(shell.folder / "out")) for path in album.parent.rglob("out/**/*")}
    assert there == {"a.xmp", "sub", "sub/b.xmp"}
    assert not list(album.rglob("*.xmp"))


def test_two_pictures_of_one_name_have_no_sidecar_in_common(album, export, shell, server):
    shell.picture("photos/a.webp", "green")
    shell("run", "photos", "-p", "What?", *openai(server))
    done = export("--xmp-naming", "photo.xmp")
    assert done.code == 1
    assert "another answer would be 'a.xmp' too" in done.err
    assert export().code == 0


@pytest.mark.parametrize("content", [EDITED, "mine", ""])
def test_a_file_that_is_there_stays_byte_for_byte_and_is_told(album, export, content):
    put(album / "a.png.xmp", content)
    done = export()
    assert done.code == 1
    assert "a.png.xmp" in done.err
    assert "1 left out" in done.out
    assert (album / "a.png.xmp").read_text("utf-8") == content


@needs_exiftool
def test_overwriting_sets_one_field_of_a_file_that_is_there(album, export, counted):
    path = album / "a.png.xmp"
    put(path, EDITED)
    before = others(path, "XMP-dc:Description")
    assert export("--overwrite").code == 0
    assert told(path)["XMP-dc:Description"] == "A cat, <mat> é 🐱"
    assert others(path, "XMP-dc:Description") == before
    assert is_valid(path)
    after = path.read_bytes()
    assert export("--overwrite").code == 0
    assert export().code == 0
    assert (path.read_bytes(), counted()) == (after, 1)


def test_without_exiftool_overwriting_leaves_files_of_others_and_says_what_to_install(
    album, export, no_exiftool
):
    put(album / "a.png.xmp", EDITED)
    done = export("--overwrite")
    assert done.code == 1
    assert "is another program's and stays: exiftool is not on PATH" in done.err
    assert (album / "a.png.xmp").read_text("utf-8") == EDITED


def test_a_file_of_ours_or_an_empty_one_is_overwritten_without_exiftool(album, export, no_exiftool):
    export("--preset", "caption")
    (album / "sub/b.png.xmp").write_text("")
    assert export("--preset", "alt").code == 1
    assert export("--preset", "caption", "--overwrite").code == 0
    assert b"A cat, &lt;mat&gt;" in (album / "sub/b.png.xmp").read_bytes()


def test_nothing_is_written_through_a_link(album, export, shell):
    outside = shell.folder / "outside.xmp"
    outside.write_text(EDITED, "utf-8")
    (album / "a.png.xmp").symlink_to(outside)
    shutil.rmtree(album / "sub")
    for words in ((), ("--overwrite",)):
        assert export(*words).code == 1
        assert outside.read_text("utf-8") == EDITED
        assert (album / "a.png.xmp").is_symlink()


@pytest.mark.parametrize("option", ["--preset=alt", "--xmp-naming=photo.xmp"])
def test_options_of_this_format_are_refused_with_another(album, shell, option):
    done = shell("export", "photos", "--to", "txt", option)
    assert done.code == 2
    assert f"{option.partition('=')[0]} is for --to xmp" in done.err
