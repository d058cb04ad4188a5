"""The metadata file of kohya's finetuning scripts: captions by image path without extension.

Source: `FineTuningDataset` of kohya's `library/train_util.py`: a key that is no file of the current
folder is looked up as KEY + extension in the image folder, and one that is not found there ends the
training. So keys are relative to the image folder, and only for files that it finds.
"""

from __future__ import annotations

import json
import shlex

from .answers import Answers
from .captions import Caption, captions, shared
from .draft import Draft
from .terms import Export, LeftOut, Written

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""Those that are found without a plug-in, all small or all capital."""


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write `{"<path without extension>": {"caption": "…"}}`, indented as kohya's own tools do."""
    look = captions(answers, export, LeftOut())
    twice = shared((found for found in look if is_found(found)), stem_of)
    rows = files = 0
    with Draft(export.out.parent, export.out.name) as draft:
        for found in captions(answers, export, left_out):
            if reason := reason_against(found, twice):
                left_out.add(found.answer.result.id, reason)
                continue
            draft.file.write(b",\n" if rows else b"{\n")
            draft.file.write(entry(found).encode())
            rows += 1
        if rows:
            draft.file.write(b"\n}\n")
            files += draft.keep(overwrite=export.overwrite)
    load = f"--in_json {shlex.quote(str(export.out))} --train_data_dir {shlex.quote(export.root)}"
    return Written(rows, files, str(export.out), load)


def stem_of(found: Caption) -> str:
    """The key of an image."""
    return found.stem


def is_found(found: Caption) -> bool:
    """Whether kohya's scripts look for a file of this name."""
    small, large = found.suffix.lower(), found.suffix.upper()
    return small in SUFFIXES and found.suffix in (small, large)


def reason_against(found: Caption, twice: frozenset[int]) -> str:
    """Why an image cannot be in the file; empty when it can."""
    if not is_found(found):
        return f"kohya looks for no files named {found.suffix or found.path}"
    return f"another image has the key {found.stem!r} too" if hash(found.stem) in twice else ""


def entry(found: Caption) -> str:
    """One member of the object."""
    inner = json.dumps({found.stem: {"caption": found.line}}, ensure_ascii=False, indent=2)
    return inner.removeprefix("{\n").removesuffix("\n}")
