"""What a pretrained model can take, from its config.json alone: which tokens, how many, and whether of two kinds."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training.model_parts.positions import OFFSET_POSITIONS

PLAIN = {
    "bert": {"vocab_size": 30522, "pad_token_id": 0, "max_position_embeddings": 512, "type_vocab_size": 2},
    "roberta": {"vocab_size": 50265, "pad_token_id": 1, "max_position_embeddings": 512, "type_vocab_size": 2},
}
"""The defaults that their configurations leave out; those of other models come from their own class, with torch."""
PARTS_WITHOUT_TABLE = frozenset(("xlnet",))
"""They distinguish the texts of a pair without a table of token types."""
SUMMARISING = frozenset(("flaubert", "xlm", "xlnet"))
ATTENTION = {None, "eager", "sdpa", "flex_attention"}
"""Ways to compute attention that need nothing besides torch."""


@dataclass(frozen=True)
class Limits:
    """Rows of the token table (None: it has none), the padding's number, positions, and rows for token types."""

    rows: int | None
    padding: int | None
    positions: int | None
    token_types: int
    reads_last_position: bool
    """Whether transformers takes a text's answer from the last position, so that it must be padded on the left."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Limits:
        """From the values of a text model's configuration."""
        kind, padding = values.get("model_type"), values.get("pad_token_id")
        positions = values.get("max_position_embeddings", values.get("n_positions"))
        if isinstance(positions, int) and kind in OFFSET_POSITIONS:
            positions -= (1 if padding is None else padding) + 1
        types = values.get("type_vocab_size", 2 if kind in PARTS_WITHOUT_TABLE else 0)
        return cls(
            _number(values.get("vocab_size", values.get("n_words", values.get("emb_size")))),
            padding if isinstance(padding, int) else None,
            positions if isinstance(positions, int) and positions > 0 else None,
            types if isinstance(types, int) else 2,
            kind in SUMMARISING and values.get("summary_type") in ("last", "cls_index"),
        )


def limits(source: str, plain: bool) -> Limits:
    """Of this model; `plain` ones are read without torch."""
    if plain:
        values = config_values(source)
        return Limits.of({**PLAIN[str(values["model_type"])], **values})
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=False).get_text_config()
    names = ("max_position_embeddings", "n_positions", "vocab_size", "pad_token_id", "type_vocab_size", "summary_type")
    values = {name: getattr(config, name) for name in names if hasattr(config, name)}
    return Limits.of({**values, "model_type": config.model_type})


def config_values(source: str) -> dict[str, Any]:
    """What config.json says."""
    return file_values(source, "config.json")


def file_values(source: str, name: str) -> dict[str, Any]:
    """What a JSON file of the model says, in a folder or in the hub's cache; empty where there is none."""
    from transformers.utils import cached_file

    path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    values = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return values if isinstance(values, dict) else {}


def refuse_foreign(source: str, model: str) -> None:
    """Raise DataError with all that this model needs and that is not here: another's code, another way to compute."""
    values = config_values(source)
    problems = [Problem(f"the model {model} {what}", do=do) for what, do in _foreign(values, Path(source))]
    if problems:
        raise DataError(problems)


def _foreign(values: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    kind = values.get("model_type")
    if folder.is_dir() and (folder / "adapter_config.json").is_file():
        do = "name the model that it was trained beside; or merge the two and save the whole (peft: merge_and_unload)"
        yield "is an adapter and no whole model", do
    elif not values and not folder.is_dir():
        return  # a name on the hub: what it lacks shows when it is fetched
    elif not values:
        yield "has no config.json that could be read", "give a folder that save_pretrained wrote"
    elif not isinstance(kind, str):
        yield "has a config.json without a model_type, so nobody can tell what it is", "put the right one there"
    elif kind == "static_vectors":
        yield "is a model of static vectors", "train on it by the recipe that made it; Pretrained takes transformers"
    elif not _is_known(kind):
        code = " and wants code of its own to be run" if "auto_map" in values else ""
        do = "take a model of a kind that transformers knows; code that comes with a model is never run here"
        yield f"is of the kind {kind!r}, which this transformers does not know{code}", do
    quantised = values.get("quantization_config")
    if isinstance(quantised, dict):
        how = str(quantised.get("quant_method", "in a way that is not named"))
        do = "take the model as it was before; QLoRA() quantises by itself"
        yield f"has weights that are quantised already ({how}), which cannot be trained", do
    attention = values.get("attn_implementation", values.get("_attn_implementation"))
    flash = str(attention).startswith("flash_attention") and importlib.util.find_spec("flash_attn") is not None
    if not flash and (isinstance(attention, dict | list) or attention not in ATTENTION):
        do = "take attn_implementation out of its config.json: what torch has computes the same"
        yield f"asks for the attention {attention!r}, for which a package or code from elsewhere is missing", do


def _is_known(kind: str) -> bool:
    """Whether transformers has this kind of model; its list comes with torch."""
    if kind in PLAIN:
        return True
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
