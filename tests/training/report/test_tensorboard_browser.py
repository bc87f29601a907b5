"""A real browser on `launcher tensorboard`: curves, confusion matrix, settings and projector are drawn.

Chromium is installed where that is possible (root on Debian); elsewhere the test is skipped, with the reason.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from browser import Browser
from debian import install
from matplotlib.image import imread

from launcher.launch.request import Request
from launcher.plan.placement import Placement

RECIPE = """from launcher import *

recipe = Recipe(
    task=TextClassification(),
    data=Table(train='{folder}/train.csv', test='{folder}/test.csv'),
    embedding=Mixture(
        sources=(RandomVectors(dimension=8), RandomVectors(dimension=4)),
        combine="gate",
        dimension=8,
        tokens="characters",
        encoder=MeanPooling(hidden=8),
    ),
    peft=Full(),
    training=Training(learning_rate=0.05, batch_size=8, max_steps=20, log_every=1),
)
"""
LABELS = ("好评", "中评", "差评")
TEXTS = ("房间很干净服务好", "房间还可以", "太差了再也不来")


@pytest.fixture(scope="module")
def chromium(chinese_font: None) -> None:
    if shutil.which("chromium") is None:
        install("chromium")
    if shutil.which("chromium") is None:
        pytest.skip("no browser here: Chromium is not installed, and only root on Debian installs it")


@pytest.fixture(scope="module")
def browser(chromium: None, warm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on TensorBoard, which serves a finished run over Chinese texts."""
    folder = tmp_path_factory.mktemp("browser")
    texts = [f"{TEXTS[n % 3]}{n // 3}号" for n in range(120)]
    rows = [f"{text},{LABELS[n % 3]}" for n, text in enumerate(texts)]
    for name, part in (("train", rows[:90]), ("test", rows[90:])):
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *part]), encoding="utf-8")
    (folder / "recipe.py").write_text(RECIPE.format(folder=str(folder)))
    ended = warm.carry_out(Request(folder / "recipe.py", {}, Placement(1, "single"), "shown", folder / "runs"))
    assert ended.outcome["status"] == "finished"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "launcher", "tensorboard", "shown", "--runs", folder / "runs", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait_for_data(url)
        with Browser(folder / "profile") as made:
            made.address, made.outcome, made.texts = url, ended.outcome, texts[90:]
            yield made
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=30)


def _wait_for_data(url: str) -> None:
    for _ in range(150):
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"{url}data/plugin/images/tags") as answer:
                if any("when tested/confusion matrix of texts" in tags for tags in json.load(answer).values()):
                    return
        except OSError:
            continue
    raise AssertionError("TensorBoard did not read the run")


def says(text: str) -> str:
    """Whether some element of the page says this."""
    return f"everything().some(n => n.children.length === 0 && (n.textContent || '').includes({text!r}))"


def test_the_curves_come_first_under_the_name_of_the_run(browser: Browser) -> None:
    browser.open("")
    groups = "everything().filter(n => n.classList.contains('card-group'))"
    found = browser.wait(
        f"{groups}.length > 2 && {groups}.map(n => [n.textContent.trim(), n.querySelectorAll('card-view').length])"
    )
    assert [name.partition(" cards")[0][:-1] for name, _ in found[:2]] == ["train", "validation"]
    assert [cards for _, cards in found[:3]] == [3, 3, 0], "the first two groups are open"
    told = browser.tell("everything().filter(n => n.children.length === 0).map(n => (n.textContent || '').trim())")
    assert "shown" in told and "tensorboard" not in told


def test_curves_are_drawn(browser: Browser) -> None:
    browser.open("scalars")
    browser.wait(says("train/loss"))
    points = "everything().map(n => n.tagName === 'path' ? (n.getAttribute('d') || '').split('L').length : 0)"
    browser.wait(f"Math.max(...{points}) === 20")


def test_the_confusion_matrix_is_drawn(browser: Browser) -> None:
    browser.open("images")
    browser.wait(says("confusion matrix of texts"))
    shown = "everything().filter(n => n.tagName === 'IMG' && n.naturalWidth > 400)"
    keys = browser.wait(f"{shown}.length === 5 && {shown}.map(n => n.src.match(/blob_key=([^&]*)/)[1])")
    told = [base64.urlsafe_b64decode(key + "==").decode() for key in keys]
    assert sum("when tested/confusion matrix of texts" in key for key in told) == 1


def test_settings_stand_beside_metrics(browser: Browser) -> None:
    browser.open("hparams")
    browser.wait(says("data.split_seed"))
    browser.wait(says("weights chosen/test_accuracy"))
    # the table begins with the first few metrics alone
    boxes = "everything().filter(n => n.tagName === 'PAPER-CHECKBOX' && n.textContent.trim() === '{}')"
    box = boxes.format("weights chosen/test_accuracy")
    assert browser.tell(f"{box}.filter(n => !n.checked).map(n => n.click()).length") == 1
    accuracy = browser.outcome["metrics"]["test"]["accuracy"]
    shown = "everything().filter(n => n.children.length === 0).map(n => Number(n.textContent || NaN))"
    browser.wait(f"{shown}.some(n => Math.abs(n - {accuracy}) < 1e-3)")


def test_the_projector_shows_points_with_chinese_labels(browser: Browser) -> None:
    browser.open("projector")
    count = "everything().filter(n => n.classList.contains('numDataPoints')).map(n => n.textContent).join()"
    browser.wait(f"{count} === '{len(set(''.join(browser.texts)))}'")
    search = "everything().find(n => n.id === 'search-box').shadowRoot.querySelector('paper-input')"
    browser.wait(f"{search} && (everything({search}.shadowRoot).find(n => n.tagName === 'INPUT').focus(), true)")
    browser.type("好")
    for told in ("好", "好评"):
        browser.wait(
            "everything().filter(n => n.classList.contains('metadata-value'))"
            f".some(n => n.textContent.trim() === {told!r})"
        )
    picture = imread(io.BytesIO(browser.picture()))[200:, 400:1200, :3]
    coloured = (picture.max(axis=2) - picture.min(axis=2) > 0.2).sum()
    assert coloured > 200, "points are drawn in colour"
