"""A Hugging Face imagefolder: `metadata.jsonl` beside the images, or a folder with copies of them.

Source: the datasets library, `image_dataset.mdx` and its folder based builder: `file_name` is
relative to the metadata file and may not climb; rows about images that are not there fail when
they are decoded, so there are none. Without `data_files="**"` a word like `test` in the name of any
file or folder is taken for a split, and the captions are lost without a word (datasets 5.2.0).
"""

from __future__ import annotations

import json
import os

from ..errors import JobError
from ..results.records import encode_line
from .answers import Answers
from .captions import Caption, alone, read_image
from .draft import OF_ONE_FILE, Draft, write_file
from .terms import Export, LeftOut, Taken, Written

NAME = "metadata.jsonl"


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write `metadata.jsonl`, and copies of the images when they stand elsewhere."""
    inside = os.path.relpath(os.path.realpath(export.out), export.root) if export.beside else ""
    prefix = "" if inside in ("", os.curdir) else f"{inside}/"
    rows = files = 0
    with Draft(export.out, NAME, among_pictures=True) as draft:
        for found in alone(answers, export, path_of, left_out):
            if not found.path.startswith(prefix):
                left_out.add(found.answer.result.id, f"its image is not in {export.out}")
                continue
            copied = 0 if export.beside else copy(export, found, left_out)
            if copied is not None:
                name = found.path[len(prefix) :]
                draft.file.write(encode_line({"file_name": name, "text": found.text}))
                rows, files = rows + 1, files + copied
        if rows:
            files += draft.keep(overwrite=export.overwrite)
    where = json.dumps(str(export.out), ensure_ascii=False)
    load = f'datasets.load_dataset("imagefolder", data_dir={where}, data_files="**")'
    return Written(rows, files, str(export.out / NAME), load)


def path_of(found: Caption) -> str:
    """What two rows must not share."""
    return found.path


def copy(export: Export, found: Caption, left_out: LeftOut) -> int | None:
    """Copy an image; files written, None when it was left out."""
    try:
        data = read_image(found, export.root, export.images)
        return write_file(export.out, found.path, (data,), overwrite=export.overwrite)
    except (JobError, Taken) as error:
        left_out.add(found.answer.result.id, str(error))
    except OSError as error:
        if error.errno not in OF_ONE_FILE:
            raise
        left_out.add(found.answer.result.id, f"its copy cannot be written: {error.strerror}")
    return None
