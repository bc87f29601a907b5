"""`launcher help`: the fields of a noun, for those who do not want to open Python."""

from __future__ import annotations

from typing import Annotated

import typer

from launcher.cli.options import examples


def add_to(app: typer.Typer) -> None:
    """Give the command this verb."""
    app.command("help", epilog=examples("launcher help", "launcher help Table", "launcher help Training"))(show)


def show(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A noun, as Table; default a list of all.")] = None,
) -> None:
    """Say what a part of a recipe is and which fields it has."""
    from launcher.errors import Problem, RecipeError, did_you_mean
    from launcher.recipe.noun import NOUNS
    from launcher.recipe.recipe import Recipe
    from launcher.recipe.reference import reference, summary

    whole = [Recipe, *(noun for noun in NOUNS if "kind" in noun.__dataclass_fields__)]
    nouns = {noun.__name__: noun for noun in whole}
    if name is None:
        width = max(map(len, nouns))
        for each, noun in nouns.items():
            print(f"{each:<{width}}  {summary(noun).splitlines()[0]}")
        print("\nits fields: launcher help NAME")
        return
    folded = {each.casefold(): noun for each, noun in nouns.items()}
    if name.casefold() not in folded:
        do = did_you_mean(name, nouns)
        raise RecipeError(Problem(f"there is no {name!r} in a recipe", do=f"{do}; of a verb: launcher VERB --help"))
    noun = folded[name.casefold()]
    print(f"{noun.__name__}: {reference(noun)}")
