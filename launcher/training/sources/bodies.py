"""What a model of transformers' is, whether it is pretrained or drawn at random: its configuration and its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem, did_you_mean
from launcher.recipe.source import FromConfig, Pretrained
from launcher.training.sources.border import at_the_border
from launcher.training.sources.reference import source_file, source_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FILE = "config.json"


def name_of(embedding: Pretrained | FromConfig) -> str:
    """What to call it in messages."""
    if isinstance(embedding, Pretrained):
        return embedding.model
    return embedding.config if isinstance(embedding.config, str) else "embedding.config"


def own_config(embedding: Pretrained | FromConfig) -> PretrainedConfig:
    """The model's own configuration; no weights are needed. Raises DataError where there is none that can be used."""
    from transformers import AutoConfig

    if isinstance(embedding, FromConfig):
        return _from_values(embedding)
    if embedding.decoder is not None:
        from launcher.training.sources.joined import joined_config

        return joined_config(embedding)
    with at_the_border(embedding.model):
        config: PretrainedConfig = AutoConfig.from_pretrained(source_folder(embedding.model), trust_remote_code=False)
    return config


def _from_values(embedding: FromConfig) -> PretrainedConfig:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    values = dict(given_values(embedding))
    kind = values.pop("model_type", None)
    if kind not in CONFIG_MAPPING_NAMES:
        what = "the configuration names no model_type" if kind is None else f"there is no model_type {kind!r}"
        raise DataError(Problem(what, "embedding.config", did_you_mean(str(kind), CONFIG_MAPPING_NAMES)))
    try:
        known = AutoConfig.for_model(kind).to_dict()
        unknown = [name for name in values if name not in known and name not in OTHERS]
        if unknown:
            raise DataError(_unknown(kind, name, known) for name in unknown)
        config: PretrainedConfig = AutoConfig.for_model(kind, **values)
    except DataError:
        raise
    except Exception as error:  # the border: each class checks its values in its own way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(Problem(f"{kind} cannot be configured so: {reason}", "embedding.config")) from None
    return config


OTHERS = frozenset(("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path"))
"""What a config.json holds besides what its class has values for."""


def _unknown(kind: str, name: str, known: dict[str, Any]) -> Problem:
    return Problem(f"the configuration of {kind} has no {name!r}", "embedding.config", did_you_mean(name, known))


def given_values(embedding: FromConfig) -> dict[str, Any]:
    """What the recipe's configuration says itself. Raises DataError for a file that cannot be read."""
    if not isinstance(embedding.config, str):
        return embedding.config
    path = source_file(embedding.config)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(Problem(f"the configuration cannot be read: {error}", str(path))) from None
    return values
