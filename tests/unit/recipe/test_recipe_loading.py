"""Loading a recipe module: whatever is wrong with the file is said with its line, never as a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher import RecipeError
from launcher.launch import run_request
from launcher.recipe.recipe import LoadedRecipe, digest, load
from launcher.runs.run_folder import RunFolder


def refusal(path: Path) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load(path)
    return caught.value


def test_a_recipe_is_loaded_with_its_source_and_name(write: Callable[..., Path], source: str) -> None:
    loaded = load(str(write()))
    assert loaded.name == "mine"
    assert loaded.source == source
    assert loaded.recipe.peft.rank == 4


def test_a_missing_file_offers_the_nearest_name(write: Callable[..., Path], tmp_path: Path) -> None:
    write(name="reviews_zh.py")
    error = refusal(tmp_path / "review_zh.py")
    assert str(error) == f"no recipe file {tmp_path}/review_zh.py\n  do:    did you mean 'reviews_zh.py'?"
    assert "no recipe file nowhere/x.py" in str(refusal(Path("nowhere/x.py")))


def test_the_name_of_a_shipped_recipe_tells_how_to_copy_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for typed in ("reviews_zh", "recipes/reviews_zh.py"):
        (problem,) = refusal(Path(typed)).problems
        assert problem.what == f"no recipe file {typed}"
        assert problem.do == "copy the one that is shipped: launcher recipes copy reviews_zh"


def test_a_misspelt_name_of_launchers_own_offers_the_right_one(write: Callable[..., Path]) -> None:
    (problem,) = refusal(write("from launcher import Lora\n")).problems
    assert problem.do == "did you mean 'LoRA'?"
    (other,) = refusal(write("from json import loadz\n")).problems
    assert "cannot import name 'loadz'" in other.what and other.do == ""


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    assert refusal(tmp_path).problems[0].what == f"no recipe file {tmp_path}"


def test_a_syntax_error_is_told_with_its_line(write: Callable[..., Path], source: str) -> None:
    path = write(source.replace("rank=4,", "rank=,"))
    (problem,) = refusal(path).problems
    assert problem.what.startswith("the recipe is not valid Python: ")
    assert problem.where == f"{path}:10"


def test_a_failing_import_is_told_with_its_line(write: Callable[..., Path]) -> None:
    path = write("import os\n\nimport no_such_module_of_ours\n")
    (problem,) = refusal(path).problems
    assert "ModuleNotFoundError: No module named 'no_such_module_of_ours'" in problem.what
    assert problem.where == f"{path}:3"


def test_an_error_inside_a_module_beside_the_recipe_points_into_the_recipe(write: Callable[..., Path]) -> None:
    write("def broken():\n    raise KeyError('x')\n", "beside_the_recipe.py")
    path = write("import beside_the_recipe\n\nbeside_the_recipe.broken()\n")
    (problem,) = refusal(path).problems
    sys.modules.pop("beside_the_recipe")
    assert problem == type(problem)("the recipe broke while it was imported: KeyError: 'x'", f"{path}:3")


def test_wrong_values_are_told_with_the_line_of_the_noun(write: Callable[..., Path], source: str) -> None:
    path = write(source.replace("epochs=2", "epochs=-1, sed=1"))
    problems = refusal(path).problems
    assert [problem.where for problem in problems] == [f"{path}:12"] * 2
    assert problems[1].do == "did you mean 'seed'?"


def test_a_module_without_recipe_or_with_another_thing_is_refused(write: Callable[..., Path]) -> None:
    (problem,) = refusal(write("x = 1\n")).problems
    assert problem.what == "the module has no value `recipe`"
    assert problem.do.startswith("write `recipe = Recipe(")
    (problem,) = refusal(write("recipe = {'task': 1}\n", "other.py")).problems
    assert problem.what == "`recipe` is not a Recipe"


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gbk.py"
    path.write_bytes("# 中文\n".encode("gbk"))
    (problem,) = refusal(path).problems
    assert problem == type(problem)("the recipe is not UTF-8 text", f"{path}:1", "save it as UTF-8")


def test_a_byte_order_mark_is_allowed(tmp_path: Path, source: str) -> None:
    path = tmp_path / "marked.py"
    path.write_bytes(b"\xef\xbb\xbf" + source.encode())
    assert load(path).where("peft.rank") == f"{path}:10"


def test_another_ending_is_refused(write: Callable[..., Path]) -> None:
    (problem,) = refusal(write(name="mine.txt")).problems
    assert problem.what == "a recipe is a Python module" and problem.do == "give a file that ends in .py"


def test_what_was_edited_a_moment_ago_counts(write: Callable[..., Path], source: str, monkeypatch) -> None:
    """A cached .pyc would not notice a change of equal size within one second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write()
    stamp = path.stat().st_mtime_ns
    assert load(path).recipe.peft.rank == 4
    write(source.replace("rank=4", "rank=7"))
    os.utime(path, ns=(stamp, stamp))
    assert load(path).recipe.peft.rank == 7
    assert not (path.parent / "__pycache__").exists()


