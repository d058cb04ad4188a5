"""The words of a command: split once, filled for each job."""

import pytest

from batch.errors import UsageError
from batch.providers.exec.words import reason_unsafe, split_command


def filled(typed, *images, model="m"):
    return split_command(typed).filled(images, model)


def test_a_command_is_split_as_a_shell_would_split_it():
    assert filled("""caption --style "two words" 'it''s' a\\ b""") == [
        *("caption", "--style", "two words", "its", "a b")
    ]


def test_nothing_is_evaluated():
    typed = "caption $HOME ~ *.py `date` $(date) ; | > {prompts} {}"
    assert filled(typed) == typed.split()


def test_the_image_and_the_model_stand_inside_words_too():
    words = filled("caption --in={image} {image} -m {model}:{model}", "/t/1.png", model="a/b")
    assert words == ["caption", "--in=/t/1.png", "/t/1.png", "-m", "a/b:a/b"]


def test_what_is_filled_in_is_not_filled_again():
    assert filled("caption {image} {model}", "/t/{model}.png") == ["caption", "/t/{model}.png", "m"]


@pytest.mark.parametrize("images", [(), ("/t/1.png",), ("/t/1.png", "/t/a b.jpg")])
def test_images_become_as_many_words_as_there_are(images):
    assert filled("caption {images} end", *images) == ["caption", *images, "end"]


@pytest.mark.parametrize(
    ("typed", "most"),
    [("cat", 0), ("cat {image}", 1), ("cat x={image}", 1), ("cat {images}", None)],
)
def test_a_command_has_room_for_as_many_images_as_it_has_places(typed, most):
    assert split_command(typed).max_images == most


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "a command is missing"),
        ("  ", "a command is missing"),
        ("'' x", "a command is missing"),
        ("cat 'x", "cannot be split: No closing quotation"),
        ("cat x\0y", "NUL"),
        ("{image} x", "would let a job choose the program"),
        ("bin/{model}", "would let a job choose the program"),
        ("{images}", "would let a job choose the program"),
        ("ask {prompt}", "the prompt goes to stdin"),
        ("cat --in={images}", "must stand alone"),
        ("cat {image} {images}", "not both"),
    ],
)
def test_a_command_that_cannot_be_filled_is_refused(typed, words):
    with pytest.raises(UsageError, match=words):
        split_command(typed)


@pytest.mark.parametrize(
    "model", ["", "gpt-4o", "llava:13b", "Qwen/Qwen2-VL-7B", "m@sha256:0a", "a..b", "x+y_z.gguf"]
)
def test_the_names_that_models_have_are_put_into_a_command(model):
    assert reason_unsafe(model) == ""


@pytest.mark.parametrize(
    "model",
    [
        *("--output=/etc/passwd", "-x", "/etc/passwd", "~/x", "../x", "a/../../x", ".."),
        *("x;reboot", "$(reboot)", "`x`", "a b", "a\nb", "a\0b", "a|b", "'", '"', "é", "x\n"),
    ],
)
def test_a_model_that_is_more_than_a_name_is_not_put_into_a_command(model):
    assert "is not put into a command" in reason_unsafe(model)
