"""What the name of a model means: an installed package's folder, a local path, or a name on the hub."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from pathlib import Path

from launcher.errors import Problem, RecipeError, did_you_mean
from launcher.host import this_user
from launcher.model import model_folder

OF_RUN = "run:"
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def source_folder(model: str) -> str:
    """`package:NAME/FOLDER`, `run:NAME` and local paths as an absolute path; anything else unchanged (a hub name).

    The package is located without importing it, and the path stays inside it; the model of a run is looked for below
    `runs/`, or at that path. Raises RecipeError where the package or the path does not exist, BackendError for a run.
    """
    if model.startswith(OF_RUN):
        return str(model_folder(model.removeprefix(OF_RUN)))
    if model.startswith("package:"):
        return str(_inside_package(model))
    if ADDRESS.match(model) or model.startswith("hub:"):
        _refuse_address(model)
    path = this_user.expanded(model)
    if path.exists():
        return str(path.resolve())
    if _looks_local(model):
        raise RecipeError(Problem(f"there is no {model}", do=_near(path)))
    return model


def _refuse_address(model: str) -> None:
    """Raise RecipeError for what is read by a browser, or written as a data set of the hub is."""
    on_the_hub = re.search(r"(?:^hub:|huggingface\.co/|hf-mirror\.com/)([\w.-]+/[\w.-]+)", model)
    do = "download it, and name the file or folder"
    if on_the_hub and on_the_hub[1].partition("/")[0] != "datasets":
        do = f"a model of the hub is written {on_the_hub[1]!r}; for one file of it, download it and name that"
    raise RecipeError(Problem(f"{model} is an address, and only files, folders and names of the hub are read", do=do))


def source_file(model: str) -> Path:
    """Like `source_folder`, for a source that has to be a file. Raises RecipeError where it is none."""
    path = Path(source_folder(model))
    if not path.is_file():
        near = _near(path) if not path.exists() else "give the path of a file, not of a folder"
        raise RecipeError(Problem(f"there is no file {model}", do=near))
    return path


def _inside_package(model: str) -> Path:
    name, _, below = model.removeprefix("package:").partition("/")
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        near = did_you_mean(name, importlib.metadata.packages_distributions())
        do = near if near.startswith("did you mean") else "install it with pip, or correct its import name"
        raise RecipeError(Problem(f"{model}: no package {name!r} is installed", do=do))
    root = Path(next(iter(spec.submodule_search_locations))).absolute()
    # Judged by the path as written: an installer may link a package's files to its own store.
    path = Path(os.path.normpath(root / below))
    if not path.is_relative_to(root):
        raise RecipeError(Problem(f"{model}: the path leaves the package", do="write a path below the package"))
    if not path.exists():
        raise RecipeError(Problem(f"{model}: the package {name!r} has no {below}", do=_near(path)))
    return path


def _looks_local(model: str) -> bool:
    """Hub names are `name` or `owner/name`; a path is recognised by its start, its depth or its ending."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith((".bin", ".ftz", ".vec", "/"))


def _near(path: Path) -> str:
    """The nearest name in the deepest folder of `path` that exists."""
    missing, folder = path.name, path.parent
    while not folder.is_dir() and folder != folder.parent:
        missing, folder = folder.name, folder.parent
    near = did_you_mean(missing, [p.name for p in folder.iterdir() if not p.name.startswith("__")])
    return near if near.startswith("did you mean") else f"look into {folder}"
