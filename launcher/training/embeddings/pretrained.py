"""Pretrained transformers: hub, local folder or installed package. Safetensors only, no foreign code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from launcher.errors import DataError, Problem
from launcher.spec.embedding import Pretrained
from launcher.spec.task import MultiLabelClassification, PlainTask, TextClassification, TokenClassification
from launcher.training import hub
from launcher.training.embeddings.dropout import configure_dropout, set_dropout
from launcher.training.embeddings.safe_folder import refuse_names_that_lead_away
from launcher.training.embeddings.source import source_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

USUAL_LENGTH = 512
# Their position ids begin after the padding's id, which costs pad_token_id + 1 positions.
_OFFSET_POSITIONS = frozenset(
    ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "xmod", "data2vec-text")
)
# Model type and tokenizer class for which AutoTokenizer ends in that very class: no need to import torch.
_PLAIN_TOKENIZERS = {
    "bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
}


def build_tokenizer(embedding: Pretrained, task: PlainTask, folder: Path) -> int:
    """Save the model's own tokenizer, padding on the right; return the longest input in subword tokens.

    That is the least of what tokenizer and position table can hold and `max_length` (None: 512).
    """
    source = source_folder(embedding.model)
    with at_the_border(embedding.model):
        refuse_names_that_lead_away(source, embedding.model)
        tokenizer = _tokenizer(source, {})
        if isinstance(task, TokenClassification) and getattr(tokenizer, "add_prefix_space", None) is False:
            tokenizer = _tokenizer(source, {"add_prefix_space": True})  # byte-level ones cut words only so
    if not tokenizer.is_fast:
        what = f"{embedding.model} has no fast tokenizer, which alone can say where a token stands in its text"
        raise DataError(Problem(what, do="take a model with a tokenizer.json"))
    if tokenizer.pad_token is None:
        what = f"{embedding.model} has no padding token"
        raise DataError(Problem(what, do="take an encoder such as BERT or RoBERTa"))
    tokenizer.padding_side = "right"
    tokenizer.save_pretrained(folder / "tokenizer")
    limits = [embedding.max_length or USUAL_LENGTH, tokenizer.model_max_length]
    return min([*limits, *_positions(_config_values(source))])


def build_model(
    embedding: Pretrained, task: PlainTask, labels: Sequence[str], dropout: float | None
) -> PreTrainedModel:
    """The pretrained body in float32 with a head for `labels`; what is new comes from torch's generator."""
    source = source_folder(embedding.model)
    _refuse_unsafe(source, embedding.model)
    config = configured(embedding, task, labels, dropout)
    with at_the_border(embedding.model):
        refuse_names_that_lead_away(source, embedding.model)
        model = _load(source, task, config)
    if dropout is not None:
        set_dropout(model, dropout)
    return model


def configured(
    embedding: Pretrained, task: PlainTask, labels: Sequence[str], dropout: float | None
) -> PretrainedConfig:
    """The model's own configuration with a head for `labels`; no weights are needed."""
    from transformers import AutoConfig

    with at_the_border(embedding.model):
        config: PretrainedConfig = AutoConfig.from_pretrained(source_folder(embedding.model), trust_remote_code=False)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    if isinstance(task, TextClassification):
        config.problem_type = "single_label_classification"
    if isinstance(task, MultiLabelClassification):
        config.problem_type = "multi_label_classification"
    if dropout is not None:
        configure_dropout(config, dropout)
    return config


def load_model(folder: Path, task: PlainTask) -> PreTrainedModel:
    """A whole saved model in float32, static or pretrained. Raises DataError where there is none."""
    if not (folder / "config.json").is_file():
        raise DataError(Problem(f"there is no saved model in {folder}", do="give a folder with a config.json"))
    _refuse_unsafe(str(folder), str(folder))
    with at_the_border(str(folder)):
        refuse_names_that_lead_away(str(folder), str(folder))
        return _load(str(folder), task, None)


def new_modules(model: PreTrainedModel) -> list[str]:
    """The head's modules, then those inside the body that the pretrained file lacked (a pooler)."""
    body = model.base_model_prefix + "."
    head = [name.split(".")[0] for name, _ in model.named_parameters() if not name.startswith(body)]
    lacked = getattr(model, "_new_modules", ())
    return list(dict.fromkeys([*head, *(name for name in lacked if name.startswith(body))]))


