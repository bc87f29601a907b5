"""`launcher embeddings`: word vectors out of a model, a run or a file: written, compared, told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launcher.cli.options import Json, Runs, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDINGS = (".safetensors", ".vec")


class From(StrEnum):
    """Where a model's vectors are taken."""

    outputs = "outputs"
    inputs = "inputs"


class Compose(StrEnum):
    """What becomes of a word of several pieces."""

    mean = "mean"
    first = "first"


class Weighting(StrEnum):
    """How rare words weigh more; the frequencies are the recipe's."""

    none = "none"
    zipf = "zipf"
    sif = "sif"


def embeddings(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A model (folder, hub name, package:…), a run, or a file: .bin .ftz .vec."
        ),
    ],
    words: Annotated[Path | None, typer.Option(metavar="FILE", help="The words, one a line.")] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="R", help="The words of a recipe's training split.")] = None,
    from_: Annotated[From, typer.Option("--from", help="A model's last states, or rows of its token table.")] = (
        From.outputs
    ),
    compose: Annotated[Compose, typer.Option(help="What a word of several pieces gets of them.")] = Compose.mean,
    reduce: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Principal components that are kept; default 256 at most.")
    ] = None,
    weighting: Annotated[Weighting, typer.Option(help="Rare words weigh more.")] = Weighting.none,
    neighbours: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="The words nearest to this one. Repeatable.")
    ] = None,
    analogy: Annotated[
        tuple[str, str, str] | None, typer.Option(metavar="A B C", help="The words that are to C what B is to A.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many of them.")] = 10,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="A .safetensors or a .vec to write.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Take word vectors out of a model, look at them, write them.

    Without --words and --recipe the words are the source's own.
    """
    _refuse_contradictions(words, recipe, output)
    request = {
        "source": _resolved(source, runs),
        "words": None if words is None else str(words.resolve()),
        "recipe": None if recipe is None else _document(recipe),
        "settings": {"read_from": str(from_), "compose": str(compose), "dimension": reduce}
        | {"weighting": None if weighting == Weighting.none else str(weighting)},
        "neighbours": neighbours or [],
        "analogy": list(analogy or ()),
        "top": top,
        "output": None if output is None else str(output.resolve()),
    }
    _show(request, as_json)


def _refuse_contradictions(words: Path | None, recipe: Path | None, output: Path | None) -> None:
    from launcher.errors import LauncherError, Problem

    if output is not None and output.suffix not in ENDINGS:
        what = f"{output} ends neither in .safetensors nor in .vec"
        raise LauncherError(Problem(what, "--output", "give the file one of these endings"))
    if words is not None and recipe is not None:
        raise LauncherError(Problem("--words and --recipe both say which words", do="give one of them"))


def _show(request: dict[str, Any], as_json: bool) -> None:
    from launcher.child import heavy
    from launcher.cli.display import print_json
    from launcher.printing import one_line

    told = heavy("embeddings", request)
    if as_json:
        print_json(told)
        return
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in told["counts"].items() if count)
    print(one_line(f"{told['words']:,} vectors of {told['dimension']:,} numbers ({counts})"))
    for line in told["lines"]:
        print(one_line(line))
    for word, near in told["neighbours"].items():
        print(one_line(f"near {word}: {_listed(near)}"))
    if told["analogy"]:
        first, second, third = request["analogy"]
        print(one_line(f"{first} is to {second} as {third} is to: {_listed(told['analogy'])}"))
    if told["output"]:
        print(one_line(f"written: {told['output']}"))


def _listed(near: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{each['word']} {each['cosine']:.3f}" for each in near)


def _resolved(source: str, runs: Path) -> str:
    """A run's name or path as `run:…`; else what it is, files and folders with their whole path."""
    from launcher.host import this_user
    from launcher.model import ABOUT

    for folder in (runs / source, Path(source)):
        if (folder / "plan.json").is_file() or (folder / ABOUT).is_file():
            return f"run:{folder.resolve()}"
    if source.startswith("run:") and (runs / source.removeprefix("run:")).is_dir():
        return f"run:{(runs / source.removeprefix('run:')).resolve()}"
    path = this_user.expanded(source)
    return str(path.resolve()) if path.exists() else source


def _document(recipe: Path) -> dict[str, Any]:
    from launcher.recipe.recipe import document, load

    return document(load(recipe, {}).recipe)


def add_to(app: typer.Typer) -> None:
    """Make it a verb of the command."""
    app.command(
        epilog=examples(
            "launcher embeddings bert-base-chinese --neighbours 酒店 --words words.txt",
            "launcher embeddings bert-base-chinese --recipe reviews_zh.py --reduce 128 --output matrix.vec",
            "launcher embeddings cc.zh.300.bin --words words.txt --analogy 男人 国王 女人",
            "launcher embeddings my-run --from inputs --output table.safetensors --json",
        )
    )(embeddings)
