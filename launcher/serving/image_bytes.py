"""Images in requests: their files in base64. Paths are not read: they would be of this machine."""

from __future__ import annotations

import base64
import binascii

from launcher.errors import DataError, Problem


def bytes_of(text: str, number: int) -> bytes:
    """Of base64, or of a `data:` address. Raises DataError for anything else."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        what = f"images[{number}] is no base64; paths are not read"
        raise DataError(Problem(what, do="send the file's bytes in base64")) from None
