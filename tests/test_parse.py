"""Every rule of a job line: what makes it a job, and what makes it a bad line, in words."""

import json
import re

import pytest
from msgspec import UNSET

from batch.models import ImageRef, Job, JobMessage, Text
from batch.sources.decode import DEEPEST, BadLine
from batch.sources.fields import JobFields
from batch.sources.parse import INHERITED, LineParser, PassedOver

ROOT = "/photos"


def parse(line, flags=None, defaults=None, ambient=None):
    parser = LineParser(ROOT, flags or {}, ambient or {})
    if defaults is not None:
        assert parser.take_defaults(encoded({"defaults": defaults}))
    return parser.parse(line if isinstance(line, bytes) else encoded(line))


def encoded(value):
    return json.dumps(value).encode()


def refused(line, **inherited):
    """The words of the bad line."""
    with pytest.raises(BadLine) as told:
        parse(line, **inherited)
    return str(told.value)


def user(text):
    return (JobMessage("user", text),)


# What a line gives


def test_a_prompt_is_one_message_of_the_user():
    job = parse({"id": "a", "prompt": "Say hello."})
    assert job == Job("a", user("Say hello."), "", {}, None, UNSET, ROOT, job.fields)
    assert job.fields == {"id": "a", "prompt": "Say hello."}


def test_every_field_arrives():
    line = {
        "id": "a",
        "system": "Be brief.",
        "prompt": "What is it?",
        "image": "a.png",
        "model": "m",
        "params": {"temperature": 0.5, "odd": None},
        "schema": {"type": "object"},
        "meta": {"row": 1},
    }
    job = parse(line)
    picture = (ImageRef("a.png"), Text("What is it?"))
    assert job.messages == (JobMessage("system", "Be brief."), JobMessage("user", picture))
    assert job.images == (ImageRef("a.png"),)
    assert (job.model, job.params) == ("m", {"temperature": 0.5, "odd": None})
    assert (job.schema, job.meta, job.fields) == ({"type": "object"}, {"row": 1}, line)


def test_custom_id_is_another_name_for_id():
    assert parse({"custom_id": "a", "prompt": "x"}).id == "a"


def test_images_come_before_the_text_in_their_order():
    job = parse({"prompt": "x", "images": ["b.png", "a.png"]})
    assert job.messages == (JobMessage("user", (ImageRef("b.png"), ImageRef("a.png"), Text("x"))),)


def test_images_go_to_the_last_message_of_the_user():
    turns = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    messages = [{"role": role, "content": text} for role, text in turns]
    job = parse({"messages": messages, "image": "a.png"})
    assert [each.content for each in job.messages] == [
        "one",
        "two",
        (ImageRef("a.png"), Text("three")),
        "four",
    ]


def test_an_image_without_a_message_of_the_user_is_a_bad_line():
    messages = [{"role": "assistant", "content": "x"}]
    assert "message of the user" in refused({"messages": messages, "image": "a.png"})


def test_a_failure_is_ignored_on_reading():
    failure = {"code": "timeout", "message": "m", "attempts": 5}
    with_failure = parse({"id": "a", "prompt": "x", "failure": failure})
    assert with_failure.id == "a"
    assert with_failure.messages == user("x")


def test_a_recorded_bad_line_is_passed_over():
    with pytest.raises(PassedOver):
        parse({"id": "line-3", "failure": {"code": "bad_job", "message": "no prompt"}})


def test_a_job_that_failed_as_bad_but_has_fields_is_a_job():
    assert parse({"id": "a", "prompt": "x", "failure": {"code": "bad_job"}}).id == "a"
    assert "no prompt" in refused({"id": "a", "failure": {"code": "timeout"}})


# Fields that cannot be


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("promt", "prompt"),
        ("Prompt", "prompt"),
        ("messagess", "messages"),
        ("image_", "image"),
        ("systm", "system"),
        ("paramas", "params"),
        ("customid", "custom_id"),
    ],
)
def test_an_unknown_field_is_told_with_the_nearest_name(name, near):
    words = refused({name: "x", "id": "a"}, flags={"prompt": "p"})
    assert words == f"unknown field `{name}`, did you mean `{near}`?"


def test_an_unknown_field_that_is_like_none_is_told_without_a_guess():
    assert refused({"prompt": "x", "zzz": 1}) == "unknown field `zzz`"


