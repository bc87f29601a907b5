"""What lies in the working folder, or prints before us, is nothing to our child processes; a lone rank ends well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scene import Scene

NAMES = ("launcher", "torch", "numpy", "json", "random", "transformers", "tensorboard", "string", "socket")
"""What our processes import; each is a file of the user's in the working folder."""
LAUNCHER = str(Path(sys.executable).parent / "launcher")
TRAP = "import sys\nsys.stderr.write('carried out: ' + __name__ + chr(10))\nraise SystemExit(9)\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A tiny recipe in a folder of its own, above it a working folder full of traps."""
    above = tmp_path_factory.mktemp("traps")
    (above / "inner").mkdir()
    scene = Scene(above, tmp_path_factory.mktemp("cache"))
    for name in NAMES:
        (above / f"{name}.py").write_text(TRAP)
    (above / "peft").mkdir()
    (above / "peft" / "__init__.py").write_text(TRAP)
    noisy = above / "noisy"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text('import os\nos.write(1, b\'{"error": "noise"}\')\n')
    scene.environment |= {"PYTHONPATH": str(noisy), "PYTHONSAFEPATH": ""}
    return scene


def test_a_run_and_its_questions_import_nothing_from_the_working_folder(scene: Scene) -> None:
    done = scene.carry_out(LAUNCHER, "run", "tiny.py", "--name", "a", "--processes", "2")
    assert "carried out" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    told = scene.carry_out(LAUNCHER, "predict", "a", "a kind room", "--json")
    assert told.returncode == 0, told.stderr
    noise, _, answer = told.stdout.partition("}")
    assert noise.startswith('{"error"')  # this process's own start-up, which comes before us
    assert [row["label"] for row in json.loads(answer)] in (["good"], ["bad"])
    for verb in (["data", "tiny.py"], ["plan", "tiny.py"], ["evaluate", "a"]):
        told = scene.carry_out(LAUNCHER, *verb)
        assert (told.returncode, "carried out" in told.stderr) == (0, False), (verb, told.stderr)


AUTO = """
import sys
{imports}
from transformers import AutoModelForSequenceClassification, AutoTokenizer, AutoConfig
folder = sys.argv[1]
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = ["the room was kind and clean", "rude"]
told = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits.softmax(-1)[:, 1].tolist()
ours = [row["probabilities"]["good"] for row in launcher.predict(folder, texts)]
print(AutoConfig.from_pretrained(folder).model_type, max(abs(a - b) for a, b in zip(told, ours)) < 1e-6)
"""


@pytest.mark.parametrize("imports", ["import launcher, transformers", "import transformers.models.auto, launcher"])
def test_a_model_of_static_vectors_loads_in_transformers(scene: Scene, tmp_path: Path, imports: str) -> None:
    """After `import launcher`, in either order; the folder is a copy, as a colleague would get it."""
    if not (scene.runs / "a" / "model").exists():
        assert scene.carry_out(LAUNCHER, "run", "tiny.py", "--name", "a").returncode == 0
    copy = tmp_path / "elsewhere"
    shutil.copytree(scene.runs / "a" / "model", copy)
    program = tmp_path / "auto.py"
    program.write_text(AUTO.format(imports=imports))
    done = scene.carry_out(sys.executable, program, copy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("static_vectors True")


def test_the_recipe_still_imports_what_lies_beside_it(scene: Scene) -> None:
    folder = scene.folder / "inner"
    (folder / "beside.py").write_text("STEPS = 3\n")
    text = scene.recipe.read_text().replace("epochs=1", "max_steps=beside.STEPS")
    (folder / "inside.py").write_text("import beside\n" + text)
    for name in ("good.txt", "bad.txt"):
        (folder / name).write_bytes((scene.folder / name).read_bytes())
    done = scene.carry_out(LAUNCHER, "run", "inner/inside.py", "--name", "b")
    assert done.returncode == 0, done.stderr
    assert scene.outcome("b")["steps"] == 3


@pytest.mark.parametrize("strategy", [(), ("--strategy", "ddp")])
def test_a_rank_that_is_alone_in_its_world_ends_well(strategy: tuple[str, ...], tmp_path: Path) -> None:
    scene = Scene(tmp_path, tmp_path / "cache")
    rank = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    words = ["tiny.py", "--name", "x", "--set", "training.max_steps=4", *strategy]
    done = scene.carry_out(sys.executable, *words, environment=rank)
    assert done.returncode == 0, done.stderr
    assert "4 steps" in done.stdout and f"model: {os.path.realpath(tmp_path)}" in done.stdout


NOBODY = ["env", "-u", "HOME", "unshare", "-U", "--map-user=12345", "--map-group=12345"]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*NOBODY, "true"], capture_output=True).returncode != 0,
    reason="a user whom the system does not know cannot be made here",
)
def test_without_a_home_one_line_names_what_to_set(scene: Scene) -> None:
    nowhere = {"RECIPE_LAUNCHER_CACHE": "", "PYTHONPATH": "", "USER": "", "LOGNAME": ""}
    done = scene.carry_out(*NOBODY, LAUNCHER, "data", "tiny.py", environment=nowhere)
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "launcher: this user has no home directory, so there is no folder for prepared data",
        "  do:    set RECIPE_LAUNCHER_CACHE to a folder that can be written",
    ]
