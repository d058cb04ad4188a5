"""A caption file a picture: its name with another extension, one line of UTF-8.

Source: kohya's and TagGUI's trainers read `image.txt` beside `image.jpg`; kohya takes the first
line only and ends at an empty file.
"""

from __future__ import annotations

from pathlib import Path

from .answers import Answers
from .captions import Caption, alone
from .draft import OF_ONE_FILE, write_file
from .terms import Export, LeftOut, Taken, Written


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write the caption files beside the images, or in the same folders under `out`.

    Their folders are not synced: the same command writes again what a power cut took.
    """
    place = Path(export.root) if export.beside else export.out

    def target(found: Caption) -> str:
        return found.stem + export.caption_ext

    rows = files = 0
    for found in alone(answers, export, target, left_out):
        try:
            text = (found.line.encode(),)
            files += write_file(place, target(found), text, overwrite=export.overwrite)
            rows += 1
        except Taken as error:
            left_out.add(found.answer.result.id, str(error))
        except OSError as error:
            if error.errno not in OF_ONE_FILE:
                raise
            left_out.add(found.answer.result.id, f"cannot be written: {error.strerror}")
    load = f'caption_extension = "{export.caption_ext}"'
    return Written(rows, files, f"{place}/…{export.caption_ext}", load)
