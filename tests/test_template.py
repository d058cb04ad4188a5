"""`{{name}}` is replaced once, by text or JSON, and a missing name is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.sources.template import LONGEST, TooLong, UnknownName, fill


def test_a_text_goes_in_as_it_is():
    assert fill("Hello {{name}}!", {"name": 'Zoë "the" <cat>\n'}) == 'Hello Zoë "the" <cat>\n!'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        (["a", 1], '["a",1]'),
        ({"k": "é"}, '{"k":"é"}'),
        ("", ""),
        (10**40, "1" + "0" * 40),
    ],
)
def test_what_is_no_text_goes_in_as_json(value, text):
    assert fill("<{{v}}>", {"v": value}) == f"<{text}>"


def test_blanks_around_a_name_do_not_matter():
    assert fill("{{ a }}{{a}}{{\ta\n}}", {"a": "x"}) == "xxx"


@pytest.mark.parametrize(
    "name", ["a", "A1", "_x", "user.name", "first-name", "first name", "été", "1"]
)
def test_any_word_can_be_a_name(name):
    assert fill(f"{{{{{name}}}}}", {name: "x"}) == "x"


@pytest.mark.parametrize("name", ["nmae", "first-name", "first name", "été", "1", "a.b"])
def test_a_name_without_a_value_is_told_with_the_names_that_have_one(name):
    with pytest.raises(UnknownName) as told:
        fill("Dear {{" + name + "}}", {"name": "x", "age": 3})
    assert str(told.value) == "no value for {{" + name + "}} (the job gives age, name)"


def test_a_missing_name_is_told_when_there_are_no_values_at_all():
    with pytest.raises(UnknownName, match="no vars"):
        fill("{{a}}", {})


@pytest.mark.parametrize(
    "text", ["{a}", "{{}}", "{{ }}", "{{a}", "{ {a} }", '{{"role": "x"}}', "{{{}}}"]
)
def test_other_braces_stay(text):
    assert fill(text, {"a": "x"}) == text


def test_a_name_inside_more_braces_is_replaced():
    assert fill("{{{a}}}", {"a": "x"}) == "{x}"


def test_a_value_is_never_read_as_a_template():
    assert fill("{{a}}{{b}}", {"a": "{{b}}", "b": "{{a}}"}) == "{{b}}{{a}}"


def test_backslashes_in_a_value_stay():
    assert fill("{{a}}", {"a": r"\1\g<0>\n"}) == r"\1\g<0>\n"


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_survives_as_a_value(before, value):
    before = before.replace("{", "").replace("}", "")
    assert fill(before + "{{v}}", {"v": value}) == before + value


@pytest.mark.parametrize("piece", ["{{", "{{a", "{{ ", "{{a ", "{{\n", "{{{{ a "])
def test_a_hostile_prompt_takes_no_long_time(piece):
    text = piece * 200_000
    assert fill(text, {"a": "x"}) == text


def test_a_line_that_stands_for_terabytes_is_refused_before_they_are_made():
    with pytest.raises(TooLong, match="make it longer than 16 Mi characters"):
        fill("{{v}}" * 800_000, {"v": "x" * (4 << 20)})


def test_a_text_may_be_filled_up_to_the_limit():
    value = "x" * (LONGEST - len("{{v}}"))
    assert fill("{{v}}", {"v": value}) == value
    with pytest.raises(TooLong):
        fill("{{v}}", {"v": value + "x"})


def test_what_is_said_of_a_missing_name_is_short():
    with pytest.raises(UnknownName) as told:
        fill("{{" + "n" * 10_000 + "}}", {f"name{n}": 1 for n in range(10_000)})
    assert len(str(told.value)) < 500
