"""Images over HTTP: a run and its export answer to files in base64 as `launcher predict` answers to their paths."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from drawn_images import RESNET, write_digits
from hosting import Hosted, get, post
from PIL import Image

from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.serving.limits import Limits
from launcher.serving.served_export import ServedExport
from launcher.serving.served_run import ServedRun
from launcher.training.result.exports import Wanted, export
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model

RECIPE = """from launcher import *

recipe = Recipe(
    task=ImageClassification(size=16, batch_norm="trained"),
    data=ImageFolders(train={digits!r}, test_size=20),
    embedding=FromConfig(config={config!r}),
    peft=Full(),
    training=Training(max_steps=30, batch_size=16, dropout=0, learning_rate=1e-2),
)
"""


@pytest.fixture(scope="module")
def folders(warm, tmp_path_factory):
    """The model of a run, and its export."""
    folder = tmp_path_factory.mktemp("served-images")
    write_digits(folder / "digits", each=40, labels=3)
    (folder / "recipe.py").write_text(RECIPE.format(digits=str(folder / "digits"), config=RESNET))
    ended = warm.carry_out(Request(folder / "recipe.py", {}, Placement(1, "single", "cpu"), "digits", folder / "runs"))
    assert ended.status == {0: 0}, ended.failures()
    model = Path(ended.folder.path) / "model"
    export(load_saved_model(model), Wanted("onnx", folder / "export"), model)
    return {"run": model, "export": folder / "export", "digits": folder / "digits"}


@pytest.fixture(scope="module")
def here(folders):
    models = {"run": ServedRun(load_saved_model(folders["run"])), "export": ServedExport(folders["export"])}
    with Hosted(Limits(deadline=60, max_body=40 * 2**20), **models) as hosted:
        yield hosted


def asked(here, name, images):
    return post(f"{here.url}/v1/predict", json={"model": name, "images": images}, timeout=60)


def in_base64(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", ["run", "export"])
def test_answers_are_those_of_predict(here, folders, name):
    paths = sorted(folders["digits"].rglob("*.png"))[::3]
    expected = predict(load_saved_model(folders["run"]), [str(path) for path in paths])
    files = [in_base64(path.read_bytes()) for path in paths]
    files[0] = f"data:image/png;base64,{files[0]}"  # as a browser has it
    told = asked(here, name, files)
    assert told.status_code == 200, told.text
    answers = told.json()["answers"]
    assert [one["label"] for one in answers] == [one["label"] for one in expected]
    assert len({one["label"] for one in answers}) == 3
    apart = [
        abs(one["probabilities"][label] - value)
        for one, other in zip(answers, expected, strict=True)
        for label, value in other["probabilities"].items()
    ]
    assert max(apart) < 1e-5
    about = {each["id"]: each["takes"] for each in get(f"{here.url}/v1/models").json()["data"]}
    assert about == {"run": "images", "export": "images"}


def png(width, height, mode="L"):
    held = io.BytesIO()
    Image.new(mode, (width, height)).save(held, "PNG")
    return held.getvalue()


def half_of(data):
    return data[: len(data) // 2]


NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["run", "export"])
@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("/etc/passwd", "no base64; paths are not read"),
        ("file:///etc/passwd", "no base64"),
        ("data:image/png;base64,/etc", "no image of a known format"),
        ("", "no image of a known format"),
        (in_base64(b"GIF89a"), "no image of a known format"),
        (in_base64(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "image"),
        (in_base64(png(11_000, 11_000, "1")), "more than the 100,000,000 pixels"),
        (in_base64(png(20_000, 20_000, "1")), "more than the 100,000,000 pixels"),
    ],
)
def test_what_is_no_image_is_told_so(here, name, image, says):
    told = asked(here, name, [in_base64(png(8, 8)), image])
    assert told.status_code == 400 and says in told.json()["error"]["message"], told.text
    assert "/tmp" not in told.text and "launcher-images" not in told.text


@pytest.mark.parametrize("name", ["run", "export"])
def test_half_an_image_is_told_so(here, name):
    held = io.BytesIO()
    Image.fromarray(NOISE).save(held, "PNG")
    told = asked(here, name, [in_base64(half_of(held.getvalue()))])
    assert told.status_code == 400 and "truncated" in told.json()["error"]["message"], told.text
    assert "/tmp" not in told.text


@pytest.mark.parametrize("name", ["run", "export"])
def test_pixels_are_counted_over_the_whole_request(here, name):
    one = in_base64(png(6000, 6000, "1"))
    told = asked(here, name, [one] * 30)
    assert told.status_code == 400 and "100,000,000 pixels" in told.json()["error"]["message"]
    assert asked(here, name, [one]).status_code == 200


def test_texts_are_none(here):
    told = post(f"{here.url}/v1/predict", json={"model": "run", "texts": ["a"]})
    assert told.status_code == 400 and "the model takes images, and no texts" in told.json()["error"]["message"]
