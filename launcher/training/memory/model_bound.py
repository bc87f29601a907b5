"""How large a model is at most, without torch: enough to see at a run's start that memory is no question.

Where it is one, `model_facts` looks closer; what it found lies beside the prepared data and is read here.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any, assert_never

from launcher.json_files import read_json
from launcher.recipe.about_images import reads_images
from launcher.recipe.about_search import reads_texts_apart
from launcher.recipe.beside import Beside, Lexicon, NgramBag
from launcher.recipe.fields import WRITTEN
from launcher.recipe.recipe import Recipe, document
from launcher.recipe.source import BiLSTM, Encoded, Encoder, FromConfig, MeanPooling, Pretrained, TextCNN, Transformer
from launcher.recipe.task import answer_of, of_entities, words_of
from launcher.runs.seals import Damaged, read_sealed
from launcher.training import sources

DISTANCES = 128
"""More than there are vectors of how far a token is from the two entities of its text."""
WORDS_OF_NGRAM = 10
"""Of the longest n-gram of words, as a rule."""
COPIES_OF_EWC = 5
"""What trains as it was, what it is worth, how far it has moved, the gradient of that, and what is gathered for it."""
FORMAT = 3
"""Raised when what `model_facts` writes changes its meaning."""


def facts_file(recipe: Recipe, folder: Path) -> Path:
    """Where the facts of this recipe lie beside its prepared data, once they are known."""
    values = document(recipe)
    told = [FORMAT, values["embedding"], values["peft"], recipe.training.precision, recipe.training.dropout]
    told.append(recipe.training.recompute is True)
    told += ["fgm"] if recipe.training.fgm is not None else []
    told += ["packing"] if recipe.training.packing else []
    told += [name for name in ("ewc", "lwf") if getattr(recipe.training, name)]
    told.append([metadata.version(name) for name in ("torch", "transformers", "peft")])
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return folder / f"model-{digest[:20]}.json"


def known_facts(path: Path) -> dict[str, Any] | None:
    """What such a file says; None where there is none, or it is damaged: then they are found anew."""
    try:
        return read_sealed(path)
    except Damaged:
        return None


def sizes(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """`{"model": facts or None, "bound": {"weights": elements, "row_bytes": bytes, "copies": of the weights} or None}`.

    None where nothing is known (a model that is not in a local folder); `unknown` says why nothing ever will be.
    """
    known = bound(recipe, prepared)
    if known is not None:
        training = recipe.training
        known["copies"] = (COPIES_OF_EWC if training.ewc else 0) + (1 if training.lwf else 0)
        known["row_bytes"] *= 2 if training.lwf else 1
    return {**as_told(known_facts(facts_file(recipe, Path(prepared["folder"])))), "bound": known}


def as_told(facts: dict[str, Any] | None) -> dict[str, Any]:
    """What `model_facts` gave, as the plan takes it."""
    return facts if facts and "unknown" in facts else {"model": facts}


def bound(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, int] | None:
    """No model of this recipe has more weights, and no row of its data more activations. Generous."""
    longest = max([1, *(int(told.get("longest", 0)) for told in prepared["tokens"].values())])
    outputs = 8 * len(prepared["labels"])  # logits of every token, in the forward pass, the loss and backward
    source = recipe.embedding
    asks_for_words = bool(words_of(recipe.task))
    if reads_images(recipe.task) or isinstance(source, FromConfig):
        return None  # what convolutions hold, no configuration shows
    if answer_of(recipe.task) in WRITTEN:
        return None  # logits of a part of the words that are said (`model_parts.word_places`)
    if reads_texts_apart(recipe.task):
        return None  # a row is several inputs, padded to the longest
    if isinstance(source, Pretrained):
        folder = Path(sources.source_folder(source.model))
        config = read_json(folder / "config.json") if folder.is_dir() else None
        stored = sum(path.stat().st_size for path in folder.glob("*.safetensors")) if config else 0
        if not config or not stored:
            return None
        layers = int(config.get("num_hidden_layers", config.get("n_layer", config.get("n_layers", 0))))
        width = int(config.get("hidden_size", config.get("n_embd", config.get("dim", 0))))
        heads = int(config.get("num_attention_heads", config.get("n_head", config.get("n_heads", 0))))
        inner = int(config.get("intermediate_size", config.get("n_inner") or 4 * width))
        if not layers or not width or not heads:
            return None
        # weights stored in half precision are two bytes each
        each = 38 if recipe.training.packing else 30  # keys, values and more are there both ways
        row = 4 * longest * ((layers + 2) * (each * width + 8 * inner + 4 * heads * longest) + outputs)
        row += 4 * 8 * int(config.get("vocab_size", 0)) if asks_for_words else 0  # logits, at one place of a row
        return {"weights": stored // 2, "row_bytes": row}
    encoder, beside = (source.encoder, source.beside) if isinstance(source, Encoded) else (MeanPooling(), ())
    folder, (width, depth, each_pair) = Path(prepared["folder"]), _extent(encoder)
    dimension = _columns(folder / "vectors.safetensors", "vectors") or getattr(source, "dimension", 0)
    listed = sum(_listed(noun, folder) for noun in beside)
    buckets, each = _subwords(folder / "subwords.safetensors")
    rows = (folder / "tokenizer" / "tokenizer.json").stat().st_size // 6  # no token is written in fewer bytes
    others = sum(path.stat().st_size for path in folder.glob("*.safetensors"))  # given vectors, n-grams, lexicon
    distances = DISTANCES if of_entities(recipe.task) else 0
    vectors, layers = 2 * rows + buckets + listed + distances, depth * (64 * width + each_pair * longest)
    weights = vectors * dimension + others + 40 * depth * width * (dimension + 2 * width)
    row = 4 * longest * ((16 + each) * dimension + 2 * listed + 16 + layers + outputs)
    return {"weights": weights, "row_bytes": row}


def _listed(noun: Beside, folder: Path) -> int:
    """Numbers that it says of each token, which weigh as many vectors."""
    match noun:
        case NgramBag():
            return 0
        case Lexicon():
            return _columns(folder / "lexicon.safetensors", "values")
        case _:
            assert_never(noun)


def _subwords(path: Path) -> tuple[int, int]:
    """Rows of n-grams, and vectors that are held of a token while it is made of them; words differ in length."""
    shapes = _shapes(path)
    if not shapes:
        return 0, 0
    most = 4 * shapes["values"][0] // shapes["counts"][0]
    return shapes["buckets"][0], 4 * (most + WORDS_OF_NGRAM)


def _columns(path: Path, name: str) -> int:
    """Of a table that the source gave, 0 where it gave none; a file's own dimension is written nowhere else."""
    shapes = _shapes(path)
    return shapes[name][1] if shapes else 0


def _shapes(path: Path) -> dict[str, list[int]]:
    """Of each tensor in a file; none where there is no file."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return {name: about["shape"] for name, about in json.loads(file.read(size)).items() if name != "__metadata__"}


def _extent(encoder: Encoder) -> tuple[int, int, int]:
    """Width, depth, and numbers that a layer holds for each pair of tokens."""
    match encoder:
        case MeanPooling():
            return encoder.hidden, 1, 0
        case BiLSTM():
            return encoder.hidden, encoder.layers, 0
        case TextCNN():
            return encoder.filters * len(encoder.widths), 1, 0
        case Transformer():
            return max(encoder.hidden, encoder.feed_forward), encoder.layers, 4 * encoder.heads
        case _:
            assert_never(encoder)
