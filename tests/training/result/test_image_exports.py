"""`launcher export --format onnx` of an image classifier: its reader decodes and resizes as the launcher does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_images import RESNET, write_digits
from PIL import Image

from launcher import FromConfig, Full, ImageClassification, ImageFolders, Recipe, Training
from launcher.exported.answering import Exported
from launcher.recipe.recipe import resolve
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.result.exports import Wanted, export
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model, save_model
from launcher.training.result.onnx_folder import alike


@pytest.fixture(scope="module")
def saved_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    data = write_digits(folder / "data", each=20, labels=3)
    nouns = {
        "task": ImageClassification(size=16),
        "data": ImageFolders(train=str(data)),
        "embedding": FromConfig(config=RESNET),
        "peft": Full(),
        "training": Training(),
    }
    recipe = resolve(Recipe(**nouns), Path("recipe.py"), "", {}).recipe
    prepared = prepare(recipe)
    place = Path(prepared["folder"])
    model = initial_model(recipe, prepared["labels"], place).eval()
    save_model(model, recipe, prepared["labels"], place, prepared["max_length"], folder / "model")
    return folder / "model"


def test_images_are_read_alike_without_torch(saved_folder, tmp_path):
    saved = load_saved_model(saved_folder)
    told = export(saved, Wanted("onnx", tmp_path / "out", int8=True), saved_folder)
    assert told["rows"][1]["equal_answers"] == 1 and told["parity"]["largest_difference"] <= 1e-4
    told = export(saved, Wanted("onnx", tmp_path / "whole"), saved_folder)
    paths = [str(tmp_path / name) for name in ("grey.png", "tall.jpg", "clear.png")]
    Image.linear_gradient("L").resize((40, 23)).save(paths[0])
    Image.radial_gradient("L").convert("RGB").resize((9, 60)).save(paths[1])
    Image.radial_gradient("L").convert("LA").resize((31, 31)).save(paths[2])
    ours = predict(saved, paths)
    assert all(map(alike, ours, Exported.open(tmp_path / "whole").predict(paths)))
    done = subprocess.run([sys.executable, "-I", str(tmp_path / "whole" / "reader.py"), *paths], capture_output=True)
    assert done.returncode == 0 and all(map(alike, ours, json.loads(done.stdout)))
    assert not (tmp_path / "whole" / "tokenizer.json").exists()
