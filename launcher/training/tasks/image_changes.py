"""Random changes of an image: crop, turn, mirror and colour, each a function of the numbers that are drawn for it.

Crop, turn and mirror are one transformation of coordinates, so that pixels are interpolated once. Torchvision would do
the same; it is no dependency, and one that does not match torch breaks transformers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from launcher.training.data.pictures import pillow

if TYPE_CHECKING:
    from PIL import Image

NUMBERS = 9
"""How many are drawn for an image."""
WIDEST = 4 / 3
"""Sides of a crop, one to the other, at most."""


@dataclass(frozen=True)
class Changes:
    """What may be changed (`launcher.recipe.task.ImageClassification`), and the size that comes of it."""

    height: int
    width: int
    crop: float = 1.0
    flip: bool = False
    rotation: float = 0.0
    colour: float = 0.0
    outside: tuple[int, int, int] = (127, 127, 127)
    """What is where an image that was turned has nothing."""

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.crop < 1 or self.flip or self.rotation > 0 or self.colour > 0

    def changed(self, canvas: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] of a canvas uint8 [.., .., 3], by `NUMBERS` numbers from 0 to below 1."""
        image: Image.Image = pillow().Image.fromarray(canvas)
        image = image.transform(
            (self.width, self.height),
            pillow().Image.Transform.AFFINE,
            self._coordinates(image.size, numbers),
            resample=pillow().Image.Resampling.BILINEAR,
            fillcolor=self.outside,
        )
        return np.asarray(self._coloured(image, numbers[6:9]) if self.colour else image)

    def _coordinates(self, size: tuple[int, int], numbers: np.ndarray) -> tuple[float, ...]:
        """Where in the canvas a point of the result comes from: `x' = a x + b y + c`, `y' = d x + e y + f`."""
        area, shape, across, down, turn, mirror = map(float, numbers[:6])
        wide, high = float(size[0]), float(size[1])
        width, height = float(self.width), float(self.height)  # of the part that is kept: the middle, if no crop is
        left, top = float((size[0] - self.width) // 2), float((size[1] - self.height) // 2)
        if self.crop < 1:
            kept = (self.crop + (1 - self.crop) * area) * wide * high
            ratio = WIDEST ** (2 * shape - 1) * self.width / self.height
            width, height = min(wide, math.sqrt(kept * ratio)), min(high, math.sqrt(kept / ratio))
            left, top = (wide - width) * across, (high - height) * down
        angle = math.radians(self.rotation) * (2 * turn - 1)
        right, below = width / self.width, height / self.height
        right = -right if self.flip and mirror < 0.5 else right
        a, b = math.cos(angle) * right, -math.sin(angle) * below
        d, e = math.sin(angle) * right, math.cos(angle) * below
        middle = left + width / 2, top + height / 2
        half = self.width / 2, self.height / 2
        return a, b, middle[0] - a * half[0] - b * half[1], d, e, middle[1] - d * half[0] - e * half[1]

    def _coloured(self, image: Image.Image, numbers: np.ndarray) -> Image.Image:
        from PIL import ImageEnhance

        kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for kind, number in zip(kinds, numbers, strict=True):
            image = kind(image).enhance((1 + self.colour) ** (2 * float(number) - 1))
        return image
