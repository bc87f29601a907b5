"""`accelerate launch` with a shipped file, and torchrun, give the run that `launcher run --strategy` gives."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from warm import MODELS

from launcher.cli.run import by_hand_line
from launcher.launch import run_request
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.shipped_files import shipped

BIN = Path(sys.executable).parent
STEPS = 5
NAMES = ("ddp", "fsdp2", "zero1", "zero2", "zero3")


@pytest.fixture
def recipe(write_recipe):
    return write_recipe(MODELS["mean"][1], training=f"max_steps={STEPS}")


@pytest.fixture
def extensions(environment, tmp_path):
    """Where DeepSpeed would compile to: it must stay empty."""
    environment["TORCH_EXTENSIONS_DIR"] = str(tmp_path / "extensions")
    yield tmp_path / "extensions"
    assert not (tmp_path / "extensions").exists(), "nothing is compiled"


def by_accelerate(config):
    return [BIN / "accelerate", "launch", "--config_file", config, "--num_processes", "2"]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("ddp", "zero3")])  # the README's `g` and `h`
def test_accelerate_launch_gives_the_same_losses(warm, launch, recipe, extensions, name):
    ours = warm.finished("mean", "Full", name, 2, max_steps=STEPS)
    theirs = launch(recipe, command=by_accelerate(shipped("accelerate_configs") / f"{name}.yaml"))
    assert theirs.losses == ours.losses and len(ours.losses) == STEPS
    assert theirs.outcome["strategy"] == theirs.outcome["in_force"]["name"] == name
    assert theirs.outcome["in_force"]["wrapper"] == ours.outcome["in_force"]["wrapper"]
    assert theirs.outcome["held_bytes"] == ours.outcome["held_bytes"]


def by_torchrun(recipe, tmp_path, environment, *options):
    command = [BIN / "torchrun", "--standalone", "--nproc-per-node", "2", recipe, "--json", *options]
    words = [*command, "--runs", tmp_path / "runs", "--name", "r"]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=environment)
    return done, json.loads(done.stdout)


def test_torchrun_takes_the_strategy_from_the_option_and_only_json_stands_on_stdout(
    warm, recipe, tmp_path, environment, extensions
):
    ours = warm.finished("mean", "Full", "zero3", 2, max_steps=STEPS)
    done, told = by_torchrun(recipe, tmp_path, environment, "--strategy", "zero3")
    assert (told["status"], told["world_size"], told["run"]) == ("finished", 2, str(tmp_path / "runs" / "r"))
    assert f"step {STEPS}/{STEPS}" in done.stderr
    events = (tmp_path / "runs/r/events.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in events] == ours.losses
    assert told["in_force"]["wrapper"] == "DeepSpeedEngine"
    assert told["in_force"]["sharded_tensors"] == 5


def test_json_tells_of_a_run_that_failed_and_of_a_request_that_was_refused(recipe, tmp_path, environment):
    done, told = by_torchrun(recipe, tmp_path, environment, "--set", "training.learning_rate=1e30")
    assert done.returncode != 0 and told["status"] == "failed"
    assert "lower training.learning_rate" in str(told) and "please report" not in str(told)
    done, told = by_torchrun(recipe, tmp_path, environment, "--set", "training.learning_rat=1")
    assert done.returncode != 0 and "training.learning_rat" in told["problems"][0]["what"]


def refused(command, recipe, tmp_path, environment, *options):
    words = [*command, recipe, "--runs", tmp_path / "runs", "--name", "r", *options]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert not (tmp_path / "runs").exists(), "nothing was started"
    assert "launcher/worker/by_hand.py" not in done.stderr, "no traceback of ours (torchrun prints its own)"
    said = [line for line in done.stderr.splitlines() if line.startswith("launcher: ")]
    assert len(said) == 1, done.stderr
    return done.stderr


def test_an_edited_file_is_refused_by_hand(recipe, tmp_path, environment):
    text = (shipped("accelerate_configs") / "zero2.yaml").read_text()
    edited = tmp_path / "edited.yaml"
    edited.write_text(text.replace("zero_stage: 2", "zero_stage: 2\n  gradient_accumulation_steps: 4"))
    told = refused(by_accelerate(edited), recipe, tmp_path, environment)
    assert "gradient_accumulation_steps is 4, which contradicts the plan" in told
    assert "training.micro_batch_size" in told


def test_a_file_and_an_option_that_differ_are_refused(recipe, tmp_path, environment):
    config = shipped("accelerate_configs") / "fsdp2.yaml"
    told = refused(by_accelerate(config), recipe, tmp_path, environment, "--strategy", "zero3")
    assert "--strategy zero3, but accelerate was started for fsdp2" in told


def test_what_the_rules_refuse_is_refused_by_hand_too(recipe, tmp_path, environment):
    environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [BIN / "torchrun", "--standalone", "--nproc-per-node", "2"]
    told = refused(command, recipe, tmp_path, environment, "--strategy", "zero33", "--device", "cuda")
    assert "did you mean 'zero3'?" in told
    assert "cuda was asked for, but no NVIDIA GPU can be seen here" in told


@pytest.mark.parametrize("name", ["single", *NAMES])
def test_the_dry_run_prints_the_line_that_starts_it(warm, name):
    placement = Placement(processes=1 if name == "single" else 2, strategy=name)
    request = Request(warm.recipe("mean", "Full", max_steps=STEPS), {"training.seed": "1"}, placement, "n", Path("x y"))
    line = by_hand_line(request, run_request.make_plan(request, run_request.gates(request)))
    config, recipe = shipped("accelerate_configs") / f"{name}.yaml", str(request.recipe)
    words = ["accelerate", "launch", "--config_file", os.path.relpath(config), "--num_processes"]
    words += [str(placement.processes), recipe, "--set", "training.seed=1", "--name", "n", "--runs", "x y"]
    assert shlex.split(line) == words
    assert config.is_file()
