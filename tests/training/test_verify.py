"""`launcher verify`: right strategies agree, a wrong one is named, and nothing is left behind."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from at_work import same

from launcher.launch import run_request, verify
from launcher.launch.verify import Row
from launcher.recipe.recipe import load
from launcher.training.batches.split import Split, take
from launcher.training.prepare import cut_evaluation, prepare

STATIC = "RandomVectors(dimension=24, tokens='words', encoder=BiLSTM(hidden=16))"
PLANTED = """import os
if "RANK" in os.environ:
    from launcher.training.strategies.fsdp2 import FullyShardedDataParallel
    from launcher.training.strategies.zero import ZeRO

    micro_batch, backward = ZeRO.micro_batch, ZeRO.backward
    def telling(self, last):
        self.last = last
        return micro_batch(self, last)
    def forgetful(self, loss, penalty=None):
        backward(self, loss if self.last or self.plan.strategy != "zero2" else loss * 0)
    def broken(self, loss, penalty=None):
        raise ArithmeticError("fsdp2 cannot count")
    ZeRO.micro_batch, ZeRO.backward = telling, forgetful
    FullyShardedDataParallel.backward = broken
"""
"""ZeRO-2 forgets every micro-batch but the last: what an accumulation bug is like. FSDP2 breaks outright."""


@pytest.fixture
def scratch(tmp_path, environment):
    """Where temporary folders are made."""
    environment["TMPDIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def ask(tmp_path, environment, scratch):
    """`launcher verify RECIPE WORDS` in a folder of its own, which must be empty afterwards."""

    def run(recipe, *words):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "launcher", "verify", recipe, *words]
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        done = subprocess.run([str(w) for w in command], capture_output=True, text=True, env=environment, cwd=home)
        assert not list(home.iterdir()) and not list(scratch.glob("launcher-verify-*"))
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


def test_right_strategies_agree_and_what_a_rule_refuses_does_not_fail(ask, write_recipe, bert, tmp_path):
    recipe = write_recipe(f"Pretrained(model={str(bert)!r})", "texts", "LoRA(rank=4)")
    recipe.write_text(recipe.read_text().replace("dropout=0,", "dropout=0.3,"))
    kept = tmp_path / "kept"
    sizes = ("--processes", 3, "--processes", 2)
    done = ask(recipe, "--strategies", "fsdp2,zero2", *sizes, "--steps", 6, "--keep", kept)
    assert done.returncode == 0, done.stdout + done.stderr
    table = {tuple(row[:2]): row for row in map(str.split, done.stdout.splitlines()[:6])}
    assert {ran: row[-1] for ran, row in table.items() if ran[1].isdigit()} == {
        ("single", "1"): "reference", ("fsdp2", "2"): "agrees", ("zero2", "2"): "agrees",
        ("fsdp2", "3"): "refused", ("zero2", "3"): "refused",
    }  # fmt: skip
    assert "zero2 on 3 processes: a global batch of 16 cannot be shared evenly by 3 processes" in done.stdout
    for name in ("fsdp2", "zero2"):
        row = table[name, "2"]
        assert float(row[2]) <= 1e-5 and float(row[4]) <= 1e-2
    told = [line.split(":")[0] for line in done.stderr.splitlines() if "process" in line]
    assert told[0] == "single on 1 process" and "fsdp2 on 2 processes" in told
    plans = {path.parent.name: json.loads(path.read_text()) for path in kept.glob("*/plan.json")}
    assert {name: (plan["strategy"], plan["world_size"]) for name, plan in plans.items()} == {
        "reference": ("single", 1), "fsdp2-2": ("fsdp2", 2), "zero2-2": ("zero2", 2),
    }  # fmt: skip
    assert plans["reference"]["accumulation"] == 1 and plans["reference"]["batch_size"] == 16
    assert (plans["zero2-2"]["micro_batch_size"], plans["zero2-2"]["accumulation"]) == (5, 2)  # of 8: 5 and 3
    assert all((kept / name / "model" / "launcher.json").is_file() for name in plans)


def test_a_planted_accumulation_bug_is_named_and_so_is_what_breaks(ask, write_recipe):
    """And the others agree: DDP and ZeRO-3 here, FSDP2 and ZeRO-2 above."""
    recipe = write_recipe(STATIC, "entities")
    recipe.write_text(PLANTED + recipe.read_text())
    words = ["--strategies", "fsdp2,ddp,zero2,zero3", "--processes", 2, "--steps", 6, "--json"]
    done = ask(recipe, *words)
    assert done.returncode == 5
    told = json.loads(done.stdout)
    rows = {row["strategy"]: row for row in told["rows"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "single": "reference", "fsdp2": "failed", "ddp": "agrees", "zero2": "differs", "zero3": "agrees",
    }  # fmt: skip
    assert rows["zero2"]["loss_difference"] > 1e-3 and rows["zero2"]["model_distance"] > 0.05
    assert "fsdp2 cannot count" in rows["fsdp2"]["why"]
    assert (told["agrees"], told["error"], told["steps"], told["tolerance"]["loss"]) == (False, "worker", 6, 1e-5)
    assert [problem["what"].split(":")[0] for problem in told["problems"]] == [
        "fsdp2 on 2 processes failed", "zero2 on 2 processes differs",
    ]  # fmt: skip
    assert "launcher: fsdp2 on 2 processes failed" in done.stderr and "zero2 on 2 processes differs" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "first"),
    [
        (["--strategies", "ddp,zero4"], 3, "launcher: there is no strategy 'zero4'"),
        (["--strategies", ","], 3, "launcher: no strategy was named"),
        (["--processes", "3"], 3, "launcher: a global batch of 16 cannot be shared evenly by 3 processes"),
        (["--set", "training.max_steps=3"], 2, "launcher: verify sets training.max_steps itself"),
        (["--set", "training.nothing=3"], 2, "launcher: there is no training.nothing"),
        (["--keep", "."], 4, "launcher: the folder to keep the runs in is not empty"),
    ],
)
def test_bad_input_is_told_before_anything_starts(write_recipe, environment, tmp_path, words, code, first):
    recipe = write_recipe(STATIC, "entities")
    command = [sys.executable, "-m", "launcher", "verify", str(recipe), *words]
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (code, first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.py"]


def test_stopped_in_the_middle_it_leaves_nothing(write_recipe, environment, scratch):
    command = [sys.executable, "-m", "launcher", "verify", str(write_recipe(STATIC, "entities")), "--steps", "50"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert any(line.startswith("single on 1 process") for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGTERM)  # becomes what Ctrl-C is
    rest = process.communicate(timeout=120)[1]  # ends when every rank has closed it
    assert (process.returncode, "Traceback" in rest) == (130, False), rest
    assert not list(scratch.glob("launcher-verify-*"))


def test_losses_that_are_no_numbers_or_missing_never_agree():
    row = Row("ddp", 2)
    verify._judge_losses(row, {1: 0.5, 2: math.nan}, {1: 0.5, 2: 0.4}, 1e-5)
    assert row.verdict == "differs" and "from step 2 on" in row.why
    row = Row("ddp", 2)
    verify._judge_losses(row, {1: 0.5}, {1: 0.5, 2: 0.4}, 1e-5)
    assert (row.verdict, row.why) == ("differs", "1 steps instead of 2")
    row = Row("ddp", 2)
    verify._judge_losses(row, {1: 0.5, 2: 0.4}, {1: 0.5, 2: 0.4}, 1e-5)
    verify._judge_models(row, {"largest": 0.0, "distance": math.nan}, 1e-2)
    assert row.verdict == "differs"


@pytest.mark.parametrize(("share", "micro"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 5), (16, 9), (17, 9)])
def test_a_share_is_divided_unevenly_wherever_it_can_be(share, micro):
    assert verify._uneven(share) == micro
    parts = [min(micro, share - start) for start in range(0, share, micro)]
    assert sum(parts) == share and len(parts) == min(share, 2)
    assert len(set(parts)) == (2 if share > 2 else 1)


@pytest.mark.parametrize("kind", ["texts", "entities"])
def test_the_slice_cuts_only_what_is_evaluated(write_recipe, cache, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    recipe = load(write_recipe(STATIC, kind)).recipe
    whole = prepare(recipe)
    part = cut_evaluation(recipe, whole, 7, tmp_path / "part")
    assert part["rows"] == {**whole["rows"], "validation": 7, "test": 7} and part["labels"] == whole["labels"]
    for name, rows in part["rows"].items():
        split, full = (Split.load(Path(facts["folder"], f"{name}.safetensors")) for facts in (part, whole))
        assert split.rows == rows and split.columns.keys() == full.columns.keys()
        for column, values in split.columns.items():
            assert same(values, take(full.columns[column], np.arange(rows)))
    assert run_request.read_json(tmp_path / "part" / "facts.json")["rows"] == part["rows"]
