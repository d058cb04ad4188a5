"""Promises about any input at all: what strangers may write, from job lines to file names."""

import asyncio
import base64
import itertools
import json
import math
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from batch.cli.config import load_config
from batch.errors import Rejected, UsageError
from batch.files import part_of
from batch.keys import job_key
from batch.lines import Line
from batch.media.confine import open_confined
from batch.models import Failed, Failure, Request, Result
from batch.printable import printable, shortened
from batch.providers.openai import OpenAI
from batch.providers.redact import redacted, secret_forms
from batch.providers.retry_after import LONGEST, retry_after
from batch.results.index import failed_row
from batch.results.records import encode_line, row_head
from batch.results.wording import Wording
from batch.sources.decode import BadLine
from batch.sources.fields import JobFields
from batch.sources.folder import FolderRules, image_files, printable_id
from batch.sources.ids import Ids
from batch.sources.ignore import Ignore
from batch.sources.jsonl import JsonlSource
from batch.sources.parse import LineParser, PassedOver
from batch.sources.template import fill

NASTY = "\n\r\t\v\f\0\x1b\x1c\x85\u2028\u2029\u200e\ufeff\ud83d\udc00 ,."
PIECES_OF_TEXT = st.text(st.characters(exclude_categories=()), max_size=5) | st.sampled_from(NASTY)
ANY_TEXT = st.lists(PIECES_OF_TEXT, max_size=6).map("".join)
TEXT = st.text()
WHOLE_LINES = 8 << 20


@pytest.fixture
def holds(many, chance, count):
    """Try a property with many examples; the same ones each time in the share of CI."""

    def check(true, *strategies, share=1.0, **named):
        examples = int(many(200, 1_000) * share)
        how = hypothesis.settings(
            max_examples=examples,
            derandomize=many(True, False),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        seeded = hypothesis.seed(chance.getrandbits(32)) if many(False, True) else lambda test: test
        seeded(how(given(*strategies, **named)(true)))()
        count(cases=examples)

    return check


# Job lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "audio"])},
        optional={"text": TEXT | st.just("{{x}}"), "image_url": TEXT | st.just({"url": "a.png"})},
    ),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant"]), "content": TEXT | PARTS}
    )
    | st.dictionaries(st.sampled_from(["role", "content", "type"]), JSON, max_size=3),
    max_size=3,
)
NAMES = st.sampled_from([*JobFields.__struct_fields__, "role", "promt"])
FIELDS = st.dictionaries(NAMES, JSON | MESSAGES | st.just("{{x}}"), max_size=6)
IDS = TEXT.filter(lambda text: text and text.isprintable()) | ANY_TEXT
PICTURES = st.sampled_from(["a.png", "./a/../b", "http://x/a.png", "/photos/c.png"]) | TEXT
ASKED = st.fixed_dictionaries({"prompt": TEXT.map("ask: {}".format) | st.just("{{x}} {{ y }}")})
SAID = st.fixed_dictionaries({"messages": MESSAGES.filter(len)})
SHOWN = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"image": PICTURES}),
    st.fixed_dictionaries({"images": st.lists(PICTURES, max_size=2)}),
)
REST = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "system": TEXT,
        "model": TEXT,
        "params": st.dictionaries(TEXT, JSON, max_size=2),
        "schema": st.none() | st.dictionaries(TEXT, JSON, max_size=2),
        "vars": st.dictionaries(st.sampled_from("xy"), JSON, min_size=1),
        "meta": st.dictionaries(TEXT, JSON, max_size=2),
    },
)
NEARLY = st.builds(lambda asked, *more: asked | more[0] | more[1], ASKED | SAID, SHOWN, REST)
PUNCTUATION = st.lists(st.sampled_from([bytes([b]) for b in b'{}[]":, \\u0eE+-.\x00\xff1aN']))


def written(values):
    """Lines of JSON, with and without escapes."""
    return st.builds(
        lambda value, plain: json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass"),
        values,
        st.booleans(),
    )


LINES = st.binary(max_size=80) | PUNCTUATION.map(b"".join) | written(FIELDS | JSON)
INHERITED = {"prompt": "p {{x}}", "vars": {"x": 1}}


def key_of(job):
    return job_key(job, "fake", job.model, ["digest"] * len(job.images))


def failed_line(job):
    failure = Failure("timeout", "m", None, 1, True, key_of(job), "", "")
    return encode_line(Failed(job.id, job.fields, failure).line())


