"""Where a format's name leads to the module that writes it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

from ..errors import OutputError
from ..files import sync_folder
from . import csv_file, hf, kohya, parquet_file, sqlite_file, txt, webdataset, xmp
from .answers import Answers
from .terms import Export, LeftOut, Written

WRITERS: Mapping[str, Callable[[Export, Answers, LeftOut], Written]] = {
    "hf": hf.write,
    "kohya": kohya.write,
    "webdataset": webdataset.write,
    "txt": txt.write,
    "xmp": xmp.write,
    "csv": csv_file.write,
    "sqlite": sqlite_file.write,
    "parquet": parquet_file.write,
}

CANNOT_CREATE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
        *(errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    }
)


def write_export(name: str, export: Export, left_out: LeftOut) -> Written:
    """Write the answers in a format, by its name; blocks.

    Raises `UsageError` for a results file that is none, and `OutputError` when the output cannot
    be created (73) or written (74).
    """
    answers = Answers(export.results)
    try:
        written = WRITERS[name](export, answers, left_out)
        if written.files:
            sync_folder(export.out if export.out.is_dir() else export.out.parent)
    except OSError as error:
        code = 73 if error.errno in CANNOT_CREATE else 74
        place = export.out if error.filename is None else f"{export.out} ({error.filename})"
        raise OutputError(f"cannot write {place}: {error.strerror}", code) from error
    return written
