"""`launcher serve` itself: what it refuses before anything heavy starts, and one server from the command to its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from command_line import typed

from launcher.launch import serving

TOKEN = "a-token-of-sixteen-characters-and-more"


@pytest.fixture
def never_started(monkeypatch):
    """Refusals come before the process is replaced; anything else would end the tests."""

    def replaced(*_):
        raise AssertionError("it was started")

    monkeypatch.setattr(os, "execve", replaced)
    monkeypatch.delenv(serving.VARIABLE, raising=False)


def refused(*words):
    done = typed("serve", *words)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    return done.stderr


def test_wrong_models_are_told_all_at_once(never_started, finished, tmp_path):
    run = finished["mean"].folder.path
    told = refused(run, run, f"a/b={run}", tmp_path / "nowhere", "--runs", tmp_path)
    assert f"two models are called {run.name!r}" in told
    assert "'a/b' is no name for a model" in told
    assert "nowhere" in told
    broken = tmp_path / "broken"
    (broken / "attempts").mkdir(parents=True)
    (broken / "plan.json").write_text((run / "plan.json").read_text())
    assert "has no proven model (status: not ended)" in refused(broken)


def test_words_of_writing_are_refused_where_nothing_is_written(never_started, finished):
    assert "writes no texts" in refused(finished["mean"].folder.path, "--set", "num_beams=2")


def test_other_machines_need_a_token_and_a_token_is_one_word(never_started, finished, tmp_path):
    run = finished["mean"].folder.path
    told = refused(run, "--host", "0.0.0.0", "--port", 0)
    assert "can be reached from other machines, and there is no token" in told and serving.VARIABLE in told
    file = tmp_path / "token"
    assert "cannot be read" in refused(run, "--token-file", file)
    for text in ("short", "two words that are long enough", "a" * 5000, "中文中文中文中文中文中文中文中文"):
        file.write_text(text)
        told = refused(run, "--token-file", file)
        assert "a token is one word of 16 characters" in told and text not in told
    assert "no address" in refused(run, "--host", "no.such.host.invalid")


def test_a_port_in_use_and_a_library_that_is_missing(never_started, finished, monkeypatch):
    run = finished["mean"].folder.path
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = refused(run, "--port", taken.getsockname()[1])
    assert "Address already in use" in told and "--port" in told
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert "serving needs uvicorn, which is not installed" in refused(run)


def test_a_token_is_neither_in_the_words_nor_in_the_environment_of_the_server(finished, monkeypatch):
    seen = {}

    def replaced(program, words, environment):
        seen.update(words=words, environment=environment, request=os.read(int(words[-2]), 1 << 16))
        socket.socket(fileno=os.dup(int(words[-1]))).close()
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", replaced)
    monkeypatch.setenv(serving.VARIABLE, TOKEN)
    done = typed("serve", f"m={finished['mean'].folder.path}", "--port", 0, "--host", "0.0.0.0", "--deadline", 7)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in " ".join(seen["words"]) and TOKEN not in str(seen["environment"])
    request = json.loads(seen["request"])
    assert (list(request["models"]), request["token"], request["limits"]["deadline"]) == (["m"], TOKEN, 7)


def test_from_the_command_to_the_end(finished, tmp_path, environment):
    """One process, which is ready, answers, ends with status 0 at SIGTERM, and never tells the token."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    words = [sys.executable, "-m", "launcher", "serve", f"m={finished['mean'].folder.path}", "--port", "0", "--json"]
    server = subprocess.Popen(
        [*words, "--token-file", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        told = json.loads(server.stdout.readline())
        assert told["models"] == [{"name": "m", "task": "TextClassification", "endpoints": ["/v1/predict"]}]
        shown = Path(f"/proc/{server.pid}/cmdline").read_bytes() + Path(f"/proc/{server.pid}/environ").read_bytes()
        assert TOKEN.encode() not in shown and b"launcher.worker.serving" in shown
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        assert children == "", "one process"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{told['url']}/v1/predict", b'{"texts": ["word1"]}', headers)
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["answers"][0]["label"] in ("good", "bad")
    finally:
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "", "")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["python begins", "models are read"])
def test_an_end_before_it_is_ready_is_no_failure(finished, environment, number, moment):
    words = [sys.executable, "-m", "launcher", "serve", f"m={finished['mean'].folder.path}", "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while b"launcher.worker.serving" not in Path(f"/proc/{server.pid}/cmdline").read_bytes():
        assert server.poll() is None, server.stderr.read()
        time.sleep(0.001)
    while moment == "models are read" and "libtorch" not in Path(f"/proc/{server.pid}/maps").read_text():
        assert server.poll() is None, server.stderr.read()
        time.sleep(0.01)
    server.send_signal(number)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "", "")


def test_a_model_that_cannot_be_read_ends_the_server_with_one_sentence(finished, tmp_path, environment):
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(Path(finished["mean"].folder.path) / "model", folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    words = [sys.executable, "-m", "launcher", "serve", str(folder), "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 4, done.stderr
    assert (
        done.stderr.startswith("launcher: ") and "Traceback" not in done.stderr and "model.safetensors" in done.stderr
    )
    assert done.stdout == ""