@pytest.mark.parametrize("name", ["provider", "base_url", "headers", "key", "output", "root"])
def test_a_line_cannot_choose_hosts_keys_or_files(name):
    assert f"unknown field `{name}`" in refused({"prompt": "x", name: "y"})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("id", 7, "`id`: expected `str`, got `int`"),
        ("id", None, "`id`: expected `str`, got `null`"),
        ("custom_id", ["a"], "`custom_id`: expected `str`, got `array`"),
        ("prompt", None, "`prompt`: expected `str`, got `null`"),
        ("prompt", ["x"], "`prompt`: expected `str`, got `array`"),
        ("messages", "x", "`messages`: expected `array`, got `str`"),
        ("messages", {}, "`messages`: expected `array`, got `object`"),
        ("messages", ["x"], "`messages[0]`: expected `object`, got `str`"),
        ("image", ["a.png"], "`image`: expected `str`, got `array`"),
        ("images", "a.png", "`images`: expected `array`, got `str`"),
        ("images", ["a", 1], "`images[1]`: expected `str`, got `int`"),
        ("system", 1, "`system`: expected `str`, got `int`"),
        ("model", None, "`model`: expected `str`, got `null`"),
        ("params", None, "`params`: expected `object`, got `null`"),
        ("params", [], "`params`: expected `object`, got `array`"),
        ("schema", "x", "`schema`: expected `object | null`, got `str`"),
        ("vars", [], "`vars`: expected `object`, got `array`"),
        ("meta", "x", "`meta`: expected `object`, got `str`"),
        ("failure", 1, "`failure`: expected `object`, got `int`"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_its_field(field, value, words):
    assert (
        refused({"prompt": "x", field: value} if field != "messages" else {field: value}) == words
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"prompt": "x"}, {"messages": [{"role": "user", "content": "x"}]}),
        ({"image": "a.png"}, {"images": ["a.png"]}),
        ({"id": "a"}, {"custom_id": "a"}),
    ],
)
def test_two_ways_to_say_one_thing_are_a_bad_line(one, other):
    words = refused({**one, **other}, flags={"prompt": "p"})
    assert words == f"`{next(iter(one))}` and `{next(iter(other))}` together: give one of them"


@pytest.mark.parametrize(
    "line", [{}, {"id": "a"}, {"prompt": ""}, {"prompt": " \n"}, {"image": "a.png"}]
)
def test_no_prompt_is_a_bad_line(line):
    assert refused(line).startswith("no prompt: give `prompt` or `messages`")


def test_empty_messages_are_a_bad_line():
    assert refused({"messages": []}) == "`messages` is empty"


@pytest.mark.parametrize("name", ["method", "url"])
def test_method_and_url_need_a_body(name):
    assert "belong to a line with a `body`" in refused({"prompt": "x", name: "POST"})


# Ids


@pytest.mark.parametrize(
    "name", ["a", "ü", "a b", "日本", "x" * 512, "é" * 256, "🙂" * 128, "../a"]
)
def test_an_id_is_any_printable_text_of_512_bytes(name):
    assert parse({"id": name, "prompt": "x"}).id == name


@pytest.mark.parametrize("name", ["x" * 513, "é" * 257, "🙂" * 129, "x" * 10_000_000])
def test_an_id_over_512_bytes_is_a_bad_line(name):
    assert refused({"id": name, "prompt": "x"}) == "an id has at most 512 bytes"


@pytest.mark.parametrize(
    "name", ["", "\n", "a\nb", "\x1b[31m", "a\x00", "a\u2028b", "\u202e", "a\x7f"]
)
def test_an_id_that_cannot_be_printed_is_a_bad_line(name):
    assert refused({"id": name, "prompt": "x"}) == "an id is printable text, not empty"
    assert refused({"custom_id": name, "prompt": "x"}) == "an id is printable text, not empty"


@pytest.mark.parametrize("name", [r"\ud800", r"a\udfff", r"\udc80\ud800", r"\uD83D x"])
@pytest.mark.parametrize("field", ["id", "prompt"])
def test_half_of_a_surrogate_pair_is_a_bad_line(field, name):
    line = f'{{"prompt": "x", "{field}": "{name}"}}' if field == "id" else f'{{"prompt": "{name}"}}'
    assert "half of a surrogate pair" in refused(line.encode())