def test_a_recipe_may_define_dataclasses_of_its_own(write: Callable[..., Path], source: str) -> None:
    own = (
        "from __future__ import annotations\nimport dataclasses\n\n\n@dataclasses.dataclass\nclass Mine:\n    x: int\n"
    )
    assert load(write(own + source)).recipe.peft.rank == 4


def test_loading_leaves_no_trace_in_the_module_path(loaded: LoadedRecipe) -> None:
    assert str(loaded.path.parent) not in sys.path


LINES = {
    "task": 6,
    "data.train": 7,
    "data.label": 7,
    "peft": 9,
    "peft.rank": 10,
    "peft.alpha": 9,
    "training.batch_size": 12,
    "training.seed": 12,
}


@pytest.mark.parametrize("dotted", LINES)
def test_a_value_is_found_on_its_line_or_on_its_nouns(loaded: LoadedRecipe, dotted: str) -> None:
    assert loaded.where(dotted) == f"{loaded.path}:{LINES[dotted]}"


def test_a_value_that_was_overridden_stands_on_the_command_line(write: Callable[..., Path]) -> None:
    loaded = load(write(), {"training.seed": "3"})
    assert loaded.where("training.seed") == "--set training.seed=3"


@pytest.mark.parametrize("by_hand", [True, False], ids=["a noun of the file", "an error of its own"])
def test_a_wrong_recipe_that_is_run_by_hand_shows_no_traceback(
    by_hand: bool, write: Callable[..., Path], source: str
) -> None:
    """`python recipe.py`; what the launcher has no words for keeps Python's."""
    raised = (
        source.replace("rank=4", "rnak=4") if by_hand else "from launcher import RecipeError\nraise RecipeError([])"
    )
    path = write(raised)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert ("Traceback" in done.stderr) is not by_hand
    if by_hand:
        line = source.splitlines().index("    peft=LoRA(") + 1
        assert done.stderr.splitlines()[:2] == [
            "launcher: LoRA.rnak: there is no such field",
            f"  where: {path}:{line}",
        ]


def test_a_run_that_waited_goes_on_with_the_recipe_it_was_planned_from(
    write: Callable[..., Path], source: str, tmp_path: Path
) -> None:
    """Edited, broken or gone since: the copy in the run's folder is what was promised. Other overrides are not."""
    path = write()
    loaded = load(path)
    run = RunFolder(tmp_path / "runs" / "a")
    run.path.mkdir(parents=True)
    run.source.write_text(loaded.source, encoding="utf-8")
    plan: Any = SimpleNamespace(recipe=str(path), overrides={}, digest=digest(loaded.recipe))
    assert run_request.planned_recipe(run, plan).path == path
    for edited in (source.replace("rank=4", "rank=8"), source.replace("rank=4,", "rank=,"), None):
        path.write_text(edited, encoding="utf-8") if edited else path.unlink()
        again = run_request.planned_recipe(run, plan)
        assert (again.path, again.recipe) == (run.source, loaded.recipe)
    write(source.replace("rank=4", "rank=8"))
    plan.overrides = {"peft.rank": "16"}
    with pytest.raises(RecipeError, match="the recipe has changed since the run was planned"):
        run_request.planned_recipe(run, plan)
    plan.overrides = {}
    run.source.write_text("import a_module_beside_the_recipe\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="the recipe has changed since the run was planned"):
        run_request.planned_recipe(run, plan)
