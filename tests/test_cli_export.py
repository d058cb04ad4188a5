"""`overnight export`: answers for other programs, and never a file lost or a path believed."""

import csv
import fcntl
import io
import json
import os
import sqlite3

import pytest
from shell import OVERNIGHT

from batch.exports.formats import FORMATS
from batch.exports.table import COLUMNS
from batch.exports.write import WRITERS
from batch.models import Result

FAKE = ("--provider", "fake")


@pytest.fixture
def night(shell):
    """The results file of three answered jobs."""
    shell.jobs(3, "night.jsonl")
    assert shell("run", "night.jsonl", *FAKE).code == 0
    return shell.folder / "night.results.jsonl"


def change(path, at, **fields):
    """Rewrite a line of a results file."""
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    lines[at].update(fields)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def table(shell, name="night.results.csv"):
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO((shell.folder / name).read_bytes().decode())))


def test_every_format_of_the_help_has_a_writer(shell):
    assert FORMATS.keys() == WRITERS.keys()
    told = shell("export", "--help").out
    for name, made in FORMATS.items():
        assert f"  {name:<11} {made}" in told


def test_tables_have_the_keys_of_a_result_in_their_order():
    assert tuple(COLUMNS) == Result.__struct_fields__


def test_what_was_written_is_told_with_what_loads_it(shell, night):
    done = shell("export", "night.jsonl", "--to", "csv")
    assert (done.code, done.err) == (0, "")
    path = shell.folder / "night.results.csv"
    assert done.out == f'exported 3 answers to {path}\nload: pandas.read_csv("{path}")\n'


