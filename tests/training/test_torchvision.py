"""A torchvision that was built for another torch and cannot be imported: nothing breaks, and doctor names it."""

import os
import subprocess
import sys

import pytest

USE = """
import sys
from launcher.training import torchvision_guard
from launcher.training.self_check import _torchvision
{hide}
from transformers import BertForSequenceClassification
print(_torchvision()[0]["what"])
"""


@pytest.fixture
def broken(tmp_path):
    """An installed torchvision whose extension does not fit."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    about = tmp_path / "torchvision-0.28.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    return {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}


def test_a_broken_torchvision_is_hidden_and_named(broken):
    code = USE.format(hide="torchvision_guard.hide_broken()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=broken)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "torchvision cannot be imported: RuntimeError: operator torchvision::nms does not exist"
    )


def test_without_torchvision_there_is_nothing_to_say():
    from launcher.training.self_check import _torchvision

    assert _torchvision() == []
