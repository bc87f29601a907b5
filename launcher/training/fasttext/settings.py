"""What a fastText model was trained with: the first 64 bytes of its file, and what follows from them. numpy only."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal, get_args

from launcher.training.fasttext.subwords import Subwords

Loss = Literal["hierarchical softmax", "negative sampling", "softmax", "one-vs-all"]
Kind = Literal["cbow", "skipgram", "supervised"]
"""Both are numbered from 1 in the file, in this order (args.h)."""
MAGIC = 793712314
VERSION = 12
OLDER_VERSION = 11
"""In which supervised models had no n-grams of characters, whatever their header says."""
_HEADER = struct.Struct("<ii12id")
_BOUNDS = {
    "dim": (1, 100_000),
    "wordNgrams": (0, 1_000),
    "loss": (1, len(get_args(Loss))),
    "model": (1, len(get_args(Kind))),
    "bucket": (0, 2**31 - 1),
    "minn": (0, 100),
    "maxn": (0, 100),
}
_NAMES = ("dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn")
SIZE = _HEADER.size


class Unusable(ValueError):
    """Why a file is no usable fastText model, as the end of a sentence."""


@dataclass(frozen=True)
class Settings:
    """The arguments that fastText saves with a model; the defaults are those of its supervised training."""

    dimension: int
    model: Kind = "supervised"
    loss: Loss = "softmax"
    buckets: int = 0
    shortest_subword: int = 0
    longest_subword: int = 0
    word_ngrams: int = 1
    window: int = 5
    epochs: int = 5
    minimum_count: int = 1
    negatives: int = 5
    update_rate: int = 100
    sampling: float = 1e-4

    @property
    def subwords(self) -> Subwords:
        """The n-grams of characters that its words have."""
        return Subwords(self.shortest_subword, self.longest_subword, self.buckets)

    @property
    def supervised(self) -> bool:
        """Whether it is a classifier."""
        return self.model == "supervised"

    @property
    def hashed_rows(self) -> int:
        """The rows behind those of the words, one a bucket, before any pruning."""
        return self.buckets if self.longest_subword or (self.supervised and self.word_ngrams > 1) else 0

    def packed(self) -> bytes:
        """The first 64 bytes of a model's file."""
        numbers = [self.dimension, self.window, self.epochs, self.minimum_count, self.negatives, self.word_ngrams]
        numbers += [get_args(Loss).index(self.loss) + 1, get_args(Kind).index(self.model) + 1]
        numbers += [self.hashed_rows, self.shortest_subword, self.longest_subword, self.update_rate]
        return _HEADER.pack(MAGIC, VERSION, *numbers, self.sampling)


def read_settings(data: Any) -> Settings:
    """From the first bytes of a file. Raises Unusable where they are none of fastText's or do not fit together."""
    if len(data) < SIZE:
        raise Unusable("it ends in its header")
    magic, version, *numbers = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Unusable("its first bytes are not fastText's")
    if version not in (OLDER_VERSION, VERSION):
        raise Unusable(f"its format has version {version}, known are {OLDER_VERSION} and {VERSION}")
    named = dict(zip(_NAMES, numbers, strict=False))
    for name, (least, most) in _BOUNDS.items():
        if not least <= named[name] <= most:
            raise Unusable(f"its header says {name} = {named[name]:,}, which is not from {least:,} to {most:,}")
    kind: Kind = get_args(Kind)[named["model"] - 1]
    older = version == OLDER_VERSION and kind == "supervised"
    settings = Settings(
        dimension=named["dim"],
        model=kind,
        loss=get_args(Loss)[named["loss"] - 1],
        buckets=named["bucket"],
        shortest_subword=named["minn"],
        longest_subword=0 if older else named["maxn"],
        word_ngrams=named["wordNgrams"],
        window=named["ws"],
        epochs=named["epoch"],
        minimum_count=named["minCount"],
        negatives=named["neg"],
        update_rate=numbers[11],
        sampling=numbers[12],
    )
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Raise Unusable for numbers by which the official library would divide, or which leave n-grams without lengths."""
    shortest, longest, buckets = settings.shortest_subword, settings.longest_subword, settings.buckets
    if longest and (not buckets or shortest > longest):
        what = f"its header says maxn = {longest:,} with minn = {shortest:,} and bucket = {buckets:,}, which cannot be"
        raise Unusable(what)
    if settings.supervised and settings.word_ngrams > 1 and not buckets:
        raise Unusable(f"its header says wordNgrams = {settings.word_ngrams:,} and bucket = 0, which cannot be")
