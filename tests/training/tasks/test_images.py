"""Images at work without a run: the same pixels as transformers' own processors, changes, statistics, metrics."""

import importlib
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, ViTImageProcessorPil

from launcher import DataError, ImageClassification
from launcher.training.batches.split import Split
from launcher.training.data.preparation import FILE, Preparation
from launcher.training.model_parts import batch_norm
from launcher.training.sources.image_source import _of_processor, _refuse_difference
from launcher.training.tasks import image_classification, work_for
from launcher.training.tasks.base import Draw, Kept, Reader
from launcher.training.tasks.blocks import encoded_to
from launcher.training.tasks.image_changes import NUMBERS, Changes
from launcher.training.tasks.views import Sheet


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


MobileNet = importlib.import_module("transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2")
PROCESSORS = {
    "squashed": ViTImageProcessorPil(size={"height": 24, "width": 30}),
    "old form": ViTImageProcessorPil(size=24, resample=3, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]),
    "middle": CLIPImageProcessorPil(size={"shortest_edge": 25}, crop_size={"height": 24, "width": 20}),
    "part": ConvNextImageProcessorPil(size={"shortest_edge": 56}, crop_pct=0.875),
    "large": ConvNextImageProcessorPil(size={"shortest_edge": 384}),
    "mobile": MobileNet.MobileNetV2ImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", [(61, 43), (43, 62), (25, 25), (200, 31)], ids=str)
def test_images_are_prepared_as_transformers_does_it(name, size, tmp_path):
    processor, image = PROCESSORS[name], Image.fromarray(noise(*size))
    ours = _of_processor(processor)
    _refuse_difference(processor, ours, "the model")
    told = ours.normalised(ours.view(ours.canvas(image))[None])
    theirs = processor(images=image, return_tensors="np")["pixel_values"]
    assert told.dtype == np.float32 and told.shape == theirs.shape and np.abs(told - theirs).max() < 1e-5
    ours.save(tmp_path)
    assert Preparation.load(tmp_path) == ours
    # what is saved is a processor of transformers', and does the same
    kind = CLIPImageProcessorPil if ours.shorter else ViTImageProcessorPil
    again = kind.from_pretrained(tmp_path)(images=image, return_tensors="np")["pixel_values"]
    assert np.abs(again - theirs).max() < 1e-5


def test_another_preparation_is_refused(tmp_path):
    processor = ViTImageProcessorPil(do_normalize=False)
    with pytest.raises(DataError, match="does more with an image than to resize, crop and normalise it"):
        _refuse_difference(processor, _of_processor(processor), "the model")
    (tmp_path / FILE).write_text('{"do_center_crop": false, "size": {"height": 1000000, "width": 3}}')
    with pytest.raises(DataError, match="images of 1000000 x 3 pixels"):
        Preparation.load(tmp_path)


def work_of(labels=("a", "b"), size=16, **task):
    return work_for(ImageClassification(**task), Reader(labels, None, size, Preparation(size, size, size + 4)))


def split_of(rows, size=20, labels=2):
    canvases = np.stack([noise(size, size, row) for row in range(rows)])
    ones = np.ones(rows, np.int64)
    columns = {"canvas": canvases, "labels": np.arange(rows) % labels}
    return Split(columns, {"loss": ones}, ones, np.arange(rows))


CHANGES = {"crop": 0.5, "flip": True, "rotation": 15.0, "colour": 0.3}


def test_changes_depend_on_the_seed_the_epoch_and_the_row_alone():
    work, split = work_of(**CHANGES), split_of(6)
    rows = np.array([4, 0, 2])
    batch = work.collate(split, rows, Draw(1, 2))
    assert batch["pixel_values"].shape == (3, 3, 16, 16) and batch["labels"].tolist() == [0, 0, 0]
    alone = work.collate(split, rows[1:2], Draw(1, 2))["pixel_values"]
    assert np.array_equal(alone[0], batch["pixel_values"][1])
    for other in (Draw(2, 2), Draw(1, 3)):
        assert not np.array_equal(work.collate(split, rows, other)["pixel_values"], batch["pixel_values"])
    evaluated = work.collate(split, rows, None)["pixel_values"]
    assert np.array_equal(evaluated, work_of().collate(split, rows, Draw(1, 2))["pixel_values"])
    middle = split.array("canvas")[0, 2:18, 2:18].transpose(2, 0, 1) / 255 * 2 - 1
    assert np.abs(evaluated[1] - middle).max() < 1e-5


def drawn(**numbers):
    names = ["area", "shape", "across", "down", "turn", "mirror", "brightness", "contrast", "colour"]
    values = np.full(NUMBERS, 0.5)
    for name, value in numbers.items():
        values[names.index(name)] = value
    return values


def test_each_change_does_what_it_is_called():
    canvas = noise(20, 20)
    middle = canvas[2:18, 2:18]
    size = {"height": 16, "width": 16}
    assert np.array_equal(Changes(**size, flip=True).changed(canvas, drawn(mirror=0.1)), middle[:, ::-1])
    assert np.array_equal(Changes(**size, flip=True).changed(canvas, drawn(mirror=0.9)), middle)
    turned = Changes(**size, rotation=180).changed(canvas, drawn(turn=1.0)).astype(int)
    assert np.abs(turned - middle[::-1, ::-1]).max() <= 1
    quarter = Changes(10, 10, crop=0.25).changed(canvas, drawn(area=0.0, across=1.0, down=0.0))
    assert np.array_equal(quarter, canvas[:10, 10:]), "a quarter of the area, the upper right one"
    assert np.array_equal(Changes(20, 20, crop=0.25).changed(canvas, drawn(area=1.0)), canvas)
    brighter = Changes(**size, colour=0.5).changed(canvas, drawn(brightness=1.0))
    assert np.abs(brighter - np.minimum(255, middle * 1.5)).max() <= 1
    grey = Changes(**size, colour=0.99).changed(canvas, drawn(colour=0.0)).astype(int)
    assert np.ptp(grey, axis=-1).mean() < 0.6 * np.ptp(middle.astype(int), axis=-1).mean()
    outside = Changes(**size, rotation=45, outside=(1, 2, 3)).changed(middle, drawn(turn=1.0))
    assert outside[0, 0].tolist() == [1, 2, 3]