@pytest.mark.parametrize("lines", [LINES, written(NEARLY)], ids=["anything", "nearly jobs"])
def test_a_line_is_a_job_that_its_failed_line_repeats_or_a_bad_line(lines, holds):
    def check(data):
        for flags in ({}, INHERITED):
            parser = LineParser("/photos", flags, {"params": {"a": 1}})
            try:
                parser.take_defaults(data)
                job = parser.parse(data)
            except (BadLine, PassedOver) as error:
                told = str(error)
                assert len(told) < 1_000
                continue
            assert job.id.isprintable()
            assert 0 < len(job.id.encode()) <= 512
            assert job.messages or job.body is not None
            again = LineParser("/photos", {}, {}).parse(failed_line(job))
            assert (again.id, again.messages, again.body) == (job.id, job.messages, job.body)
            assert key_of(again) == key_of(job)

    holds(check, lines, share=2)


GOOD = st.builds(
    lambda n: b'{"prompt": "p %d\\u2028\\r", "meta": {"x": "\xe2\x80\xa8"}}' % n, st.integers(0, 3)
)
BLANK = st.sampled_from([b"", b" ", b"\t", b"\r"])
BAD = st.sampled_from([b"{", b"[1]", b"null", b'{"promt": 1}', b"\xff", b'{"a": NaN}', b"x" * 99])


def test_each_bad_line_is_told_with_its_own_number(holds, tmp_path):
    path = tmp_path / "night.jsonl"

    async def problems():
        source = JsonlSource("night", path, LineParser("/", {}, {}), 90)
        try:
            entries = [each async for group in source.entries(Ids()) for each in group]
        finally:
            await source.close()
        jobs = {entry.number: entry.job for entry in entries if entry.job}
        return (
            [e.number for e in entries if e.problem],
            jobs,
            {e.problem.id for e in entries if e.problem},
        )

    def check(lines, ends, mark):
        path.write_bytes(mark + b"\n".join(lines) + (b"\n" if ends else b""))
        told, jobs, names = asyncio.run(problems())
        bad = [at for at, line in enumerate(lines, 1) if line.strip() and b'"prompt"' not in line]
        good = [at for at, line in enumerate(lines, 1) if b'"prompt"' in line]
        assert (told, sorted(jobs)) == (bad, good)
        assert names == {f"line-{at}" for at in bad}
        assert len({job.id for job in jobs.values()}) == len(good)

    holds(
        check,
        st.lists(GOOD | BLANK | BAD, max_size=9),
        st.booleans(),
        st.sampled_from([b"", b"\xef\xbb\xbf"]),
    )


def test_the_body_of_a_batch_line_goes_out_as_it_is(holds):
    def check(body, meta):
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
        if meta is not None:
            line["meta"] = meta
        try:
            job = LineParser("/", INHERITED, {}).parse(json.dumps(line).encode())
        except BadLine:
            assert re.search(r"\\ud[89a-f]|NaN|Infinity", json.dumps(line))
            return
        call = OpenAI().encode(Request("other", (), body=job.body))
        assert json.loads(b"".join(call.pieces)) == json.loads(json.dumps(body))

    holds(
        check,
        st.dictionaries(ANY_TEXT, JSON, max_size=4),
        st.none() | st.dictionaries(TEXT, JSON, max_size=2),
    )


VALUES = st.dictionaries(
    st.sampled_from(["a", "b.c", "_", "ä"]),
    st.sampled_from(["{{a}}", "{{ b.c }}", "{{_}}", "{% raw %}", "\\1", "\\g<1>", "{{"]) | TEXT,
    min_size=1,
)
PIECES = st.lists(
    TEXT.map(lambda t: t.replace("{", "").replace("}", ""))
    | st.sampled_from(["{", "}", "{{", "}}", "{{a}}", "{{ b.c }}", "{{_}}"]),
    max_size=6,
)


def test_no_text_of_vars_is_read_as_a_template(holds):
    def check(pieces, values):
        names = {"{{a}}": "a", "{{ b.c }}": "b.c", "{{_}}": "_"}
        plain = [piece for piece in pieces if piece in names or not set(piece) & set("{}")]
        values = {"a": "", "b.c": "", "_": ""} | values
        wanted = "".join(values[names[piece]] if piece in names else piece for piece in plain)
        assert fill("".join(plain), values) == wanted

    holds(check, PIECES, VALUES)


# Records


def test_any_answer_is_one_line_that_every_reader_gives_back(holds):
    def check(text, name, meta):
        result = Result(
            name,
            "ok",
            text,
            "p",
            "m",
            "model",
            "stop",
            1,
            0.5,
            1,
            None,
            None,
            (),
            "ab" * 32,
            "t",
            "t",
            "r",
            meta={"note": meta},
        )
        line = encode_line(result)
        assert line.endswith(b"\n")
        assert len(line.decode().splitlines()) == 1
        told = json.loads(line)
        assert told["output"] == re.sub("[\ud800-\udfff]", "\ufffd", text)
        assert (told["id"], told["meta"]) == (name, {"note": json.loads(json.dumps(meta))})
        assert row_head(Line(0, 1, line[:-1])).id == name

    finite = JSON.filter(
        lambda value: "Infinity" not in json.dumps(value) and "NaN" not in json.dumps(value)
    )
    holds(check, ANY_TEXT, TEXT.filter(len), finite)


