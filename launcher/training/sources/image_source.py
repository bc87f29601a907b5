"""How images are prepared for a model: as its own preprocessor_config.json says, or, without weights, in the usual way.

What that file says is put into our form, which is held against transformers' own processor on one image. So what trains
here, and what transformers makes of the saved model, see the same pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.recipe.about_images import image_size
from launcher.recipe.source import FromConfig, Pretrained
from launcher.recipe.task import PlainTask
from launcher.training.data.pictures import pillow
from launcher.training.data.preparation import FILE, Preparation
from launcher.training.sources import IMAGES, bodies, heads, limits
from launcher.training.sources.border import at_the_border, quiet
from launcher.training.sources.reference import source_folder
from launcher.training.sources.safe_folder import refuse_names_that_lead_away

USUAL_SIZE = 224
ALIKE = 1e-4
"""Largest difference of a normalised pixel between our preparation and transformers' own."""


def save(embedding: Pretrained | FromConfig, task: PlainTask, folder: Path) -> int:
    """Save to folder/`image_processor` how images are prepared; return the pixels of the larger side.

    Raises DataError where the model does not say it, or asks for what is not known.
    """
    heads.refuse_headless(bodies.own_config(embedding), bodies.name_of(embedding), task.head)
    if isinstance(embedding, Pretrained):
        preparation = _of_model(embedding)
    else:
        size = getattr(bodies.own_config(embedding), "image_size", None)
        height, width = size if isinstance(size, list | tuple) else (size or USUAL_SIZE,) * 2
        preparation = Preparation(int(height), int(width))
    wanted = image_size(task)
    preparation = preparation if wanted is None else preparation.of_size(wanted)
    preparation.save(folder / IMAGES)
    return max(preparation.height, preparation.width)


def _of_model(embedding: Pretrained) -> Preparation:
    source = source_folder(embedding.model)
    with at_the_border(embedding.model):
        refuse_names_that_lead_away(source, embedding.model)
        limits.refuse_foreign(source, embedding.model)
        if Path(source).is_dir() and not (Path(source) / FILE).is_file():
            what = f"{embedding.model} has no {FILE}, which says how its images are prepared"
            raise DataError(Problem(what, do="put it there: transformers' processor.save_pretrained(folder) writes it"))
        from transformers import AutoImageProcessor

        with quiet():
            processor: Any = AutoImageProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
        preparation = _of_processor(processor)
        _refuse_difference(processor, preparation, embedding.model)
    return preparation


def _of_processor(processor: Any) -> Preparation:
    """In our form; what does not fit into it shows in the comparison."""
    size, crop = processor.size, getattr(processor, "crop_size", None)
    shorter, height, width = size.shortest_edge, size.height, size.width
    part = getattr(processor, "crop_pct", None)
    if shorter and part and shorter < 384:  # ConvNeXT's: from there on the whole image is taken
        height, width, shorter = shorter, shorter, int(shorter / part)
    elif shorter and part:
        height, width, shorter = shorter, shorter, None
    elif getattr(processor, "do_center_crop", False) and crop is not None:
        height, width, shorter = crop.height, crop.width, shorter or min(size.height, size.width)
    values = Preparation(height or shorter, width or shorter, shorter).document()
    values |= {"resample": int(processor.resample), "rescale_factor": processor.rescale_factor}
    return Preparation.of({**values, "image_mean": processor.image_mean, "image_std": processor.image_std})


def _refuse_difference(processor: Any, preparation: Preparation, model: str) -> None:
    """Raise DataError where the model's own processor makes other numbers of an image."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 31, 3), dtype=np.uint8)
    image = pillow().Image.fromarray(noise).resize((451, 602), 3)
    theirs = np.asarray(processor(images=image, return_tensors="np")["pixel_values"])
    ours = preparation.normalised(preparation.view(preparation.canvas(image))[None])
    if theirs.shape == ours.shape and np.abs(theirs - ours).max() <= ALIKE:
        return
    what = f"{type(processor).__name__} of {model} does more with an image than to resize, crop and normalise it"
    raise DataError(Problem(what, FILE, "take a model whose images are prepared in the usual way, as ViT and ResNet"))
