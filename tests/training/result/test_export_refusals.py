"""`launcher export` of runs that have no model to export, on a disk that is full, and stopped half-way."""

import json
import resource
import shutil
import signal
import subprocess
import time

import pytest

from launcher.child import words
from launcher.errors import BackendError, DataError
from launcher.model import model_folder
from launcher.training.result.exports import Wanted, export
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sealed_model import put_seal_on


@pytest.fixture
def run(warm, tmp_path):
    """A copy of a finished run."""
    made = warm.finished("mean", "Full", "single", 1, max_steps=8, evaluate_every=8).folder.path
    return shutil.copytree(made, tmp_path / "runs" / "one")


def flipped(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def newer(folder):
    path = folder / "launcher.json"
    about = json.loads(path.read_text())
    about["format"] += 1
    about["recipe"]["embedding"]["of_a_later_version"] = 3
    path.write_text(json.dumps(about))
    (folder / "seal.json").unlink()
    put_seal_on(folder, {"format": 1, "base": {}})


def without_a_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (flipped, r"the saved model is damaged: model.safetensors is not as it was written"),
        (without_a_tokenizer, r"the saved model is damaged: tokenizer.json is missing"),
        (newer, r"the model was saved by a newer version of the launcher \(format 3\)"),
    ],
)
def test_a_damaged_or_newer_model_is_one_sentence(run, harm, told):
    harm(run / "model")
    with pytest.raises(BackendError, match=told):
        load_saved_model(run / "model")


def test_an_unfinished_run_has_nothing_to_export(run):
    for path in run.rglob("outcome.json"):
        path.unlink()
    with pytest.raises(BackendError, match=r"run one has no proven model \(status: not ended\)"):
        model_folder("one", run.parent)


@pytest.mark.parametrize(
    ("model", "kind", "told"),
    [
        ("mean", "onnx", "the model cannot be written"),
        ("mean", "fasttext", "the model cannot be written"),
        ("mean", "vec", "the vectors cannot be written"),
        ("bert", "safetensors", "the model cannot be written"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(warm, tmp_path, model, kind, told):
    """Files may have 2,000 bytes, which the system refuses as it does on a full disk."""
    folder = warm.finished(model, "Full", "single", 1, max_steps=8, evaluate_every=8).folder.path / "model"
    saved, before = load_saved_model(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(DataError, match=told):
            export(saved, Wanted(kind, tmp_path / "out", check=False), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_it_leaves_when_stopped_half_way_the_next_one_removes(run, tmp_path, sent):
    command = words("launcher", "export", str(run), "--format", "onnx", "--output", str(tmp_path / "out"))
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    until = time.monotonic() + 120
    while not list(tmp_path.glob(".out.*")):
        assert child.poll() is None and time.monotonic() < until, child.communicate()[1]
        time.sleep(0.01)
    child.send_signal(sent)
    told = child.communicate(timeout=60)[1]  # the end of the child's stderr, which its own child holds too
    assert "Traceback" not in told and child.returncode != 0
    if sent != signal.SIGINT:
        saved = load_saved_model(run / "model")
        export(saved, Wanted("onnx", tmp_path / "out", check=False), run / "model")
        assert (tmp_path / "out" / "model.onnx").is_file()
        shutil.rmtree(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
