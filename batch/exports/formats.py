"""The formats as data, for the help: importing this imports nothing else."""

from __future__ import annotations

FORMATS = {
    "hf": "metadata.jsonl of a Hugging Face imagefolder, beside the images or with copies of them",
    "kohya": "one JSON file of captions by image, as kohya's finetuning scripts read it",
    "webdataset": "tar shards of image, caption and result line, for WebDataset loaders",
    "txt": "a caption file beside each image, one line each",
    "xmp": "an XMP sidecar beside each image, for darktable, digiKam, Immich and Lightroom",
    "csv": "a table of all results, safe to open in a spreadsheet",
    "sqlite": "a database with the table `results`",
    "parquet": "a typed, compressed table (needs the extra `parquet`)",
}
"""What `--to` takes, and what it makes."""

OWN_OPTIONS = {
    "bom": "csv",
    "caption_ext": "txt",
    "preset": "xmp",
    "xmp_naming": "xmp",
    "maxcount": "webdataset",
    "maxsize": "webdataset",
}
"""Options that only one format has."""
