"""`recipe_rules` about images, what a task can be put on, and models that are drawn from a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem
from launcher.recipe.about_images import reads_images, trains_batch_norm
from launcher.recipe.method import CustomMethod, Freeze, Full, NewTokens, PrefixTuning, PromptTuning
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import FromConfig, Static
from launcher.recipe.task import plain, template_of


def _bodies(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding, where = plain(loaded.recipe.task), loaded.recipe.embedding, loaded.where("embedding")
    if isinstance(embedding, Static) and "static" not in task.bodies and template_of(task) is None:
        yield Problem(f"{task.kind} cannot be put on static vectors", where, "use Pretrained(…)")
    if isinstance(embedding, FromConfig) and not reads_images(task) and embedding.tokenizer is None:
        what = "FromConfig makes a model without a tokenizer, and this task reads texts"
        do = "write FromConfig(…, tokenizer=TrainedTokenizer()), or use Pretrained(…)"
        yield Problem(what, loaded.where("embedding.tokenizer"), do)
    if isinstance(embedding, FromConfig) and reads_images(task) and embedding.tokenizer is not None:
        yield Problem("images have no tokens", loaded.where("embedding.tokenizer"), "leave it out")


def _from_config(loaded: LoadedRecipe) -> Iterator[Problem]:
    method = loaded.recipe.peft
    if isinstance(loaded.recipe.embedding, FromConfig) and not isinstance(method, Full | Freeze | CustomMethod):
        what = f"{method.kind} keeps weights as they are, and those of FromConfig are drawn at random"
        yield Problem(what, loaded.where("peft"), "use Full()")


def _no_tokens(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, method = plain(loaded.recipe.task), loaded.recipe.peft
    if isinstance(method, PromptTuning | PrefixTuning) and reads_images(task):
        what = f"{method.kind} puts tokens before a text, and the rows of {task.kind} are images"
        yield Problem(what, loaded.where("peft"), "use LoRA(…)")
    if isinstance(method, NewTokens) and reads_images(task):
        what = f"NewTokens trains rows of tokens, and the rows of {task.kind} are images"
        yield Problem(what, loaded.where("peft"), "use HeadOnly()")


def _batch_norm(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, where = loaded.recipe.task, loaded.where("task.batch_norm")
    if not trains_batch_norm(task):
        return
    if not isinstance(loaded.recipe.peft, Full):
        what = f"{loaded.recipe.peft.kind} keeps the model as it is, and batch_norm='trained' moves its statistics"
        yield Problem(what, where, "leave task.batch_norm out, or use Full()")
    if loaded.recipe.training.micro_batch_size is not None:
        what = "batch_norm='trained' takes the statistics of the whole batch, which micro-batches would part"
        yield Problem(what, where, "leave training.micro_batch_size out, or task.batch_norm")
    if loaded.recipe.training.recompute:
        what = "batch_norm='trained' stores the statistics of each forward pass, and recomputing makes two of them"
        yield Problem(what, where, "leave training.recompute out, or task.batch_norm")
