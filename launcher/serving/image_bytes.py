"""Images in requests: their files in base64. Paths are not read: they would be of this machine."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Sequence

from launcher.errors import DataError, Problem

MOST_PIXELS = 100_000_000
"""Of all images of a request: a file of 100 kB may say that it has as many, and each takes a second and 12 bytes."""


def files_of(texts: Sequence[str]) -> list[bytes]:
    """Of base64, or of `data:` addresses. Raises DataError for anything else, and for more pixels than may be."""
    files, pixels = [_bytes_of(text, number) for number, text in enumerate(texts)], 0
    for number, file in enumerate(files):
        pixels += _pixels(file, number)
        if pixels > MOST_PIXELS:
            what = f"the images have more than the {MOST_PIXELS:,} pixels that those of a request may have"
            raise DataError(Problem(what, f"images[{number}]", "send smaller ones, or fewer at a time"))
    return files


def _bytes_of(text: str, number: int) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        what = f"images[{number}] is no base64; paths are not read"
        raise DataError(Problem(what, do="send the file's bytes in base64")) from None


def _pixels(file: bytes, number: int) -> int:
    """As the header says it."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is no error until it is passed twice
            with Image.open(io.BytesIO(file)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return MOST_PIXELS + 1
    except Exception:  # the border: each decoder raises its own
        do = "send a whole file, such as a JPEG or a PNG"
        raise DataError(Problem(f"images[{number}] is no image of a known format", do=do)) from None