def test_a_whole_surrogate_pair_is_a_character():
    assert parse(rb'{"id": "\ud83d\ude42", "prompt": "x"}').id == "🙂"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("sub//./a.png", "sub/a.png"),
        (f"{ROOT}/sub/a.png", "sub/a.png"),
        ("/elsewhere/a.png", "/elsewhere/a.png"),
        ("../a.png", "../a.png"),
        ("a/../b.png", "a/../b.png"),
        ("./a:b.png", "a:b.png"),
        ("./~a.png", "~a.png"),
        ("日本 1.png", "日本 1.png"),
    ],
)
def test_the_id_of_an_image_job_is_the_path_from_the_root(image, name):
    assert parse({"prompt": "x", "image": image}).id == name


def test_the_root_of_the_file_system_is_a_root_like_others():
    parser = LineParser("/", {}, {})
    assert parser.parse(encoded({"prompt": "x", "image": "/a/b.png"})).id == "a/b.png"


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "x"},
        {"prompt": "x", "images": ["a.png"]},
        {"prompt": "x", "image": ""},
        {"prompt": "x", "image": "./"},
        {"prompt": "x", "image": "a\n.png"},
        {"prompt": "x", "image": "é" * 257},
        {"prompt": "x", "image": "http://host/a.png"},
        {"prompt": "x", "image": "data:image/png;base64,AAAA"},
        {"messages": [{"role": "user", "content": "x"}]},
    ],
)
def test_other_jobs_have_a_hash_of_their_line_for_an_id(line):
    assert re.fullmatch(r"r-[0-9a-f]{12}", parse(line).id)


def test_a_hashed_id_never_changes():
    assert parse({"prompt": "Say hello."}).id == "r-9eb76761477e"


def test_a_hashed_id_is_of_the_content_and_not_of_its_form():
    one = parse(b'{"prompt":"x","params":{"a":1,"b":2}}')
    two = parse(b'  {"params" : {"b": 2, "a": 1},\t"prompt": "\\u0078"}  ')
    assert one.id == two.id


def test_editing_meta_changes_no_id():
    assert parse({"prompt": "x", "meta": {"a": 1}}).id == parse({"prompt": "x"}).id


def test_a_recorded_failure_changes_no_id():
    assert parse({"prompt": "x", "failure": {"code": "timeout"}}).id == parse({"prompt": "x"}).id


def test_flags_and_defaults_change_no_id():
    plain = parse({"prompt": "x"})
    assert parse({"prompt": "x"}, flags={"system": "s"}, defaults={"model": "m"}).id == plain.id
    assert parse({"prompt": "x"}, defaults={"image": "a.png"}).id == plain.id


# What a line inherits


SOURCES = ["line", "flag", "defaults", "ambient"]


@pytest.mark.parametrize("field", ["system", "model", "prompt"])
@pytest.mark.parametrize("highest", range(4))
def test_the_line_beats_the_flag_beats_defaults_beat_the_environment(field, highest):
    given = {source: {field: source} for source in SOURCES[highest:]}
    line = {"id": "a", **({} if field == "prompt" else {"prompt": "x"}), **given.get("line", {})}
    job = parse(line, given.get("flag"), given.get("defaults"), given["ambient"])
    assert {**job.fields, "model": job.model}[field] == SOURCES[highest]


def test_params_merge_key_by_key():
    job = parse(
        {"prompt": "x", "params": {"a": "line"}},
        flags={"params": {"a": "flag", "b": "flag"}},
        defaults={"params": dict.fromkeys("abc", "defaults")},
        ambient={"params": dict.fromkeys("abcd", "ambient")},
    )
    assert job.params == {"a": "line", "b": "flag", "c": "defaults", "d": "ambient"}


def test_vars_merge_key_by_key():
    job = parse(
        {"vars": {"a": "line"}},
        defaults={"prompt": "{{a}} {{b}}", "vars": {"a": "defaults", "b": "defaults"}},
    )
    assert job.messages == user("line defaults")


def test_params_are_not_merged_below_their_keys():
    job = parse({"prompt": "x", "params": {"o": {"a": 1}}}, defaults={"params": {"o": {"b": 2}}})
    assert job.params == {"o": {"a": 1}}


