"""Text files as editors write them."""

import codecs
from pathlib import Path


def read_text(path: Path) -> str:
    """The file's text: UTF-8, or UTF-16 if its byte order mark says so; without the mark.

    Raises OSError and UnicodeDecodeError.
    """
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")
