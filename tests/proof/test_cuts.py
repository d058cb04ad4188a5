"""The results file is cut at every byte: every whole record stays, and what was cut is kept."""

import json

import pytest
from samples import line, mend, output
from trials import BROKEN, ORPHAN

PADDINGS = {"plain": b"", "NUL": b"\0" * 37, "half a character": b"\xf0\x9f\x8c"}
RECORDS = [line(f"id-{n}", f"answer {n} \u00e9\U0001f319", meta={"n": n}) for n in range(4)]
WHOLE = b"".join(RECORDS)


@pytest.mark.parametrize("padding", PADDINGS.values(), ids=list(PADDINGS))
def test_a_file_cut_at_any_byte_keeps_every_whole_record_and_its_torn_bytes(memory, padding, count):
    paths = output(memory)
    # What begins with half a character is no results file of ours, and no crash leaves it.
    sizes = range(len(RECORDS[0]) if padding.startswith(b"\xf0") else 0, len(WHOLE) + 1)
    for size in sizes:
        paths.torn.unlink(missing_ok=True)
        paths.results.write_bytes(WHOLE[:size] + padding)
        mend(paths)
        whole = WHOLE[:size].rfind(b"\n") + 1
        kept, torn = WHOLE[:whole], WHOLE[whole:size] + padding
        if not padding and WHOLE[size : size + 1] == b"\n":  # a record without its newline
            kept, torn = WHOLE[: size + 1], b""
        assert paths.results.read_bytes() == kept
        found = paths.torn.read_bytes() if paths.torn.exists() else b""
        assert found == torn + b"\n" * bool(torn)
    count(cases=len(sizes))


def test_the_same_command_after_any_cut_asks_only_for_what_was_cut(trial, chance, many, count):
    """Whole records are as many as there are newlines before the cut."""
    assert trial.run().code == 1
    whole = {path: data for path, data in trial.files().items() if path.suffix != ".txt"}
    data = whole[trial.results]
    first = data.index(b"\n")
    cases = [(size, pad) for size in range(first, len(data)) for pad in PADDINGS.values()]
    cases = chance.sample(cases, min(len(cases), many(40, 2500)))
    for size, padding in cases:
        trial.restore(whole | {trial.results: data[:size] + padding})
        told = trial.run()
        asked = len(trial.server.requests)
        ended = not padding and data[size : size + 1] == b"\n"  # a record without its newline
        end = data[: size + ended].rfind(b"\n") + 1
        cut = data[end:size] + padding
        kept = {json.loads(row)["id"] for row in data[:end].splitlines()}
        assert trial.results.read_bytes().startswith(data[:end])
        free = {BROKEN, *({"c2.png"} if ORPHAN in kept else ())}  # it was renamed
        assert asked == len(trial.present() - kept - free), (size, padding, told)
        assert not cut or cut in (trial.disk / "photos.torn").read_bytes()
        trial.prove_answered(told)
    count(cases=len(cases))