@pytest.mark.parametrize("field", ["schema", "meta"])
def test_schema_and_meta_are_replaced_whole(field):
    job = parse({"prompt": "x", field: {"a": 1}}, defaults={field: {"b": 2}})
    assert getattr(job, field) == {"a": 1}
    assert getattr(parse({"prompt": "x"}, defaults={field: {"b": 2}}), field) == {"b": 2}


def test_a_line_can_take_an_inherited_schema_or_system_away():
    job = parse(
        {"prompt": "x", "schema": None, "system": ""},
        defaults={"schema": {"type": "object"}, "system": "Be brief."},
    )
    assert job.schema is None
    assert job.messages == user("x")


def test_merging_leaves_the_inherited_values_as_they_were():
    parser = LineParser(ROOT, {}, {"params": {"a": 1}})
    assert parser.parse(encoded({"prompt": "x", "params": {"b": 2}})).params == {"a": 1, "b": 2}
    assert parser.parse(encoded({"prompt": "x"})).params == {"a": 1}


@pytest.mark.parametrize("source", ["flags", "defaults", "ambient"])
def test_messages_of_a_line_displace_an_inherited_prompt(source):
    job = parse({"messages": [{"role": "user", "content": "mine"}]}, **{source: {"prompt": "p"}})
    assert job.messages == user("mine")


def test_a_prompt_displaces_inherited_messages():
    defaults = {"messages": [{"role": "user", "content": "theirs"}]}
    assert parse({"prompt": "mine"}, defaults=defaults).messages == user("mine")
    assert parse({}, defaults=defaults, flags={"prompt": "flag"}).messages == user("flag")


def test_an_image_displaces_inherited_images():
    job = parse({"image": "b.png"}, defaults={"images": ["a.png"], "prompt": "x"})
    assert job.images == (ImageRef("b.png"),)


def test_a_failed_line_repeats_what_the_job_inherited():
    job = parse({"id": "a"}, flags={"prompt": "x"}, defaults={"params": {"n": 1}, "model": "m"})
    assert parse(job.fields) == job


@pytest.mark.parametrize("source", ["flags", "ambient"])
def test_a_model_that_the_line_does_not_name_may_be_another_when_the_failed_line_is_run(source):
    job = parse({"id": "a", "prompt": "x"}, **{source: {"model": "m"}})
    assert (job.model, job.fields) == ("m", {"id": "a", "prompt": "x"})
    own = parse({"id": "a", "prompt": "x", "model": "own"}, **{source: {"model": "m"}})
    assert own.fields["model"] == "own"


# The defaults line


def takes(line):
    return LineParser(ROOT, {}, {}).take_defaults(
        line if isinstance(line, bytes) else encoded(line)
    )


def test_a_line_without_defaults_is_no_defaults_line():
    assert not takes({"prompt": "x"})
    assert not takes({"prompt": "the word defaults", "meta": {"defaults": {}}})
    assert not takes(b"no JSON")


def test_defaults_can_give_every_field_that_is_inherited():
    values = {
        "prompt": "x",
        "image": "a.png",
        "system": "s",
        "model": "m",
        "params": {},
        "schema": {},
        "vars": {},
        "meta": {},
    }
    assert takes({"defaults": values})
    assert takes({"defaults": {"messages": [{"role": "user", "content": "x"}], "images": []}})
    assert set(values) | {"messages", "images"} == INHERITED


@pytest.mark.parametrize("name", sorted(set(JobFields.__struct_fields__) - INHERITED))
def test_defaults_cannot_give_what_belongs_to_one_line(name):
    with pytest.raises(BadLine, match=f"`defaults` cannot give `{name}`"):
        takes({"defaults": {name: "x"}})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"defaults": {}, "prompt": "x"}, "stands alone"),
        ({"defaults": []}, "stands alone"),
        ({"defaults": None}, "stands alone"),
        ({"defaults": {"promt": "x"}}, "cannot give `promt`, did you mean `prompt`"),
        ({"defaults": {"prompt": 1}}, "`prompt`: expected `str`"),
        ({"defaults": {"params": None}}, "`params`: expected `object`"),
        ({"defaults": {"prompt": "x", "messages": []}}, "together"),
        ({"defaults": {"image": "x", "images": []}}, "together"),
        (b'{"defaults": {"params": {"a": 1, "a": 2}}}', "stands twice"),
        (b'{"defaults": {"prompt": "x"', "no valid JSON"),
    ],
)
def test_a_defaults_line_that_cannot_be_is_told(line, words):
    with pytest.raises(BadLine, match=words):
        takes(line)


