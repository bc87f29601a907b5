"""A pretrained model as something that words are looked up in: its tokenizer, its table of tokens, its last states.

The model is a folder of transformers', a name on the hub, or the model of a run; of a run that trained beside a frozen
base, base and addition together. Static vectors have no states of their own: they are a table of whole words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from launcher.errors import DataError, Problem
from launcher.json_files import read_json
from launcher.model import ABOUT
from launcher.recipe.recipe import from_document
from launcher.recipe.source import Pretrained, Static
from launcher.training.sealed_model import checked, is_sealed
from launcher.training.sources.border import at_the_border, quiet
from launcher.training.sources.limits import refuse_foreign
from launcher.training.sources.reference import source_folder
from launcher.training.sources.safe_folder import refuse_names_that_lead_away

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class WordModel:
    """`table` gives rows for ids; `body` gives states, and is None for static vectors."""

    name: str
    tokenizer: PreTrainedTokenizerFast
    table: nn.Module
    body: PreTrainedModel | None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    """The tokens that the model expects around a text."""

    @property
    def longest(self) -> int:
        """Tokens that it can take."""
        assert self.body is not None
        config: Any = self.body.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None)
        room = positions - 4 if isinstance(positions, int) and positions > 0 else 512  # some count from 2 or 4
        return max(1, min(512, room))


def open_model(name: str, with_states: bool) -> WordModel:
    """The model of that name. Raises DataError where it has no table of tokens, or no states where these are wanted."""
    from launcher.training.sources import pretrained

    source = source_folder(name)
    about = read_json(Path(source) / ABOUT) if is_sealed(Path(source)) else None
    if about is not None:
        checked(Path(source))
        return _of_run(name, Path(source), about, with_states)
    pretrained.refuse_unsafe(source, name)
    with at_the_border(name):
        refuse_names_that_lead_away(source, name)
        refuse_foreign(source, name)
        body = _body(source)
        table = _table(body, name)
        tokenizer = _tokenizer(source, name)
    return _around(WordModel(name, tokenizer, table, body))


def _of_run(name: str, folder: Path, about: dict[str, Any], with_states: bool) -> WordModel:
    """The model of a run, with what its method has added to it."""
    from launcher.training import sources
    from launcher.training.sources import bases

    recipe, labels = from_document(about["recipe"]), [str(label) for label in about["labels"]]
    is_static, added = isinstance(recipe.embedding, Static), (folder / ADAPTER).is_file()
    if is_static and with_states:
        what = f"{name} has static vectors, whose table is all that it knows of a word by itself"
        raise DataError(Problem(what, do='write read_from="inputs" (on the command line: --from inputs)'))
    if not added and not any(folder.glob("model*.safetensors")):
        what = f"{name} holds what a method of its own added to a base"
        raise DataError(Problem(what, do="take its base, or a run whose method saves whole models or peft's adapters"))
    if not added:
        model: Any = sources.load_model(folder, recipe.task)
    else:
        if is_static:
            base = sources.load_model(folder / "base", recipe.task)
        else:
            source = bases.same_base(cast("Pretrained", recipe.embedding), checked(folder).get("base", {}))
            base = sources.build_model(source, recipe.task, labels, folder, 0.0)
        model = _with_adapter(base, folder, name)
    tokenizer, table = sources.tokenizer_in(folder), _table(model, name)
    if is_static:
        return WordModel(name, tokenizer, table, None)
    return _around(WordModel(name, tokenizer, table, _encoder_of(model.base_model).eval()))


def _with_adapter(base: PreTrainedModel, folder: Path, name: str) -> PreTrainedModel:
    from peft import PeftModel

    try:
        return cast("PreTrainedModel", PeftModel.from_pretrained(base, str(folder)).get_base_model())
    except (KeyError, ValueError) as error:  # of a kind that peft does not know
        reason = str(error).partition("\n")[0]
        what = f"{name} holds what was trained beside a base, in a way that peft cannot put on it: {reason}"
        raise DataError(Problem(what, do="take a run whose method saves whole models, or LoRA's adapters")) from None


def _body(source: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModel

    with quiet():
        model = AutoModel.from_pretrained(source, dtype=torch.float32, trust_remote_code=False, use_safetensors=True)
    encoder: PreTrainedModel = _encoder_of(model).eval()
    return encoder


def _encoder_of(model: Any) -> PreTrainedModel:
    """What reads texts: of an encoder-decoder its first half."""
    return cast("PreTrainedModel", model.get_encoder() if model.config.is_encoder_decoder else model)


def _table(model: PreTrainedModel, name: str) -> nn.Module:
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        table = None
    if table is None or getattr(table, "embedding_dim", None) is None:
        what = f"{name} is of the kind {model.config.model_type!r} and has no table of input tokens"
        raise DataError(Problem(what, do="take a model of texts, such as a BERT"))
    return table


def _tokenizer(source: str, name: str) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if not tokenizer.is_fast:
        what = f"{name} has no fast tokenizer, which alone can say where a token stands in its text"
        raise DataError(Problem(what, do="take a model with a tokenizer.json"))
    return cast("PreTrainedTokenizerFast", tokenizer)


def _around(model: WordModel) -> WordModel:
    """With the tokens that stand before and after a text.

    A model that reads forwards gives the very first token states like no other's: it is never a word.
    """
    from launcher.training.sources.pooling import reads_forwards

    tokenizer, body = model.tokenizer, model.body
    whole, bare = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
    start = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), 0)
    before, after = tuple(whole[:start]), tuple(whole[start + len(bare) :])
    if not before and body is not None and reads_forwards(body.config):
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        before = (first,) if first is not None else ()
    return WordModel(model.name, tokenizer, model.table, body, before, after)