def auto_class(task: PlainTask) -> Any:
    """What transformers builds a model with this task's head by."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    match task:
        case TextClassification() | MultiLabelClassification():
            return AutoModelForSequenceClassification
        case TokenClassification():
            return AutoModelForTokenClassification
        case _:
            assert_never(task)


def _load(source: str, task: PlainTask, config: PretrainedConfig | None) -> PreTrainedModel:
    import torch

    given = {} if config is None else {"config": config, "ignore_mismatched_sizes": True}
    model: PreTrainedModel
    with _quiet():
        model, info = auto_class(task).from_pretrained(
            source,
            **given,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    mismatched = [key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]]
    fresh = sorted({*info["missing_keys"], *mismatched})
    body = model.base_model_prefix + "." if model.base_model_prefix else ""
    lacking = [key for key in fresh if config is None or (key.startswith(body) and "pooler" not in key)]
    if lacking:
        what = f"{source}: the weights do not fit the model's config.json; {len(lacking)} tensors are missing"
        raise DataError(Problem(f"{what} or have another shape, the first {lacking[0]}", do="take a whole model"))
    model._new_modules = list(dict.fromkeys(key.rpartition(".")[0] for key in fresh))  # type: ignore[assignment]
    return model


def _refuse_unsafe(source: str, model: str) -> None:
    """A local folder has to hold safetensors: the older format is a pickle, which runs code when loaded."""
    folder = Path(source)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        what = f"{model} holds its weights as a pickle only, and loading a pickle runs whatever code is in it"
        do = (
            "if you trust it, convert it once: AutoModel.from_pretrained(folder, use_safetensors=False)"
            ".save_pretrained(folder) writes model.safetensors"
        )
    else:
        what, do = f"{model} holds no weights", "give a folder with config.json and model.safetensors"
    raise DataError(Problem(what, str(folder), do))


def _tokenizer(source: str, options: dict[str, Any]) -> PreTrainedTokenizerFast:
    import transformers

    plain = _plain_tokenizer(Path(source))
    found = getattr(transformers, plain or "AutoTokenizer")
    safe = {} if plain else {"trust_remote_code": False}
    return found.from_pretrained(source, **safe, **options)  # type: ignore[no-any-return]


def _plain_tokenizer(folder: Path) -> str | None:
    """The class that AutoTokenizer would take for this folder, where that is beyond doubt."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError):
        return None
    plain = _PLAIN_TOKENIZERS.get(kind)
    written = str(settings.get("tokenizer_class")).removesuffix("Fast")
    return plain if plain == written and "auto_map" not in settings else None


def _config_values(source: str) -> dict[str, Any]:
    from transformers.utils import cached_file

    path = cached_file(source, "config.json", _raise_exceptions_for_missing_entries=False)
    values = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return values if isinstance(values, dict) else {}


def _positions(config: dict[str, Any]) -> Iterator[int]:
    """What the table of positions can hold, where the model has one."""
    rows = config.get("max_position_embeddings", config.get("n_positions"))
    if isinstance(rows, int) and rows > 0:
        offset = config.get("pad_token_id", 1) + 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
        yield rows - offset


@contextmanager
def at_the_border(model: str) -> Iterator[None]:
    """Say in our words what the hub or transformers complain of."""
    from safetensors import SafetensorError

    local = Path(model).exists() or model.startswith("package:")
    if not local:
        hub.unreachable()  # asked first: the libraries would try for a minute
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        if not local:
            what = f"the model {model} was not found"
            raise DataError(hub.not_here(what, "", "--set embedding.model=FOLDER", reason)) from error
        do = "it must be a folder that save_pretrained wrote, of a model transformers knows without extra code"
        if isinstance(error, SafetensorError):
            do = "its weights are damaged or were not fetched; in a clone of a repository: git lfs pull"
        raise DataError(Problem(f"the model {model} cannot be loaded: {reason}", do=do)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report on new heads and its progress bar: both are expected here."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
