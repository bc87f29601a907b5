"""A recipe's file: reading and importing it, and the line on which one of its values stands."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from launcher.errors import Problem, RecipeError, did_you_mean
from launcher.recipe.noun import collecting
from launcher.shipped_files import shipped

_importing: list[Path] = []
"""The files that are being imported; one imports another one where a recipe loads a recipe."""


def at_work() -> bool:
    """Whether a recipe's file is being imported right now, by this module."""
    return bool(_importing)


def imported(path: Path) -> tuple[str, ModuleType]:
    """The file's text and the module that it makes. Raises RecipeError where it cannot be read, or breaks."""
    source = _read(path)
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(Problem("a recipe is a Python module", str(path), "give a file that ends in .py"))
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[spec.name] = module  # dataclasses of the recipe's own look their module up
    _importing.append(path)
    try:
        with collecting() as problems:
            _carry_out(source, path, module)
    except RecipeError as error:
        if problems and error.__cause__ is not None:  # a placeholder has broken what came after it
            raise RecipeError(dict.fromkeys(problems)) from None
        raise RecipeError(dict.fromkeys([*problems, *error.problems])) from error.__cause__
    finally:
        _importing.pop()
        sys.path.remove(str(path.parent.resolve()))
    if problems:
        raise RecipeError(dict.fromkeys(problems))
    return source, module


def _carry_out(source: str, path: Path, module: ModuleType) -> None:
    """Raises RecipeError with the line where the text breaks."""
    try:
        # The text that was read, never a cached .pyc: those notice no change of equal size within a second.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except RecipeError as error:
        raise located(path, error) from None
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise RecipeError(Problem(f"the recipe is not valid Python: {error.msg}", where)) from None
    except SystemExit as error:
        what = "the recipe ended the process while it was imported"
        raise RecipeError(Problem(what, _line_in(path, error), "take sys.exit() out of the module")) from None
    except Exception as error:
        what = f"the recipe broke while it was imported: {type(error).__name__}: {error}"
        raise RecipeError(Problem(what, _line_in(path, error), _cure(error))) from error


def located(path: Path, error: RecipeError) -> RecipeError:
    """The same problems, each with the line of this file at which it arose."""
    line = _line_in(path, error)
    return RecipeError([Problem(p.what, p.where or line, p.do) for p in error.problems])


def line_of(source: str, path: list[str]) -> int:
    """The line of `Recipe(… peft=LoRA(… rank=…))` that holds the last name of `path` that is written."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return 1
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    call = next((c for c in calls if ast.unparse(c.func).split(".")[-1] == "Recipe"), None)
    line = call.lineno if call else 1
    for name in path:
        keyword = next((k for k in call.keywords if k.arg == name), None) if call else None
        if keyword is None:
            break
        line = keyword.value.lineno
        call = keyword.value if isinstance(keyword.value, ast.Call) else None
    return line


def _read(path: Path) -> str:
    if not path.is_file():
        raise RecipeError(Problem(f"no recipe file {path}", do=_instead_of(path)))
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(Problem(f"the recipe cannot be read: {error.strerror}", str(path))) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RecipeError(Problem("the recipe is not UTF-8 text", f"{path}:{line}", "save it as UTF-8")) from None


def _instead_of(path: Path) -> str:
    if path.stem in {recipe.stem for recipe in shipped("recipes").glob("*.py")}:
        return f"copy the one that is shipped: launcher recipes copy {path.stem}"
    folder = path.parent if path.parent.is_dir() else Path()
    return did_you_mean(path.name, [p.name for p in folder.glob("*.py")]) or "give the path of a recipe module"


def _cure(error: Exception) -> str:
    """For a misspelt name of launcher's own the one that was meant."""
    missing = re.match(r"cannot import name '(\w+)' from 'launcher'", str(error))
    return did_you_mean(missing[1], sys.modules["launcher"].__all__) if missing else ""


def _line_in(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f"{path}:{lines[-1]}" if lines else str(path)
