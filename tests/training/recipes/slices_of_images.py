"""Slices of digits for the recipes of images."""

import json

from drawn_images import RESNET, save_body, write_digits


def photos(folder, bert):
    """Two digits stand for ants and bees, and a small network that has learnt nothing yet for MobileNetV2."""
    write_digits(folder / "train", each=100, labels=2)
    write_digits(folder / "test", each=76, begin=100, labels=2)
    body = save_body(RESNET, folder / "resnet")
    rates = {"training.learning_rate": 5e-3, "training.epochs": 6, "task.crop": 0.8, "task.flip": "false"}
    return {"data.train": folder / "train", "data.test": folder / "test", "embedding.model": body, **rates}


def small_images(folder, bert):
    """Four digits, in a smaller network."""
    write_digits(folder / "train", each=110, labels=4)
    write_digits(folder / "test", each=60, begin=110, labels=4)
    sets = {"embedding.config": json.dumps(RESNET), "task.size": 16, "task.flip": "false", "task.crop": 0.8}
    sets |= {"training.batch_size": 16, "training.learning_rate": 0.05, "training.epochs": 3}
    return {"data.train": folder / "train", "data.test": folder / "test", **sets}


SLICES = {
    "photos": photos,
    "small_images": small_images,
}
