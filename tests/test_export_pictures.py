"""`overnight export --to hf|kohya|webdataset|txt`: captions with their images, and no others."""

import io
import json
import os
import tarfile

import pytest
from PIL import Image
from shell import openai

PICTURED = ("hf", "kohya", "webdataset", "txt")


@pytest.fixture
def photos(shell):
    """A folder of three answered pictures."""
    for name in ("a.png", "sub/b.c.png", "sub/z.png"):
        shell.picture(f"photos/{name}")
    return answered(shell)


def answered(shell):
    """The answers of the folder: `caption of PATH`, in the order of the paths."""
    assert shell("run", "photos", "-q").code == 0
    rows = sorted(shell.lines("photos.results.jsonl"), key=lambda row: row["id"])
    return rewrite(shell, *({**row, "output": f"caption of {row['id']}"} for row in rows))


def rewrite(shell, *rows):
    path = shell.folder / "photos.results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return list(rows)


def export(shell, name, *words, code=0):
    done = shell("export", "photos", "--to", name, *words)
    assert done.code == code, done
    return done


def samples(path):
    """The samples of a shard as webdataset groups them: by name up to the first dot."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            assert "/" not in member.name
            key, _, kind = member.name.partition(".")
            found.setdefault(key, {})[kind] = tar.extractfile(member).read()
    return found


def written(shell, before):
    """The names of the files that are new."""
    return set(shell.files()) - set(before)


def test_an_imagefolder_has_its_metadata_beside_the_images(shell, photos):
    before = shell.files()
    done = export(shell, "hf")
    assert written(shell, before) == {"photos/metadata.jsonl"}
    assert shell.lines("photos/metadata.jsonl") == [
        {"file_name": row["id"], "text": row["output"]} for row in photos
    ]
    where = shell.folder / "photos"
    assert done.out.splitlines()[1] == (
        f'load: datasets.load_dataset("imagefolder", data_dir="{where}", data_files="**")'
    )


def test_an_imagefolder_elsewhere_gets_copies(shell, photos):
    export(shell, "hf", "--out", "dataset")
    assert shell.lines("dataset/metadata.jsonl")[1]["file_name"] == "sub/b.c.png"
    for row in photos:
        original, copy = (shell.folder / folder / row["id"] for folder in ("photos", "dataset"))
        assert copy.read_bytes() == original.read_bytes()
        assert not copy.samefile(original)
    before = shell.files()
    assert "(nothing has changed)" in export(shell, "hf", "--out", "dataset").out
    assert shell.files() == before


def test_a_copy_never_replaces_another_picture_unasked(shell, photos):
    other = shell.picture("dataset/a.png", "blue").read_bytes()
    done = export(shell, "hf", "--out", "dataset", code=1)
    assert "a.png exists and differs" in done.err
    assert (shell.folder / "dataset/a.png").read_bytes() == other
    assert len(shell.lines("dataset/metadata.jsonl")) == 2
    export(shell, "hf", "--out", "dataset", "--overwrite")
    assert (shell.folder / "dataset/a.png").read_bytes() != other


def test_copies_inside_the_source_are_refused(shell, photos):
    before = shell.files()
    done = export(shell, "hf", "--out", "photos/dataset", code=2)
    assert "would be new images" in done.err
    assert shell.files() == before


def test_a_folder_below_the_root_has_names_of_its_own(shell, photos):
    words = ("photos/sub", "--root", "photos", "-o", "sub.results.jsonl")
    shell("run", *words, "-q")
    assert shell("export", *words, "--to", "hf").code == 0
    names = [row["file_name"] for row in shell.lines("photos/sub/metadata.jsonl")]
    assert sorted(names) == ["b.c.png", "z.png"]


def test_a_job_file_needs_a_place_for_its_imagefolder(shell, photos):
    shell.write("jobs.jsonl", {"image": "photos/a.png", "prompt": "what?"})
    shell("run", "jobs.jsonl", "--provider", "fake")
    assert "give --out" in shell("export", "jobs.jsonl", "--to", "hf").err
    assert shell("export", "jobs.jsonl", "--to", "hf", "--out", "dataset").code == 0
    assert (shell.folder / "dataset/photos/a.png").is_file()


def test_kohya_gets_one_line_a_key_without_extension(shell, photos):
    photos[0]["output"] = " first\n\nsecond\u2028third "
    rewrite(shell, *photos)
    export(shell, "kohya")
    text = (shell.folder / "photos.kohya.json").read_text("utf-8")
    expected = {
        "a": {"caption": "first second third"},
        "sub/b.c": {"caption": "caption of sub/b.c.png"},
        "sub/z": {"caption": "caption of sub/z.png"},
    }
    assert text == json.dumps(expected, indent=2) + "\n"


def test_kohya_gets_no_image_that_it_would_not_find(shell):
    for name in ("a.png", "B.PNG", "c.Png", "d.gif"):
        shell.picture(f"photos/{name}")
    answered(shell)
    done = export(shell, "kohya", code=1)
    assert done.err.splitlines() == [
        "c.Png: kohya looks for no files named .Png",
        "d.gif: kohya looks for no files named .gif",
    ]
    assert json.loads((shell.folder / "photos.kohya.json").read_text()).keys() == {"a", "B"}


def test_caption_files_stand_beside_the_images_with_one_line_and_no_newline(shell, photos):
    photos[0]["output"] = "one\ntwo\n"
    rewrite(shell, *photos)
    before = shell.files()
    export(shell, "txt")
    assert written(shell, before) == {
        *("photos/a.txt", "photos/sub/b.c.txt", "photos/sub/z.txt"),
    }
    assert shell.files()["photos/a.txt"] == b"one two"
    assert shell.files()["photos/sub/b.c.txt"] == b"caption of sub/b.c.png"


def test_caption_files_elsewhere_stand_in_the_same_folders(shell, photos):
    before = shell.files()
    export(shell, "txt", "--out", "texts", "--caption-ext", "caption")
    assert written(shell, before) == {
        *("texts/a.caption", "texts/sub/b.c.caption", "texts/sub/z.caption"),
    }


def test_a_caption_file_of_somebody_else_stays_unless_told_otherwise(shell, photos):
    path = shell.folder / "photos/a.txt"
    path.write_text("mine")
    done = export(shell, "txt", code=1)
    assert done.err == f"a.png: {path} exists and differs: --overwrite replaces it\n"
    assert path.read_text() == "mine"
    assert (shell.folder / "photos/sub/z.txt").read_text() == "caption of sub/z.png"
    export(shell, "txt", "--overwrite")
    assert path.read_text() == "caption of a.png"


@pytest.mark.parametrize("name", PICTURED)
def test_an_empty_answer_is_no_caption(shell, photos, name):
    photos[0]["output"] = " \n\ufeff"
    rewrite(shell, *photos)
    done = export(shell, name, code=1)
    assert done.err == "a.png: the answer is empty\n"
    assert "exported 2 answers" in done.out


@pytest.mark.parametrize("name", ["kohya", "txt"])
def test_two_images_with_one_name_share_no_caption(shell, name):
    for each in ("a.jpg", "a.png", "b.png"):
        shell.picture(f"photos/{each}")
    answered(shell)
    done = export(shell, name, code=1)
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["a.jpg", "a.png"]
    assert "exported 1 answer " in done.out
    assert not (shell.folder / "photos/a.txt").exists()


@pytest.mark.parametrize("name", ["kohya", "txt"])
def test_the_answer_of_an_image_that_is_gone_stands_in_nobodys_way(shell, name):
    for each in ("a.jpg", "a.png"):
        shell.picture(f"photos/{each}")
    answered(shell)
    (shell.folder / "photos/a.jpg").unlink()
    done = export(shell, name)
    assert done.err == "a.jpg: its image left the folder (renamed, moved or deleted)\n"
    assert "exported 1 answer " in done.out
    assert "; 1 left out, 1 of them because their image left the folder" in done.out


def test_images_that_a_job_file_still_names_are_missing_and_so_are_all_of_a_folder(shell, photos):
    shell.write("jobs.jsonl", *({"image": f"photos/{name}"} for name in ("a.png", "sub/z.png")))
    assert shell("run", "jobs.jsonl", "-p", "Describe this image.", "-q").code == 0
    (shell.folder / "photos/a.png").unlink()
    done = shell("export", "jobs.jsonl", "--to", "kohya")
    assert (done.code, "exported 1 answer " in done.out) == (1, True)
    (shell.folder / "photos/sub").rename(shell.folder / "away")
    assert "nothing to export; 3 left out" in export(shell, "kohya", code=1).out


WORDED = (
    ("kohya", "photos.kohya.json", '"caption": "ohwx, A cat. On a mat."'),
    ("hf", "photos/metadata.jsonl", '"text":"ohwx, A cat.\\nOn a mat."'),
    ("txt", "photos/a.txt", "ohwx, A cat. On a mat."),
    ("xmp", "photos/a.png.xmp", ">ohwx, A cat. On a mat.</rdf:li>"),
    ("webdataset", "photos-000000.tar", "ohwx, A cat.\nOn a mat."),
    ("csv", "photos.results.csv", '"Look: A cat.\nOn a mat."'),
)


@pytest.mark.parametrize(("name", "path", "said"), WORDED, ids=[each[0] for each in WORDED])
def test_captions_are_worded_like_the_sidecars_of_the_last_run(shell, server, name, path, said):
    server.answer = lambda request: "Look: A cat.\nOn a mat."
    shell.picture("photos/a.png")
    words = ("--prefix", "ohwx, ", "--strip-phrase", "look: ", "--sidecar", "json")
    assert shell("caption", "photos", *words, *openai(server)).code == 0
    done = export(shell, name)
    assert said.encode() in (shell.folder / path).read_bytes()
    told = "worded like the sidecars of the last run: --prefix 'ohwx, ' --strip-phrase 'look: '\n"
    assert (told in done.out) == (name != "csv")


def test_tags_are_exported_as_their_sidecars_list_them(shell, server):
    server.answer = lambda request: "- cat\n- mat.\n- Cat"
    shell.picture("photos/a.png")
    assert shell("caption", "photos", "--preset", "tags", *openai(server)).code == 0
    done = export(shell, "txt")
    assert "(nothing has changed)" in done.out
    assert "--preset tags" in done.out
    export(shell, "kohya")
    assert '"cat, mat"' in (shell.folder / "photos.kohya.json").read_text()


def test_an_answer_of_which_no_word_is_left_is_left_out(shell, server):
    server.answer = lambda request: "A cat."
    shell.picture("photos/a.png")
    assert shell("caption", "photos", "--strip-phrase", "a cat.", *openai(server)).code == 0
    done = export(shell, "txt", code=1)
    assert done.err == "a.png: nothing is left of the answer (--strip-phrase)\n"


@pytest.mark.parametrize("told", [1, {"wording": {"prefix": 3}}, {"kind": "gif"}])
def test_a_lock_file_that_tells_nonsense_changes_no_words(shell, photos, told):
    lock = shell.folder / "photos.lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "sidecars": told}))
    assert "worded like" not in export(shell, "txt").out
    assert (shell.folder / "photos/a.txt").read_text() == "caption of a.png"


def test_a_place_is_told_without_detours(shell, photos):
    done = export(shell, "txt", "--out", "photos/../texts")
    assert f"{shell.folder}/texts/….txt" in done.out


@pytest.mark.parametrize("name", PICTURED)
def test_an_image_that_was_replaced_since_is_left_out(shell, photos, name):
    Image.new("RGB", (90, 60), "blue").save(shell.folder / "photos/a.png")
    done = export(shell, name, code=1)
    assert done.err == "a.png: image 'a.png' has changed since it was answered: run again\n"
    assert "exported 2 answers" in done.out


@pytest.mark.parametrize(("name", "words"), [("webdataset", ()), ("hf", ("--out", "dataset"))])
def test_an_image_of_the_same_size_that_is_another_one_is_never_packed(shell, photos, name, words):
    path = shell.folder / "photos/a.png"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = export(shell, name, *words, code=1)
    assert "has changed since it was answered" in done.err
    assert "exported 2 answers" in done.out


@pytest.mark.parametrize("name", PICTURED)
def test_bytes_that_are_no_image_are_left_out(shell, photos, name):
    path = shell.folder / "photos/a.png"
    path.write_bytes(b"x" * path.stat().st_size)
    done = export(shell, name, code=1)
    assert done.err == "a.png: image 'a.png' is no image by its bytes\n"


@pytest.mark.parametrize("name", PICTURED)
@pytest.mark.parametrize(
    "path",
    ["../secret.png", "sub/../../secret.png", "{}/secret.png", "leads/secret.png", "link.png"],
)
def test_a_path_that_leaves_the_folder_is_neither_read_nor_written(shell, photos, name, path):
    secret = shell.picture("secret.png")
    (shell.folder / "photos/leads").symlink_to(shell.folder)
    (shell.folder / "photos/link.png").symlink_to(secret)
    path = path.format(shell.folder)
    photos[0].update(id=path, output="stolen")
    photos[0]["media"][0].update(path=path, bytes=secret.stat().st_size)
    rewrite(shell, *photos)
    before = shell.files()
    done = export(shell, name, "--overwrite", code=1)
    assert "exported 2 answers" in done.out
    new = {each: data for each, data in shell.files().items() if before.get(each) != data}
    assert not any(b"stolen" in data for data in new.values())
    assert not any("secret" in each for each in new)


def test_the_root_is_never_taken_from_the_files_of_a_stranger(shell, photos):
    shell.picture("secret.png")
    lock = shell.folder / "photos.lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "root": str(shell.folder)}))
    photos[0]["media"][0]["path"] = "secret.png"
    rewrite(shell, *photos)
    done = export(shell, "txt", code=1)
    assert f"note: the last run had --root {shell.folder}" in done.err
    assert not (shell.folder / "secret.txt").exists()


def test_a_caption_goes_through_no_link_of_a_folder(shell, photos):
    (shell.folder / "photos/other").symlink_to("sub")
    photos[2]["media"][0]["path"] = "other/z.png"
    rewrite(shell, *photos)
    done = export(shell, "txt", code=1)
    assert done.err.startswith("sub/z.png: cannot be written: ")
    assert not (shell.folder / "photos/sub/z.txt").exists()


@pytest.mark.parametrize("part", ["a.txt", ".a.txt.part"])
def test_a_link_in_the_place_of_a_caption_is_not_followed(shell, photos, part):
    victim = shell.folder / "victim"
    victim.write_text("mine")
    (shell.folder / "photos" / part).symlink_to(victim)
    assert shell("export", "photos", "--to", "txt", "--overwrite").code in (0, 1)
    assert victim.read_text() == "mine"


def test_a_shard_holds_image_caption_and_result_line(shell, photos):
    lines = (shell.folder / "photos.results.jsonl").read_bytes().splitlines()
    export(shell, "webdataset")
    found = samples(shell.folder / "photos-000000.tar")
    assert list(found) == ["a", "sub_b_c", "sub_z"]
    for key, row, line in zip(found, photos, lines, strict=True):
        image = (shell.folder / "photos" / row["id"]).read_bytes()
        assert found[key] == {"png": image, "txt": row["output"].encode(), "json": line}


def test_the_part_of_an_image_is_named_after_its_bytes(shell):
    Image.new("RGB", (8, 6)).save(shell.picture("photos/a.jpg"), "GIF")
    shell.picture("photos/b.jpg")
    answered(shell)
    export(shell, "webdataset")
    found = samples(shell.folder / "photos-000000.tar")
    assert [next(iter(parts)) for parts in found.values()] == ["gif", "png"]


def test_keys_are_unique_where_paths_look_alike(shell):
    for name in ("s/a.png", "s_a.png", "s.a.png", "s.a.jpg", "alone.png", "長" * 80 + ".png"):
        shell.picture(f"photos/{name}")
    answered(shell)
    export(shell, "webdataset")
    keys = list(samples(shell.folder / "photos-000000.tar"))
    assert len(set(keys)) == len(keys) == 6
    assert "alone" in keys
    assert sum(key.startswith("s_a-") for key in keys) == 4
    assert all(len(key.encode()) <= 200 for key in keys)


def test_shards_are_cut_by_count_and_by_size(shell, photos):
    done = export(shell, "webdataset", "--maxcount", "2", "--out", "by-count")
    assert f"{shell.folder}/by-count-{{000000..000001}}.tar" in done.out
    export(shell, "webdataset", "--maxsize", "5k", "--out", "by-size")
    for name, sizes in (("by-count", [2, 1]), ("by-size", [1, 1, 1])):
        shards = sorted(shell.folder.glob(f"{name}-*.tar"))
        assert [len(samples(shard)) for shard in shards] == sizes
        assert name == "by-count" or max(s.stat().st_size for s in shards) <= 5 << 10


def test_the_same_results_make_the_same_shards(shell, photos):
    export(shell, "webdataset", "--out", "one")
    for row in photos:
        os.utime(shell.folder / "photos" / row["id"], (1, 1))
    export(shell, "webdataset", "--out", "two.tar")
    files = shell.files()
    assert files["one-000000.tar"] == files["two-000000.tar"]
    assert "(nothing has changed)" in export(shell, "webdataset", "--out", "one").out


def test_shards_go_into_a_folder_by_their_own_name(shell, photos):
    (shell.folder / "shards").mkdir()
    export(shell, "webdataset", "--out", "shards")
    assert (shell.folder / "shards/photos-000000.tar").is_file()


def test_shards_of_an_earlier_export_are_told_and_removed_on_request(shell, photos):
    export(shell, "webdataset", "--maxcount", "1")
    done = shell("export", "photos", "--to", "webdataset")
    assert (done.code, done.out) == (73, "")
    export(shell, "webdataset", "--maxcount", "2", "--overwrite")
    assert len(list(shell.folder.glob("photos-*.tar"))) == 2
    rewrite(shell, *photos[:2])
    done = export(shell, "webdataset", code=1)
    assert done.err.endswith("a shard of an earlier export: --overwrite removes it\n")
    assert len(list(shell.folder.glob("photos-*.tar"))) == 2


def test_a_broken_off_export_leaves_no_half_shard(shell, photos):
    (shell.folder / "photos-000001.tar").write_bytes(b"other")
    done = shell("export", "photos", "--to", "webdataset", "--maxcount", "1")
    assert done.code == 73
    assert not list(shell.folder.glob(".*.part"))
    assert (shell.folder / "photos-000001.tar").read_bytes() == b"other"
    assert len(samples(shell.folder / "photos-000000.tar")) == 1


def test_an_answer_about_several_images_goes_to_tables_only(shell, photos):
    images = ["photos/a.png", "photos/sub/z.png"]
    shell.write("jobs.jsonl", {"id": "two", "images": images, "prompt": "x"})
    shell("run", "jobs.jsonl", "--provider", "fake")
    done = shell("export", "jobs.jsonl", "--to", "txt")
    assert (done.code, done.out) == (1, "nothing to export; 1 left out\n")
    assert done.err == "two: it has more than one image: export it --to csv or sqlite\n"
    assert shell("export", "jobs.jsonl", "--to", "csv").code == 0


def test_sources_with_a_folder_each_need_a_root(shell, photos):
    shell.picture("more/x.png")
    run = ("photos", "more", "-o", "all.results.jsonl")
    shell("run", *run, "--root", ".", "-q")
    assert "give --root" in shell("export", *run, "--to", "txt").err
    assert shell("export", *run, "--to", "txt", "--root", ".").code == 0
    assert (shell.folder / "more/x.txt").is_file()


def test_a_shard_is_read_by_tarfile_to_its_end(shell, photos):
    export(shell, "webdataset")
    data = (shell.folder / "photos-000000.tar").read_bytes()
    assert data.endswith(b"\0" * 1024)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|") as tar:
        assert len(list(tar)) == 9
