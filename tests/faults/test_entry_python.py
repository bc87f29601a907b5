"""What is given to `start` and `run` is what trains: from a file, made in code, typed at a prompt, under torchrun."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scene import RECIPE, Scene

MAKING = RECIPE.replace("start,\n)", "start,\n)\n\n").partition("if __name__")[0] + (
    "import dataclasses\n"
    "def make(steps):\n"
    "    return dataclasses.replace(recipe, training=Training(batch_size=8, max_steps=steps, log_every=1))\n"
)
"""The tiny recipe, and a function that makes others of it."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One folder for all runs of this module."""
    return Scene(tmp_path_factory.mktemp("python"), tmp_path_factory.mktemp("cache"))


def steps_of(scene: Scene, name: str) -> tuple[int, Any]:
    """How many steps a finished run took, and the path of the recipe that its ranks imported."""
    assert scene.outcome(name)["status"] == "finished"
    return scene.outcome(name)["steps"], json.loads((scene.runs / name / "plan.json").read_text())["recipe"]


def test_a_script_trains_each_recipe_that_it_gives(scene: Scene) -> None:
    """The module's own `recipe` is another one, as long as it is not given itself; and the script goes on."""
    script = scene.folder / "sweep.py"
    script.write_text(
        MAKING + "if __name__ == '__main__':\n    start(make(3), name='three')\n    start(make(2), name='two')\n"
        "    print('the script went on')\n"
    )
    done = scene.carry_out(sys.executable, "sweep.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the script went on\n")
    assert (steps_of(scene, "three"), steps_of(scene, "two")) == ((3, ""), (2, ""))
    again = scene.launch("show", "runs/two/recipe.py", "--json")
    assert json.loads(again.stdout)["recipe"]["training"]["max_steps"] == 2
    assert json.loads(again.stdout)["recipe"] == json.loads((scene.runs / "two/recipe.json").read_text())["recipe"]


def test_a_recipe_that_its_file_yields_is_imported_from_there(scene: Scene) -> None:
    done = scene.carry_out(sys.executable, "tiny.py", "--name", "file", "--set", "training.max_steps=2")
    assert done.returncode == 0, done.stderr
    assert steps_of(scene, "file") == (2, str(scene.recipe.resolve()))


def test_from_standard_input(scene: Scene) -> None:
    text = MAKING + "start(make(2))\n"
    (scene.folder / "typed.py").write_text(text)
    done = scene.carry_out("sh", "-c", f"{sys.executable} - --name stdin < typed.py")
    assert done.returncode == 0, done.stderr
    assert steps_of(scene, "stdin") == (2, "")


def test_a_prompt_outlives_a_refusal_and_gets_the_outcome_and_the_model(scene: Scene) -> None:
    """A console as notebooks and embedded interpreters have one: no file, no words of ours, nobody to exit."""
    lines = [
        *MAKING.replace("\n)\n\n\nrecipe", "\n)\nrecipe").split("\n"),
        "",
        "start(make(2), name='a/b')",
        "import launcher, signal, json",
        "outcome = launcher.run(make(2), name='prompt', set={'training.seed': 3})",
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)",
        "model = launcher.load(outcome['run'])",
        "print(outcome['status'], outcome['steps'], model.labels)",
        "one, both = model.predict('a kind room'), model.predict(['a kind room', 'rude'], top=1)",
        "print(len(one), len(both), [len(row['probabilities']) for row in both], one[0]['label'] == both[0]['label'])",
        "print(model.evaluate()['accuracy'] == outcome['metrics']['test']['accuracy'])",
    ]
    program = f"import code\nconsole = code.InteractiveConsole()\nfor line in {lines!r}:\n    console.push(line)\n"
    done = scene.carry_out(
        sys.executable, "-c", f"import sys; sys.ps1 = '> '; sys.argv = ['kernel', '-f', 'x']\n{program}"
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.count("launcher: ") == 1 and "a/b" in done.stderr
    assert done.stdout.splitlines()[-4:] == ["True", "finished 2 ('bad', 'good')", "1 2 [1, 1] True", "True"]
    assert json.loads((scene.runs / "prompt/recipe.json").read_text())["recipe"]["training"]["seed"] == 3


def test_under_torchrun_the_ranks_train_what_they_are_given(scene: Scene) -> None:
    """Once in a process: the second call is told so."""
    script = scene.folder / "ranks.py"
    script.write_text(MAKING + "if __name__ == '__main__':\n    start(make(2))\n    start(make(3))\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2]
    done = scene.carry_out(*torchrun, "ranks.py", "--name", "ranks")
    assert steps_of(scene, "ranks") == (2, "")
    assert done.returncode == 1 and "launcher: start() was called twice" in done.stderr


def test_a_rank_that_is_given_another_recipe_than_the_first_refuses(scene: Scene) -> None:
    from launcher import RecipeError
    from launcher.launch.request import Request
    from launcher.recipe.recipe import digest, load
    from launcher.worker.by_hand import _refuse_another

    recipe = load(scene.recipe).recipe
    plan: Any = SimpleNamespace(recipe="", digest=digest(recipe))
    _refuse_another(Request(scene.recipe, given=recipe), plan)
    with pytest.raises(RecipeError, match="this rank was given another recipe than the first one"):
        _refuse_another(Request(scene.recipe, {"training.seed": "5"}, given=recipe), plan)


def test_run_asks_for_a_recipe_and_stays_out_of_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import launcher

    with pytest.raises(launcher.RecipeError, match=r"run\(\) takes a Recipe or the path of a recipe's file, not dict"):
        launcher.run({})  # type: ignore[arg-type]
    with pytest.raises(launcher.RecipeError, match=r"start\(\) takes a Recipe, not str"):
        launcher.start("tiny.py")  # type: ignore[arg-type]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(launcher.PlanError, match="called in each of several processes"):
        launcher.run(tmp_path / "tiny.py")
