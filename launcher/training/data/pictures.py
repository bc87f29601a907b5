"""Image files: decoded with care, whoever made them. Pillow is imported when the first one is opened.

What is decoded is RGB, 8 bits, the right way up: the orientation that a camera noted is applied, a palette, CMYK and
grey become RGB, 16 bits become 8, and what is transparent becomes white. Of several frames the first counts.
"""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 100_000_000
"""Of one image, as its header says it: what is larger is a mistake, or an attack on memory."""
MOST_BYTES = 2**28
"""Of one file."""
SMALLEST = 2
"""Pixels of an image's side."""
ENDINGS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Of files that are taken for images where a folder is searched."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded: formats of photographs. Pillow knows others, some of which start programs."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that was looked at: a file, or bytes that a table holds."""

    source: Path | bytes
    digest: str
    """Of its bytes, which tells repeated ones."""
    kind: str
    """JPEG, PNG, …"""
    width: int
    height: int

    def pixels(self) -> Image.Image:
        """Decoded, RGB. Raises ValueError with the reason where it cannot be."""
        return decoded(read_bytes(self.source))


def looked_at(source: Path | bytes) -> Picture:
    """The image, once it was decoded. Raises ValueError with the reason where it cannot be."""
    data = read_bytes(source)
    image = decoded(data)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return Picture(source, digest, str(image.info["format"]), image.width, image.height)


def read_bytes(source: Path | bytes) -> bytes:
    """Raises ValueError where they cannot be read, or are too many."""
    try:
        size = len(source) if isinstance(source, bytes) else _size_of(source)
        if size > MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes, more than the {MOST_BYTES:,} that an image may have")
        return source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}") from None


def _size_of(path: Path) -> int:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is a folder" if stat.S_ISDIR(about.st_mode) else "it is no file")
    return about.st_size


def decoded(data: bytes) -> Image.Image:
    """RGB, 8 bits, upright; `info["format"]` says what it was. Raises ValueError with the reason."""
    pil = pillow()
    if not data:
        raise ValueError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow finds odd and reads all the same
            with pil.Image.open(
                io.BytesIO(data), formats=[kind for kind in FORMATS if kind in pil.Image.OPEN]
            ) as image:
                _refuse_size(image.width, image.height)
                kind = "JPEG" if image.format == "MPO" else image.format
                image.load()
                upright = _rgb(pil.ImageOps.exif_transpose(image))
    except ValueError:
        raise
    except pil.UnidentifiedImageError:
        raise ValueError("it is no image of a known format") from None
    except Exception as error:  # the border: each decoder raises its own, down to struct.error and SyntaxError
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"it cannot be decoded: {reason}") from None
    upright.info = {"format": kind}
    return upright


def pillow() -> Any:
    """The library. Raises DataError where it is missing."""
    try:
        import PIL.Image
        import PIL.ImageOps

        PIL.Image.init()  # or the rarer formats are not known yet
    except ImportError as error:
        raise DataError(Problem(f"images need Pillow: {error}", do="pip install pillow")) from None
    return PIL


def _refuse_size(width: int, height: int) -> None:
    """From the header, before memory is taken for it."""
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} that an image may have")
    if min(width, height) < SMALLEST:
        raise ValueError(f"it has {width:,} x {height:,} pixels, and there is nothing to see in them")


def _rgb(image: Any) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        from PIL import Image

        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    rgb: Image.Image = image.convert("RGB")
    return rgb


def _eight_bits(image: Any) -> Any:
    """Grey of 16 or 32 bits: Pillow would cut off all that is brighter than 255.

    16 bits say what is white; how bright 32 are meant is taken from the brightest pixel.
    """
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are no numbers")
    largest = float(values.max(initial=0.0))
    if image.mode.startswith("I;16"):
        values = values / 257
    elif image.mode == "F" and largest <= 1.0:
        values = values * 255
    elif largest > 255:
        values = values / (257 if largest <= 65_535 else largest / 255)
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
