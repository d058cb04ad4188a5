"""`overnight providers`: what can answer, and what each needs."""

import re

import pytest

from batch.providers.registry import find_provider, provider_names


def test_every_provider_is_listed_with_its_summary(shell):
    done = shell("providers")
    assert (done.code, done.err) == (0, "")
    names = [line.split()[0] for line in done.out.splitlines()]
    assert names == provider_names()
    assert names[0] == "offline"
    for name in names:
        assert find_provider(name).summary in done.out


@pytest.mark.parametrize("name", provider_names())
def test_one_provider_is_told_with_all_that_it_needs(shell, name):
    done = shell("providers", name)
    assert done.code == 0
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in done.out.splitlines())
    common = ["name", "summary", "server", "key", "models", "default", "images", "schema"]
    pictures = ["as they are", "converted", "animations", "at most"]
    assert [fact for fact in facts if fact not in pictures] == common
    assert [fact for fact in facts if fact in pictures] in ([], pictures)
    assert facts["name"] == name


def test_what_a_provider_needs_is_said_in_words_of_options(shell):
    openai = shell("providers", "openai").out
    assert "https://api.openai.com/v1" in openai
    assert "needed, optional with --base-url: --key-file FILE or OPENAI_API_KEY" in openai
    dynaspark = shell("providers", "dynaspark").out
    assert "yours: --base-url URL" in dynaspark
    assert "optional: --key-file FILE or DYNASPARK_API_KEY" in dynaspark
    assert "1 a job" in dynaspark
    assert "none: works on this machine" in shell("providers", "offline").out


def test_the_limits_of_pictures_are_told(shell):
    openai = shell("providers", "openai").out
    assert "1500 a job" in openai
    assert "JPEG, PNG, WebP, GIF (with --base-url: JPEG, PNG)" in openai
    assert "BMP, TIFF, AVIF, HEIC" in openai
    assert "their first picture" in openai
    assert "50,000,000 bytes a job" in openai
    dynaspark = shell("providers", "dynaspark").out
    assert re.search(r"^as they are\s+JPEG, PNG, WebP$", dynaspark, re.MULTILINE)
    assert re.search(r"^converted\s+GIF, BMP, TIFF, AVIF, HEIC$", dynaspark, re.MULTILINE)
    assert re.search(r"^converted\s+none$", shell("providers", "offline").out, re.MULTILINE)


@pytest.mark.parametrize("name", ["exec", "exec:"])
def test_the_provider_that_is_a_command_is_told_without_one(shell, name):
    done = shell("providers", name)
    assert (done.code, done.out) == (0, shell("providers", "exec:COMMAND").out)
    assert "a command of yours: prompt on stdin, {image} for its image" in done.out
    assert "-m stands in place of {model} in the command" in done.out


def test_an_unknown_provider_is_told_with_the_nearest_name(shell):
    done = shell("providers", "dynaspork")
    assert (done.code, done.out) == (2, "")
    assert "there is no provider 'dynaspork': did you mean dynaspark?" in done.err
    assert "there are offline, dynaspark, openai" in shell("providers", "x").err
