"""From a reference in a job to an image that is ready to send: confine, read, check, prepare.

Nothing here knows the event loop: the functions block and are called in threads.
"""

from .confine import open_confined, printable
from .load import ImageRules, decode_data_uri, read_file, stat_media
from .prepare import prepare

__all__ = [
    "ImageRules",
    "decode_data_uri",
    "open_confined",
    "prepare",
    "printable",
    "read_file",
    "stat_media",
]