def test_the_numbers_are_data_with_json_and_nothing_is_said_when_quiet(shell, night):
    path = str(shell.folder / "night.results.csv")
    assert shell("export", "night.jsonl", "--to", "csv", "--json").json == {
        "format": "csv",
        "exported": 3,
        "files_written": 1,
        "left_out": 0,
        "gone": 0,
        "out": path,
        "load": f'pandas.read_csv("{path}")',
    }
    done = shell("export", "night.jsonl", "--to", "csv", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize("name", ["csv", "sqlite", "parquet"])
def test_the_same_export_again_changes_nothing(shell, night, name):
    assert shell("export", "night.jsonl", "--to", name).code == 0
    before = shell.files()
    done = shell("export", "night.jsonl", "--to", name)
    assert done.code == 0
    assert "(nothing has changed)" in done.out
    assert shell.files() == before


@pytest.mark.parametrize("name", ["csv", "sqlite", "parquet"])
def test_a_file_that_differs_is_replaced_only_with_overwrite(shell, night, name):
    path = shell.folder / f"night.results.{name}"
    path.write_text("mine")
    before = shell.files()
    done = shell("export", "night.jsonl", "--to", name)
    assert (done.code, done.out) == (73, "")
    assert done.err == f"overnight: {path} exists and differs: --overwrite replaces it\n"
    assert shell.files() == before
    assert shell("export", "night.jsonl", "--to", name, "--overwrite").code == 0
    assert path.read_bytes() != b"mine"
    assert path.stat().st_mode & 0o777 == 0o600
    assert shell.files().keys() == before.keys()


def test_csv_holds_every_column_and_nested_values_as_json(shell, night):
    change(night, 1, meta={"shelf": [3]}, json={"b": None}, cost_usd=0.25, input_tokens=7)
    assert shell("export", "night.jsonl", "--to", "csv").code == 0
    first, second, _ = table(shell)
    assert tuple(first) == Result.__struct_fields__
    assert (first["meta"], first["json"], first["cost_usd"]) == ("", "", "")
    assert (second["meta"], second["json"]) == ('{"shelf":[3]}', '{"b":null}')
    assert (second["cost_usd"], second["input_tokens"]) == ("0.25", "7")
    assert (second["id"], second["media"]) == ("j1", "[]")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_of_a_csv_file_is_a_formula(shell, night, start):
    change(night, 0, output=f'{start}HYPERLINK("http://x")', model=f"{start}1")
    assert shell("export", "night.jsonl", "--to", "csv").code == 0
    row = table(shell)[0]
    assert (row["output"], row["model"]) == (f'\'{start}HYPERLINK("http://x")', f"'{start}1")


def test_csv_keeps_newlines_quotes_and_letters_of_every_script(shell, night):
    words = 'a "b",\r\nc\nd; 猫 \u2028 e'
    change(night, 2, output=words)
    assert shell("export", "night.jsonl", "--to", "csv").code == 0
    assert [row["output"] for row in table(shell)][2] == words
    assert (shell.folder / "night.results.csv").read_bytes().startswith(b'"id","status","output"')


def test_a_csv_file_for_excel_begins_with_its_mark(shell, night):
    shell("export", "night.jsonl", "--to", "csv", "--bom", "--out", "excel.csv")
    shell("export", "night.jsonl", "--to", "csv", "--out", "plain.csv")
    files = shell.files()
    assert files["excel.csv"] == b"\xef\xbb\xbf" + files["plain.csv"]


def test_sqlite_has_typed_rows_by_id(shell, night):
    change(night, 1, meta={"shelf": 3}, cost_usd=0.25, output="=1+1")
    assert shell("export", "night.jsonl", "--to", "sqlite").code == 0
    with sqlite3.connect(shell.folder / "night.results.sqlite") as database:
        rows = database.execute(
            "select id, output, cost_usd, json_extract(meta, '$.shelf'), typeof(input_tokens)"
            " from results where id > 'j0' order by id"
        ).fetchall()
    database.close()
    assert rows[0] == ("j1", "=1+1", 0.25, 3, "null" if rows[0][4] == "null" else "integer")
    assert rows[1][2:4] == (None, None)


def test_parquet_has_typed_columns(shell, night):
    from pyarrow import parquet

    change(night, 1, meta={"shelf": 3}, cost_usd=0.25)
    assert shell("export", "night.jsonl", "--to", "parquet").code == 0
    read = parquet.read_table(shell.folder / "night.results.parquet")
    assert tuple(read.column_names) == Result.__struct_fields__
    assert [str(read.schema.field(n).type) for n in ("id", "attempts", "cost_usd")] == [
        *("string", "int64", "double"),
    ]
    assert read.column("meta").to_pylist() == [None, '{"shelf":3}', None]


@pytest.mark.parametrize("name", ["sqlite", "parquet"])
def test_a_number_that_no_column_holds_leaves_its_row_out(shell, night, name):
    change(night, 1, output_tokens=1 << 63)
    done = shell("export", "night.jsonl", "--to", name)
    assert done.code == 1
    assert done.err == "j1: one of its numbers does not fit into 64 bits\n"
    assert "exported 2 answers" in done.out


def test_more_rows_than_are_held_at_once_all_arrive(shell, night):
    from pyarrow import parquet

    line = json.loads(night.read_text().split("\n")[0])
    night.write_text("".join(json.dumps({**line, "id": f"x{n}"}) + "\n" for n in range(2500)))
    assert shell("export", "night.jsonl", "--to", "parquet").code == 0
    read = parquet.read_table(shell.folder / "night.results.parquet")
    assert read.column("id").to_pylist() == [f"x{n}" for n in range(2500)]


@pytest.mark.parametrize(
    "damage",
    [b"\0" * 40, b'{"id": "j1"}', b"no json", b'{"id":"j1","status":"ok","output":null}', b"\xff"],
)
def test_a_damaged_line_is_left_out_and_told(shell, night, damage):
    lines = night.read_bytes().splitlines()
    night.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    done = shell("export", "night.jsonl", "--to", "csv")
    assert done.code == 1
    assert done.err == "line 2: it is damaged: the next run mends the file\n"
    assert done.out.startswith("exported 2 answers to ")
    assert "; 1 left out\n" in done.out
    assert [row["id"] for row in table(shell)] == ["j0", "j2"]


def test_of_an_id_that_stands_twice_the_last_line_counts(shell, night):
    change(night, 2, id="j0", output="later")
    done = shell("export", "night.jsonl", "--to", "sqlite")
    assert (done.code, done.err) == (1, "line 1: its id has a later line\n")
    with sqlite3.connect(shell.folder / "night.results.sqlite") as database:
        rows = dict(database.execute("select id, output from results"))
    database.close()
    assert rows["j0"] == "later"
    assert len(rows) == 2


def test_the_first_twenty_reasons_are_told_and_the_rest_counted(shell):
    shell.jobs(23)
    shell("run", "jobs.jsonl", *FAKE)
    done = shell("export", "jobs.jsonl", "--to", "kohya")
    assert done.code == 1
    *told, more = done.err.splitlines()
    assert len(told) == 20
    assert told[0] == "j0: it has no image: export it --to csv or sqlite"
    assert more == "… and 3 more"
    assert done.out == "nothing to export; 23 left out\n"
    assert not (shell.folder / "jobs.kohya.json").exists()


def test_what_a_stranger_wrote_cannot_steer_the_terminal(shell, night):
    change(night, 0, id="a\x1b[2Jb", output="x")
    done = shell("export", "night.jsonl", "--to", "kohya")
    assert "\x1b" not in done.err
    assert r"a\x1b[2Jb" in done.err


def test_a_results_file_by_another_name_is_found_with_o(shell, night):
    night.rename(shell.folder / "other.jsonl")
    done = shell("export", "night.jsonl", "-o", "other.jsonl", "--to", "csv")
    assert done.code == 0
    assert len(table(shell, "other.results.csv")) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "csv"], "there are no answers yet"),
        (["--to", "xls"], "'xls' is not one of"),
        ([], "Missing option '--to'"),
        (["--to", "csv", "-o", "-"], "writes no files"),
        (["--to", "csv", "--maxcount", "3"], "--maxcount is for --to webdataset"),
        (["--to", "hf", "--bom"], "--bom is for --to csv"),
        (["--to", "csv", "--caption-ext", ".cap"], "--caption-ext is for --to txt"),
        (["--to", "txt", "--caption-ext", ".JPG"], "they would be replaced"),
        (["--to", "txt", "--caption-ext", "/../x"], "no ending of a text file"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_writes_nothing(shell, words, told):
    shell.jobs(1, "night.jsonl")
    before = shell.files()
    done = shell("export", "night.jsonl", *words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert shell.files() == before


@pytest.mark.parametrize(
    ("out", "code"),
    [
        ("night.jsonl", 2),
        ("night.results.jsonl", 2),
        ("night.failed.jsonl", 2),
        ("night.lock", 2),
        (".", 2),
        ("missing/night.csv", 73),
    ],
)
def test_a_place_that_is_taken_or_is_none_is_refused(shell, night, out, code):
    before = shell.files()
    done = shell("export", "night.jsonl", "--to", "csv", "--overwrite", "--out", out)
    assert (done.code, done.out) == (code, "")
    assert shell.files() == before


def test_somebodys_other_file_is_no_results_file(shell, night):
    night.write_text('{"id": 3}\n{"x": 4}\n')
    done = shell("export", "night.jsonl", "--to", "csv")
    assert (done.code, done.out) == (2, "")
    assert "is no results file of ours" in done.err


def test_a_second_export_of_the_same_file_ends_with_75(shell, night):
    with (shell.folder / ".night.results.csv.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = shell("export", "night.jsonl", "--to", "csv")
        assert (done.code, done.out) == (75, "")
        assert "another export is writing" in done.err
    assert shell("export", "night.jsonl", "--to", "csv").code == 0
    assert not (shell.folder / ".night.results.csv.part").exists()


@pytest.mark.parametrize("name", ["csv", "sqlite", "parquet"])
def test_a_full_disk_ends_with_74_and_leaves_what_was_there(shell, night, name):
    change(night, 0, output=os.urandom(60_000).hex())
    path = shell.folder / f"night.results.{name}"
    path.write_text("earlier")
    before = shell.files()
    line = f"ulimit -f 40; {OVERNIGHT} export night.jsonl --to {name} --overwrite"
    done = shell.process("-c", line, program=("bash",))
    assert (done.code, done.out) == (74, "")
    assert f"cannot write {path}" in done.err
    assert shell.files() == before


def test_a_draft_that_leads_elsewhere_is_not_followed(shell, night):
    victim = shell.folder / "victim"
    victim.write_text("mine")
    (shell.folder / ".night.results.csv.part").symlink_to(victim)
    done = shell("export", "night.jsonl", "--to", "csv")
    assert (done.code, done.out) == (73, "")
    assert victim.read_text() == "mine"


def test_an_export_while_a_run_goes_on_says_so(shell, night):
    night.write_bytes(night.read_bytes()[:-9])
    with (shell.folder / "night.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = shell("export", "night.jsonl", "--to", "csv")
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "note: a run is using these results now: export again when it has ended"
    )


def test_configuration_sets_the_options_of_an_export(shell, night):
    shell.write("overnight.toml", "[export]", 'to = "csv"', 'out = "set.csv"', "bom = true")
    assert shell("export", "night.jsonl").code == 0
    assert len((shell.folder / "set.csv").read_text("utf-8-sig").splitlines()) == 4
    assert shell("export", "night.jsonl", "--to", "sqlite", "--out", "s.db").code == 0