def test_defaults_further_down_are_a_bad_line():
    assert "first line" in refused({"defaults": {"prompt": "x"}}, flags={"prompt": "x"})
    assert "first line" in refused({"defaults": {"prompt": "x"}})


# System and messages


SYSTEM = {"role": "system", "content": "Be long."}
QUESTION = {"role": "user", "content": "x"}


def test_system_stands_before_a_prompt():
    job = parse({"system": "Be brief.", "prompt": "x"})
    assert job.messages == (JobMessage("system", "Be brief."), *user("x"))


@pytest.mark.parametrize("source", ["line", "flags", "defaults", "ambient"])
def test_system_stands_before_messages_that_hold_none(source):
    line = {"messages": [QUESTION], **({"system": "s"} if source == "line" else {})}
    job = parse(line, **({} if source == "line" else {source: {"system": "s"}}))
    assert job.messages == (JobMessage("system", "s"), *user("x"))


@pytest.mark.parametrize("messages", [[SYSTEM, QUESTION], [QUESTION, SYSTEM]])
@pytest.mark.parametrize(
    "inherited", [{}, {"flags": {"system": "s"}}, {"defaults": {"system": "s"}}]
)
def test_a_second_system_is_a_bad_line(messages, inherited):
    line = {"messages": messages} if inherited else {"messages": messages, "system": "s"}
    assert "system message of their own" in refused(line, **inherited)


def test_messages_keep_a_system_of_their_own():
    assert parse({"messages": [SYSTEM, QUESTION]}).messages[0] == JobMessage("system", "Be long.")


def test_parts_of_a_message_are_text_and_images():
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "b.png", "detail": None}},
        {"type": "image_url", "image_url": "https://host/c.png"},
    ]
    job = parse({"messages": [{"role": "user", "content": parts}]})
    assert job.messages[0].content == (
        Text("a"),
        ImageRef("a.png"),
        ImageRef("data:image/png;base64,AA", "low", is_address=True),
        ImageRef("b.png"),
        ImageRef("https://host/c.png", is_address=True),
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user"}, "`messages[0]`: Object missing required field `content`"),
        ({"content": "x"}, "`messages[0]`: Object missing required field `role`"),
        ({"role": 1, "content": "x"}, "`messages[0].role`: expected `str`, got `int`"),
        (
            {"role": "user", "content": None},
            "`messages[0].content`: expected `str | array`, got `null`",
        ),
        (
            {"role": "user", "contnt": "x"},
            "`messages[0]`: unknown field `contnt`, did you mean `content`?",
        ),
        (
            {"role": "user", "content": ["x"]},
            "`messages[0].content[0]`: expected `object`, got `str`",
        ),
        (
            {"role": "user", "content": [{"text": "x"}]},
            "`messages[0].content[0]`: Object missing required field `type`",
        ),
        (
            {"role": "user", "content": [{"type": "audio", "audio": {}}]},
            "`messages[0].content[0].type`: invalid value 'audio' (a part is text or image_url)",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]},
            "`messages[0].content[0]`: unknown field `cache_control`",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": 1}]},
            "`messages[0].content[0].text`: expected `str`, got `int`",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "low"}}]},
            "`messages[0].content[0].image_url`: Object missing required field `url`",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"ulr": "a"}}]},
            "`messages[0].content[0].image_url`: unknown field `ulr`, did you mean `url`?",
        ),
    ],
)
def test_a_message_that_cannot_be_is_told_with_its_place(message, words):
    assert refused({"messages": [message]}) == words


# Templates


def test_vars_are_filled_into_prompt_and_system():
    job = parse({"prompt": "Hi {{name}}", "system": "As {{who}}", "vars": {"name": "A", "who": 1}})
    assert job.messages == (JobMessage("system", "As 1"), *user("Hi A"))


def test_a_job_without_vars_keeps_its_braces():
    assert parse({"prompt": "a {{b}} {c}"}).messages == user("a {{b}} {c}")


@pytest.mark.parametrize("field", ["prompt", "system"])
def test_a_name_without_a_value_is_a_bad_line(field):
    line = {"prompt": "x", field: "Hi {{nmae}}", "vars": {"name": "A"}}
    assert refused(line) == "no value for {{nmae}} (the job gives name)"
    assert "no vars" in refused({**line, "vars": {}})