def test_any_failed_job_is_one_line_that_is_found_again(holds):
    def check(prompt, message, meta):
        fields = {"prompt": prompt, "meta": {"note": meta}, "id": "a"}
        line = encode_line(
            Failed("a", fields, Failure("timeout", message, 500, 1, True, "k", "r", "t")).line()
        )
        assert len(line.decode().splitlines()) == 1
        told = json.loads(line)
        assert told["prompt"] == re.sub("[\ud800-\udfff]", "\ufffd", prompt)
        assert failed_row(Line(0, 1, line[:-1])).failure.retryable

    holds(check, ANY_TEXT, ANY_TEXT, ANY_TEXT)


# What servers say

HEADERS = (
    "retry-after",
    "retry-after-ms",
    "date",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)
WAITS = st.one_of(
    st.text(st.characters(max_codepoint=0x2FF), max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(format_datetime),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True)),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.sampled_from(["0", "1h9999999m", "Wed, 04 Nov 2026 12:00:00 -2359", "T", "2026-11-04T"]),
)


def test_a_wait_is_positive_finite_and_at_most_a_year_whatever_is_sent(holds):
    def check(headers, body):
        seconds = retry_after(headers, b'"retryDelay":"' + body)
        assert seconds is None or (math.isfinite(seconds) and 0 < seconds <= LONGEST)

    holds(check, st.dictionaries(st.sampled_from(HEADERS), WAITS), st.binary(max_size=60))


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
SPELT = (
    str,
    quote,
    lambda key: quote(key, safe=""),
    lambda key: quote(key, safe="").lower(),
    str.lower,
    str.upper,
    lambda key: json.dumps(key)[1:-1],
    lambda key: base64.b64encode(key.encode()).decode(),
    lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    lambda key: key.encode().hex(),
)


def test_no_key_survives_in_any_form_in_any_text(holds):
    def check(key, spelling, before, after):
        forms = secret_forms(key)
        said = spelling(key)
        told = redacted(before + said + after, forms)
        assert key not in told.replace("[key]", "\0")
        assert said not in told.replace("[key]", "\0") or len(said) < 8
        for size in (8, 12):
            assert (
                base64.b64encode(key.encode()).decode()[: max(size, 8)] not in told or len(key) < 9
            )

    holds(check, KEYS, st.sampled_from(SPELT), TEXT, TEXT)


# Files of the root

NAMES_OF_FILES = st.sampled_from(
    ["a", "b", "c.png", "..", ".", "link", "deep", "root", "out", "~", "é"]
)
PATHS = st.lists(NAMES_OF_FILES, min_size=1, max_size=4).map("/".join)
SECRET = b"never to be read"
INSIDE = b"may be read"


def tree_of(top, made):
    """Folders, files and links as told, below `root` and beside it; what cannot be is left out."""
    shutil.rmtree(top, ignore_errors=True)
    for folder in ("root/deep/a", "out/deep"):
        (top / folder).mkdir(parents=True)
    for place in ("root/c.png", "root/deep/c.png"):
        (top / place).write_bytes(INSIDE)
    for place in ("c.png", "out/c.png", "out/deep/c.png", "a"):
        (top / place).write_bytes(SECRET)
    for where, target, absolute in made:
        place = Path(os.path.normpath(top / "root" / where))
        if not place.is_relative_to(top / "root") or os.path.lexists(place):
            continue
        try:
            place.symlink_to(top / target if absolute else target)
        except OSError:
            continue


def test_not_a_byte_of_a_file_outside_the_root_is_read(holds, memory):
    top = memory / "top"
    root = str(top / "root")

    def check(made, reference, lead):
        tree_of(top, made)
        reference = {"plain": "", "root": f"{root}/", "top": f"{top}/"}[lead] + reference
        try:
            opened = open_confined(root, reference)
        except Rejected:
            honest = not reference.startswith(("/", "~")) and ".." not in reference.split("/")
            real = Path(os.path.realpath(Path(root, reference)))
            inside = real.is_file() and real.is_relative_to(root)
            assert not (honest and inside)
            return
        with os.fdopen(opened.fd, "rb") as file:
            assert Path(f"/proc/self/fd/{opened.fd}").readlink().is_relative_to(root)
            assert file.read() == INSIDE

    links = st.lists(st.tuples(PATHS, PATHS, st.booleans()), max_size=6)
    holds(check, links, PATHS, st.sampled_from(["plain", "plain", "root", "top"]))


