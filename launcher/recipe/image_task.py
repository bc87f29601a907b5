"""The task of images (`launcher.recipe.task`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pydantic

from launcher.recipe.declared import Body, ClassWeights, Head, Metrics, Smoothing
from launcher.recipe.fields import Field
from launcher.recipe.noun import noun


@noun
class ImageClassification:
    """One label for one image.

    Images are decoded and resized once, as the model's own preprocessor_config.json says. Random changes are made of
    training images only; each is a function of `training.seed`, the epoch and the image.
    """

    head: ClassVar[Head] = "image"
    fields: ClassVar[tuple[Field, ...]] = (Field("image", "image"), Field("label", "label"))
    bodies: ClassVar[frozenset[Body]] = frozenset({"image"})
    metrics: ClassVar[Metrics] = {"accuracy": "max", "top5_accuracy": "max", "macro_f1": "max", "loss": "min"}
    kind: Literal["ImageClassification"] = "ImageClassification"
    labels: tuple[str, ...] | None = None
    """The label set; None takes it from the training split, sorted."""
    class_weights: ClassWeights | None = None
    """How much an image counts by its label: as much in all as every other label (`balanced`), or these weights (1
    where none is given). They are scaled to a mean of 1 over the training split, and change the training loss only."""
    label_smoothing: Smoothing = 0.0
    """Part of each image's target that is shared out among all labels; in the training loss only."""
    size: Annotated[int, pydantic.Field(ge=8, le=2048)] | None = None
    """Pixels of the square image that the model takes; None takes what the model was made for."""
    crop: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """Least part of an image's area that a random crop keeps, at up to 4:3; 1 takes the whole."""
    flip: bool = False
    """Whether every other image is mirrored, left to right. Not where left and right differ, as in digits."""
    rotation: Annotated[float, pydantic.Field(ge=0, le=180)] = 0.0
    """Most degrees by which an image is turned, either way."""
    colour: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.0
    """Most by which brightness, contrast and saturation are each multiplied or divided, as a part: 0.2 is up to 20 %.
    """
    batch_norm: Literal["frozen", "trained"] = "frozen"
    """Whether batch normalisation keeps its stored statistics, or normalises by those of the whole global batch and
    stores their running means (with Full only). A model without pretrained weights needs `trained`."""
    broken: Literal["stop", "skip"] = "stop"
    """What an image does that cannot be decoded: it stops the run before it starts, or is left out and counted."""