def test_a_value_is_never_a_template():
    line = {"prompt": "{{a}}", "vars": {"a": "{{b}}", "b": "secret"}}
    assert parse(line).messages == user("{{b}}")


def test_messages_are_no_templates():
    line = {"messages": [{"role": "user", "content": "{{a}}"}], "vars": {"a": "x"}}
    assert parse(line).messages == user("{{a}}")


def test_a_prompt_that_is_filled_with_nothing_is_no_prompt():
    assert "no prompt" in refused({"prompt": "{{a}}", "vars": {"a": " "}})


# What is no JSON, or means two things


@pytest.mark.parametrize("value", ["null", "[1]", '"x"', "7", "true", '[{"prompt": "x"}]'])
def test_json_that_is_no_object_is_a_bad_line(value):
    assert refused(value.encode()) == "a job is a JSON object"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_a_bad_line(value):
    line = f'{{"prompt": "x", "params": {{"temperature": {value}}}}}'
    assert "NaN and Infinity are no JSON" in refused(line.encode())


@pytest.mark.parametrize(
    "value", ["1e999", "-1e999", "1" + "0" * 400 + ".5", "1" * 5000, "-" + "1" * 5000]
)
def test_a_number_out_of_range_is_a_bad_line(value):
    for line in (f'{{"prompt": "x", "meta": {{"n": {value}}}}}', f'{{"n": {value}}}'):
        assert "out of range" in refused(line.encode())


def test_a_large_whole_number_keeps_its_digits():
    seed = 3**100
    assert parse({"prompt": "x", "params": {"seed": seed}}).params == {"seed": seed}


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"a","prompt":"x","id":"b"}',
        '{"id":"a","prompt" :"x","id":"b"}',
        '{"id"  :"a","prompt":"x","id":"b"}',
        '{"id"\t:"a","prompt"\r:"x","id":"b"}',
        '{"id":"a","prompt":"x","\\u0069d":"b"}',
        '{"prompt":"x: \\":","id":"a", "id":"b"}',
        '{"prompt":"x","id":"a","id":"a"}',
        '{"prompt":"x","meta":{"id":1,"id":2}}',
        '{"prompt":"x","meta":{"a":[[{"id":1,"id":1}]]}}',
        '{"prompt":"x","params":{"a":{"id" :1,"b":":","id":1}}}',
        '{"custom_id":"a","body":{"messages":[{"id":1,"id":2}]}}',
        '{"":1,"id":{},"id":{"":[]}}',
    ],
)
def test_a_key_that_stands_twice_in_one_object_is_a_bad_line(line):
    assert refused(line.encode()) == "the key `id` stands twice in one object"


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt":"\\"id\\":1, \\"id\\":2"}',
        '{"prompt":"a : b","meta":{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}}',
        '{"prompt" : "x" , "id"\t:\t"a"}',
        '{"prompt":"x","meta":{"\\"a\\":":1,":":2}}',
    ],
)
def test_a_key_may_stand_in_several_objects_and_in_text(line):
    assert parse(line.encode()).fields == json.loads(line)


def nested(levels):
    return b'{"prompt":"x","meta":{"a":' + b"[" * levels + b"]" * levels + b"}}"


@pytest.mark.parametrize("levels", [DEEPEST - 1, 400, 600, 900, 1000, 100_000])
def test_deep_nesting_is_a_bad_line(levels):
    assert refused(nested(levels)) == "nested too deeply"
    assert "no valid JSON" in refused(b'{"a":' * levels) or levels > 900


def test_nesting_up_to_the_limit_is_fine():
    assert parse(nested(DEEPEST - 2)).id


def test_brackets_that_never_close_are_a_bad_line():
    for piece in (b"[", b"{", b'{"a":', b'{"a":['):
        assert refused(piece * 100_000)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"prompt": "caf\xe9"}', "no UTF-8 at byte 16: invalid continuation byte"),
        ('{"prompt": "é"}'.encode() + b"\xff", "no UTF-8 at byte 17: invalid start byte"),
        (b'{"prompt": "\xed\xa0\x80"}', "no UTF-8 at byte 13: invalid continuation byte"),
        (b"\xff\xfe{\x00", "no UTF-8 at byte 1: invalid start byte"),
    ],
)
def test_bytes_that_are_no_utf_8_are_told_with_their_place(line, words):
    assert refused(line) == words


