"""From an image file to what a model takes, as its preprocessor_config.json says: resize, crop, scale, normalise.

The work is done in two steps. `canvas` decodes and resizes, once, in `prepare`: uint8, kept on disk. `view` takes the
middle of it, and `normalised` makes the model's numbers of that, for each batch. Both together are what transformers'
own image processors do with Pillow, to the bit before they normalise.

What is kept is one of two forms, under the names that transformers has for them: an image is resized to the model's
size whatever its shape (`ViTImageProcessor`), or so that its shorter side fits, and its middle is taken
(`CLIPImageProcessor`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import DataError, Problem

if TYPE_CHECKING:
    from PIL import Image

FILE = "preprocessor_config.json"
WHOLE, MIDDLE = "ViTImageProcessor", "CLIPImageProcessor"
BILINEAR = 2
LARGEST = 4096
"""Pixels of a side that a model may ask for."""


LONGEST = 50
"""Times its shorter side an image may be long: as only the middle counts, the rest is left out before it is resized."""


@dataclass(frozen=True)
class Preparation:
    """How images become a model's numbers."""

    height: int
    width: int
    """Of what the model takes."""
    shorter: int | None = None
    """Pixels of the shorter side once an image is resized, whose middle is then taken; None resizes to the size."""
    resample: int = BILINEAR
    """Pillow's number of how pixels are interpolated."""
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def canvas_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what is kept of an image."""
        return (self.height, self.width, 3) if self.shorter is None else (self.shorter, self.shorter, 3)

    def of_size(self, size: int) -> Preparation:
        """The same for another square size; the middle is as large a part as before."""
        shorter = None if self.shorter is None else round(self.shorter * size / min(self.height, self.width))
        return replace(self, height=size, width=size, shorter=shorter)

    def canvas(self, image: Image.Image) -> np.ndarray:
        """An RGB image resized, uint8 [height, width, 3]: the middle of it, from which `view` takes the middle."""
        height, width, _ = self.canvas_shape
        if self.shorter is None:
            return np.asarray(image.resize((width, height), self.resample))
        image = _middle_of(image)
        short, long = sorted(image.size)
        sides = (self.shorter, max(self.shorter, int(self.shorter * long / short)))
        new_width, new_height = sides if image.width <= image.height else sides[::-1]
        pixels = np.asarray(image.resize((new_width, new_height), self.resample))
        # where transformers would cut, less where `view` will
        top = (new_height - self.height) // 2 - (height - self.height) // 2
        left = (new_width - self.width) // 2 - (width - self.width) // 2
        return pixels[top : top + height, left : left + width]

    def view(self, canvas: np.ndarray) -> np.ndarray:
        """The middle of canvases [..., height, width, 3] that the model takes."""
        top, left = (canvas.shape[-3] - self.height) // 2, (canvas.shape[-2] - self.width) // 2
        return canvas[..., top : top + self.height, left : left + self.width, :]

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [rows, height, width, 3] as float32 [rows, 3, height, width]."""
        mean, std = np.array(self.mean, np.float64), np.array(self.std, np.float64)
        factor, offset = (self.scale / std).astype(np.float32), (-mean / std).astype(np.float32)
        channels_first = np.ascontiguousarray(np.moveaxis(pixels, -1, 1), dtype=np.float32)
        channels_first *= factor[None, :, None, None]
        channels_first += offset[None, :, None, None]
        return channels_first

    def document(self) -> dict[str, Any]:
        """As transformers' processors are described."""
        size = {"height": self.height, "width": self.width}
        values: dict[str, Any] = {
            "image_processor_type": WHOLE if self.shorter is None else MIDDLE,
            "do_convert_rgb": True,
            "do_resize": True,
            "size": size if self.shorter is None else {"shortest_edge": self.shorter},
            "resample": self.resample,
            "do_center_crop": self.shorter is not None,
            "do_rescale": True,
            "rescale_factor": self.scale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }
        return values if self.shorter is None else {**values, "crop_size": size}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Preparation:
        """What `document` described. Raises DataError for what it did not."""
        try:
            middle = bool(values["do_center_crop"])
            size = values["crop_size" if middle else "size"]
            height, width = int(size["height"]), int(size["width"])
            shorter = int(values["size"]["shortest_edge"]) if middle else None
            if not all(1 <= side <= LARGEST for side in (height, width, shorter or 1)):
                raise ValueError(f"images of {height} x {width} pixels")
            if shorter is not None and shorter < max(height, width):
                raise ValueError(f"a middle of {height} x {width} of images whose shorter side is {shorter}")
            (*mean,), (*std,) = map(float, values["image_mean"]), map(float, values["image_std"])
            scale, resample = float(values["rescale_factor"]), int(values["resample"])
            if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
                raise ValueError(f"a mean of {mean} and a deviation of {std}")
        except (KeyError, TypeError, ValueError) as error:
            do = "give a model whose preprocessor_config.json resizes, crops and normalises RGB images, and no more"
            what = f"this preparation of images is not known: {type(error).__name__}: {error}"
            raise DataError(Problem(what, FILE, do)) from None
        return cls(height, width, shorter, resample, scale, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))

    def save(self, folder: Path) -> None:
        """Write it as transformers reads it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Preparation:
        """What `save` wrote. Raises DataError for a damaged file."""
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(Problem(f"how images are prepared cannot be read: {error}", str(folder / FILE))) from None
        return cls.of(values)


def _middle_of(image: Image.Image) -> Image.Image:
    """The image, or of a line of pixels the middle: 2 x 40,000 at a shorter side of 256 would take gigabytes."""
    short, long = sorted(image.size)
    if long <= LONGEST * short:
        return image
    begin = (long - LONGEST * short) // 2
    end = begin + LONGEST * short
    return image.crop((begin, 0, end, short) if image.width > image.height else (0, begin, short, end))
