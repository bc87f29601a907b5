"""What of a recipe's method cannot work with the rest of it, wherever it would run (see `recipe_rules`)."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.method import AdaLoRA, Adapter, FrozenBase, LoRA, NewTokens
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import Pretrained


def _start(loaded: LoadedRecipe) -> Iterator[Problem]:
    method, where = loaded.recipe.peft, loaded.where("peft.start")
    if not isinstance(method, LoRA) or method.start != "pissa":
        return
    if method.dora:
        what = "DoRA measures the rows of a whole weight, of which PiSSA takes the principal components away"
        yield Problem(what, where, "leave out peft.dora or peft.start")
    if not isinstance(loaded.recipe.embedding, Pretrained):
        what = "PiSSA starts from the components of a pretrained model's weights; static vectors have none"
        yield Problem(what, where, "leave out peft.start")


def _beside(loaded: LoadedRecipe) -> Iterator[Problem]:
    method = loaded.recipe.peft
    parallel = isinstance(method, Adapter) and method.placement == "parallel"
    if parallel and not isinstance(loaded.recipe.embedding, Pretrained):
        what = "an adapter beside a table of static vectors has nothing to read"
        yield Problem(what, loaded.where("peft.placement"), 'write placement="pfeiffer"')


def _rank_schedule(loaded: LoadedRecipe) -> Iterator[Problem]:
    method, most = loaded.recipe.peft, loaded.recipe.training.max_steps
    if isinstance(method, AdaLoRA) and method.start_rank <= method.rank:
        what = f"AdaLoRA begins at rank {method.start_rank} and cannot fall to {method.rank}"
        yield Problem(what, loaded.where("peft.start_rank"), f"make it more than {method.rank}, or rank smaller")
    if most is not None:
        yield from schedule_too_long(loaded, most)


def schedule_too_long(loaded: LoadedRecipe, steps: int) -> list[Problem]:
    """What is wrong where the method's own schedule does not fit into a run of so many steps."""
    method = loaded.recipe.peft
    if not isinstance(method, AdaLoRA) or not steps:
        return []
    begin, end = method.falling(steps)
    if begin < end:
        return []
    given = [name for name in ("warmup_steps", "final_steps") if getattr(method, name) is not None]
    what = f"AdaLoRA's {begin} steps of warm-up and {steps - end} at the end leave none of the run's {steps} steps "
    what += "for the ranks to fall"
    do = f"give fewer {' or '.join(given)}, or train longer"
    return [Problem(what, loaded.where(f"peft.{given[0]}"), do)]


def _new_tokens(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding, method = loaded.recipe.embedding, loaded.recipe.peft
    if isinstance(embedding, Pretrained) and embedding.new_tokens and not isinstance(method, FrozenBase):
        what = f"the rows of new tokens train beside a model that stays as it was, and {method.kind} saves a whole one"
        do = "use NewTokens, LoRA or another method beside a frozen model"
        yield Problem(what, loaded.where("embedding.new_tokens"), do)
    if isinstance(embedding, Pretrained) and embedding.new_tokens and embedding.decoder is not None:
        what = "two encoders that become one model have two tables of tokens, and new ones would be rows of the first"
        yield Problem(what, loaded.where("embedding.new_tokens"), "leave out embedding.new_tokens or embedding.decoder")
    if isinstance(method, NewTokens) and isinstance(embedding, Pretrained) and not embedding.new_tokens:
        what = "NewTokens trains the rows of tokens that are added to a model, and none are"
        do = 'name them: Pretrained(new_tokens=("[E1]", …)); or use HeadOnly'
        yield Problem(what, loaded.where("embedding.new_tokens"), do)


RULES = (_rank_schedule, _start, _beside, _new_tokens)