def test_utf_16_without_a_mark_is_told():
    assert "UTF-16" in refused('{"prompt": "x"}'.encode("utf-16-le"))
    assert "UTF-16" in refused('{"prompt": "x"}'.encode("utf-16-be"))


@pytest.mark.parametrize(
    "line", ['{"prompt": "x', '{"prompt": "x"', "{", '{"prompt":', '{"prompt": "x",']
)
def test_a_cut_off_line_is_told_with_a_hint(line):
    assert "is the file still being written?" in refused(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "{'prompt': 'x'}",
        '{"prompt": "x"} {"prompt": "y"}',
        '{"prompt": "x"},',
        '{"prompt": "x",}',
        '{"prompt": "a\tb"}',
        '{"prompt": "\x00"}',
        '{"n": 01}',
        "{prompt: 1}",
    ],
)
def test_what_is_no_json_is_a_bad_line(line):
    assert refused(line.encode()).startswith("no valid JSON: ")


# OpenAI batch lines


BODY = {"model": "m", "messages": [{"role": "user", "content": "{{x}}"}], "top_p": 1e-3, "n": None}
BATCH = {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": BODY}


def test_a_batch_line_goes_out_as_it_is():
    job = parse(BATCH)
    assert (job.id, job.model, job.url, job.body) == ("r1", "m", BATCH["url"], BODY)
    assert (job.messages, job.params, job.schema, job.meta) == ((), {}, None, UNSET)


def test_flags_and_defaults_do_not_touch_a_batch_line():
    given = {"prompt": "p", "system": "s", "model": "other", "params": {"n": 2}, "vars": {"x": 1}}
    job = parse(BATCH, given, given, given)
    assert job == parse(BATCH)


def test_a_batch_line_needs_only_a_body():
    job = parse({"body": BODY})
    assert job.url == "/v1/chat/completions"
    assert re.fullmatch(r"r-[0-9a-f]{12}", job.id)
    assert parse({"id": "a", "body": BODY}).id == "a"


def test_meta_of_a_batch_line_is_kept_and_inherited():
    assert parse({**BATCH, "meta": {"a": 1}}, defaults={"meta": {"b": 2}}).meta == {"a": 1}
    inherited = parse(BATCH, defaults={"meta": {"b": 2}})
    assert inherited.meta == {"b": 2}
    assert parse(inherited.fields) == inherited


def test_a_failed_batch_line_is_a_batch_line():
    assert parse({**BATCH, "failure": {"code": "bad_job"}}).body == BODY


@pytest.mark.parametrize(
    "name", sorted(set(JobFields.__struct_fields__) - {*BATCH, "id", "meta", "failure"})
)
def test_other_fields_beside_a_body_are_a_bad_line(name):
    assert f"`{name}` cannot stand beside `body`" in refused({**BATCH, name: "x"})


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        ({"method": "GET"}, "`method` must be POST"),
        ({"method": 1}, "`method`: expected `str`, got `int`"),
        ({"url": None}, "`url`: expected `str`, got `null`"),
        ({"body": []}, "`body`: expected `object`, got `array`"),
        ({"custom_id": ""}, "an id is printable text, not empty"),
        ({"id": "a"}, "`id` and `custom_id` together: give one of them"),
        ({"bdoy": {}}, "`bdoy` cannot stand beside `body`, which goes out as it is"),
    ],
)
def test_a_batch_line_that_cannot_be_is_told(edited, words):
    assert refused({**BATCH, **edited}) == words


@pytest.mark.parametrize(
    "line",
    [
        {"x" * 10_000: 1},
        {"messages": [{"role": "user", "content": [{"type": "x" * 10_000}]}]},
        {"prompt": "{{" + "x" * 10_000 + "}}", "vars": {"v": 1}},
        {**BATCH, "x" * 10_000: 1},
        {"prompt": "{{v}}" * 9_000, "vars": {"v": "x" * 10_000}},
    ],
)
def test_what_is_said_of_a_line_is_short_however_long_it_is(line):
    assert len(refused(line)) < 500


def test_the_name_of_a_key_that_stands_twice_is_cut():
    line = b'{"%b":1,"%b":1}' % (b"x" * 10_000, b"x" * 10_000)
    assert refused(line) == f"the key `{'x' * 200}…` stands twice in one object"