GLOBS = st.lists(
    st.sampled_from([*"ab./*?![]-^\\", "**", "/**", "**/", "[ab]", "[!a]", "x", ".png", "#", " "]),
    min_size=1,
    max_size=8,
).map("".join)
UNCLEAR = re.compile(r"\\/|[^/]\*\*|\*\*[^/]|\[[^\]]*/")
"""What git does with `a**/` hangs on what stands before it (its manual says that it is `a*/`), and
a slash in brackets stands for none."""
CLEAR = GLOBS.filter(lambda glob: not UNCLEAR.search(glob.strip()))
TREE = [
    f"{'/'.join(folders)}/{name}".lstrip("/")
    for depth in range(3)
    for folders in itertools.product("ab", repeat=depth)
    for name in ("a.png", "b.png", "x.png")
]


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git to compare with")
def test_any_pattern_leaves_out_what_git_would(holds, memory):
    for name in TREE:
        (memory / name).parent.mkdir(parents=True, exist_ok=True)
        (memory / name).touch()
    git = ["git", "-C", memory, "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True, capture_output=True)

    def check(lines):
        text = "\n".join(lines)
        (memory / ".gitignore").write_text(f"{text}\n")
        try:
            taken = image_files(str(memory), str(memory), FolderRules(exclude=lines))
        except UsageError:
            return
        words = ["ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]
        told = subprocess.run([*git, *words], check=True, capture_output=True, text=True)
        kept = {path for path in told.stdout.split("\0") if path.endswith(".png")}
        assert set(taken) == kept

    holds(check, st.lists(CLEAR, min_size=1, max_size=3))


@pytest.mark.parametrize("piece", ["*a", "**/", "**/a/", "?*", "[ab]*", "*/"])
@pytest.mark.parametrize("times", [12, 1_000])
def test_no_pattern_takes_long(piece, times):
    for path in ("a" * 250, "/".join("a" * 2_000), "a" * 250 + "/" + "b" * 250):
        Ignore([piece * times + "c"]).leaves_out(path, is_folder=False)


# Names and words


def test_a_name_of_ours_can_be_printed_and_no_two_paths_have_the_same(holds):
    def check(one, other):
        names = [os.fsdecode(raw) for raw in (one, other)]
        ids = [printable_id(name) for name in names]
        for told in ids:
            assert told.isprintable()
            assert 0 < len(told.encode()) <= 512
        assert (ids[0] == ids[1]) == (one == other) or "%" in names[0] + names[1]
        part = part_of(Path("/x", os.fsdecode(one.replace(b"/", b"")[:255] or b"a")))
        assert len(os.fsencode(part.name)) <= 255

    raw = st.binary(min_size=1, max_size=700).filter(lambda b: b"\0" not in b)
    near = TEXT.filter(len).map(lambda text: text.replace("\0", "").encode() or b"a")
    holds(check, raw | near, raw | near)


def test_what_is_printed_steers_no_terminal(holds):
    def check(text):
        assert printable(text).isprintable()
        assert set(printable(text, keep="\n")) - set("\n") <= set(printable(text))
        assert shortened(text).isprintable()
        assert len(shortened(text)) <= 201 * 10

    holds(check, ANY_TEXT)


def test_a_sidecar_is_one_line_and_never_empty(holds):
    def check(text, around, phrases, tags):
        wording = Wording(*around, strip_phrases=tuple(phrases), tags=tags)
        told = wording.caption(text)
        assert len(told.splitlines()) <= 1
        assert told == told.strip()
        told.encode()
        bare = Wording(strip_phrases=tuple(phrases), tags=tags).caption(text)
        assert bool(told) == bool(bare)  # what stands around it makes no caption of nothing
        if told:
            both = wording.joined(told, bare)
            assert len(both.splitlines()) == 1

    around = st.tuples(ANY_TEXT, ANY_TEXT) | st.just(("", ""))
    phrases = st.lists(TEXT.filter(len), max_size=2)
    holds(check, ANY_TEXT, around, phrases, st.booleans())


TABLE = st.sampled_from(["[run]", "[provider.openai]", "[rum]", "[run.a]", "[[run]]", "[caption]"])
OPTION = st.sampled_from(["model", "base-url", "base_url", "concurrency", "a.b", "key", "run"])
VALUE = st.sampled_from(
    ['"x"', "1", "true", "[1, 2]", "{x = 1}", "9" * 5_000, "[" * 2_000, "1979-05-27", "nan", "="]
)
TOML = st.lists(TABLE | st.builds("{} = {}".format, OPTION, VALUE) | ANY_TEXT, max_size=6).map(
    "\n".join
)


def test_any_configuration_is_tables_or_a_usage_error(holds, tmp_path):
    path = tmp_path / "overnight.toml"

    def check(text):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            tables = load_config(path)
        except UsageError:
            return
        assert all(isinstance(table, dict) for table in tables.values())

    holds(check, TOML)