def normed(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight)
    return model


def test_frozen_statistics_stay_and_rows_are_computed_by_themselves():
    model, images = normed(0), torch.randn(5, 3, 8, 8)
    expected = model.eval()(images)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch_norm.settle(model, trained=False)
    assert torch.allclose(model.train()(images), expected) and torch.allclose(model(images[:2]), expected[:2])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert batch_norm.state(model) == {}


def test_trained_statistics_are_those_of_torch_and_a_filler_moves_none():
    ours, theirs, images = normed(0).train(), normed(0).train(), torch.randn(5, 3, 8, 8)
    batch_norm.settle(ours, trained=True)
    told, expected = ours(images), theirs(images)
    told.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(told, expected, atol=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-4)
    state = batch_norm.state(ours)
    assert set(state) == {f"{place}.{name}" for place in (1, 4) for name in batch_norm.BUFFERS}
    assert all(torch.allclose(value, theirs.state_dict()[name], atol=1e-6) for name, value in state.items())
    assert torch.allclose(ours.eval()(images), theirs.eval()(images), atol=1e-5)


def test_the_right_label_among_the_five_likeliest_counts_and_surest_mistakes_come_first():
    labels = list("abcdefg")
    work, split = work_of(labels), split_of(3, labels=7)
    logits = torch.tensor([[3.0, 1, 0, 0, 0, 0, 0], [6, 0, 5, 4, 3, 2, 1], [9, 0, 1, 0, 0, 0, 0]])
    kept = work.keep({"logits": logits}, {"labels": torch.tensor([0, 1, 2])})
    assert kept["before"].tolist() == [0, 6, 1]
    details = work.detail({"logits": logits}, {})
    held = Kept(kept, details, np.arange(3))
    scores = work.score(split, held)
    assert scores["accuracy"] == pytest.approx(1 / 3) and scores["top5_accuracy"] == pytest.approx(2 / 3)
    sheet = list(work.views(split, held))[-1]
    assert isinstance(sheet, Sheet) and [line.partition(" (")[0] for _, line in sheet.images] == [
        "c: taken for a",
        "b: taken for a",
    ]
    assert np.array_equal(sheet.images[0][0], split.array("canvas")[2, 2:18, 2:18])


def test_what_is_prepared_at_a_time_does_not_grow_with_the_images(tmp_path, monkeypatch):
    Image.fromarray(noise(9, 7)).save(tmp_path / "a.png")
    work, asked = work_of(), []
    rows = [work.example(str(tmp_path / "a.png"))] * 10
    monkeypatch.setattr(image_classification, "BLOCK_BYTES", 3 * 20 * 20 * 3 + 1)
    encode = work.encode
    monkeypatch.setattr(work, "encode", lambda part: asked.append(len(part)) or encode(part))
    made = encoded_to(tmp_path / "rows", work, rows)
    assert asked == [3, 3, 3, 1] and made.split.rows == 10
    assert np.array_equal(made.split.array("canvas"), encode(rows).split.array("canvas"))
    large = work_for(ImageClassification(), Reader(("a",), None, 4096, Preparation(4096, 4096)))
    assert large.rows_at_a_time == 1 and work_of(size=8).rows_at_a_time <= 4096


def test_of_a_line_of_pixels_the_middle_is_resized():
    """2 x 40,000 pixels at a shorter side of 20 would be 20 x 400,000; within the limit nothing changes."""
    shape = Preparation(16, 16, 20)
    for size in ((40_000, 2), (2, 40_000)):
        line = np.zeros((size[1], size[0], 3), np.uint8)
        line[size[1] // 2 :, size[0] // 2 :] = 255
        canvas = shape.canvas(Image.fromarray(line))
        assert canvas.shape == (20, 20, 3) and canvas[0, 0].max() == 0 and canvas[-1, -1].min() == 255
    with mock.patch.object(Image.Image, "crop", side_effect=AssertionError):
        shape.canvas(Image.fromarray(noise(100, 2)))


def test_a_label_with_the_same_logit_comes_in_order_and_no_number_is_not_passed():
    work = work_of(list("abcdefg"))
    logits = torch.zeros(3, 7)
    logits[2] = np.nan
    kept = work.keep({"logits": logits}, {"labels": torch.tensor([0, 6, 0])})
    assert kept["before"].tolist() == [0, 6, 7]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_statistics_in_half_precision_are_those_of_single(kind):
    """320,000 numbers a channel: more than float16 can count."""
    images = torch.randn(20, 2, 160, 100) * 30
    whole, half = (nn.Sequential(nn.BatchNorm2d(2)) for _ in range(2))
    for model in (whole, half):
        batch_norm.settle(model.train(), trained=True)
    expected, told = whole(images), half(images.to(kind))
    assert told.dtype == kind and torch.allclose(told.float(), expected, atol=0.05)
    assert half[0].running_var.dtype == torch.float32
    assert torch.allclose(half[0].running_var, whole[0].running_var, rtol=1e-2)
