"""What `launcher embeddings` asks for: vectors of words out of a model, a run or a file, and what is near to what."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import DataError, Problem, did_you_mean
from launcher.recipe.recipe import Recipe, from_document
from launcher.recipe.source import EmbeddingMatrix, RandomVectors, Static
from launcher.recipe.task import plain
from launcher.training.data import read_corpus
from launcher.training.data.decoding import read_text
from launcher.training.sources import cut_choice
from launcher.training.sources.static.vocabulary import SPECIAL, Words
from launcher.training.sources.vectors import embedding_matrix
from launcher.training.sources.vectors.vector_writing import write_vectors

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

MODELS = (".bin", ".ftz")


def embeddings(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request of the verb (`cli/embeddings.py`), as JSON values. Raises as the source does."""
    source, counts = str(request["source"]), _wanted(request)
    asked = [*request["neighbours"], *request["analogy"]]
    words = None if counts is None else list(dict.fromkeys([*counts, *asked]))
    path = Path(source)
    if path.is_file():
        found = _of_file(path, words)
    else:
        found = _of_model(source, words, asked, counts or {}, request["settings"])
    words, vectors, told, lines = found
    near = _Near(words, vectors)
    if request["output"]:
        output = Path(request["output"])
        write_vectors(output, words, vectors, text=output.suffix == ".vec")
    return {
        "words": len(words),
        "dimension": int(vectors.shape[1]),
        "counts": dict(told),
        "lines": list(lines),
        "neighbours": {word: near.to(near.of(word), {word}, request["top"]) for word in request["neighbours"]},
        "analogy": near.analogy(request["analogy"], request["top"]) if request["analogy"] else [],
        "output": request["output"],
    }


def _wanted(request: Mapping[str, Any]) -> Counter[str] | None:
    """The words that were asked for, by how often a recipe's texts have them; None for the source's own."""
    if request["words"] is not None:
        text, _ = read_text(Path(request["words"]), request["words"])
        words = Counter({word: 1 for line in text.splitlines() if (word := line.strip())})
        if not words:
            raise DataError(Problem("the file has no words", str(request["words"]), "write one on each line"))
        return words
    return None if request["recipe"] is None else _of_recipe(from_document(request["recipe"]))


def _of_recipe(recipe: Recipe) -> Counter[str]:
    """The tokens of its training split that get a row."""

    if not isinstance(recipe.embedding, Static):  # whose tokens are pieces of words
        recipe = replace(recipe, embedding=RandomVectors())
    rows = read_corpus(recipe.data, plain(recipe.task)).splits["train"]
    texts = [row.text if row.pair is None else (str(row.text), row.pair) for row in rows]
    if cut_choice.is_open(recipe):
        recipe = cut_choice.settled(recipe, cut_choice.chosen(recipe, texts).tokens)
    assert isinstance(recipe.embedding, Static)
    words = Words(recipe.embedding, plain(recipe.task))
    words.count(texts)
    return Counter({word: words.counts[word] for word in words.known()})


def _of_model(
    source: str, words: list[str] | None, asked: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, Any]
) -> tuple[list[str], Vectors, Mapping[str, int], Sequence[str]]:
    noun = EmbeddingMatrix(model=source, **settings)
    if words is None:
        from launcher.training.sources.vectors.word_model import open_model

        tokenizer = open_model(source, with_states=False).tokenizer
        words = list(dict.fromkeys([*_own_words(tokenizer), *asked]))
    matrix = embedding_matrix.matrix_of(noun, words, counts)
    return words, matrix.vectors, matrix.counts, matrix.lines


def _own_words(tokenizer: Any) -> Iterator[str]:
    """What of a tokenizer's vocabulary is a word: no mark for a place, no inner piece, no byte."""
    special = set(tokenizer.all_special_tokens)
    byte_level = "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)
    for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        if token in special or token in SPECIAL or token.startswith(("##", "[unused", "<")):
            continue
        word = tokenizer.convert_tokens_to_string([token]) if byte_level else token.replace("▁", "")
        word = word.strip()
        if word and "\ufffd" not in word and any(unicodedata.category(sign)[0] in "LN" for sign in word):
            yield word


class _Everything(Set[bytes]):
    """The words of a file that has to be read to know them."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _of_file(path: Path, words: list[str] | None) -> tuple[list[str], Vectors, Mapping[str, int], Sequence[str]]:
    """Of a fastText model any word has a vector; of a list of vectors those that it names."""
    if path.suffix in MODELS and (of_model := _of_fasttext(path, words)) is not None:
        return of_model
    from launcher.training.sources.vectors.vector_file import read_vectors

    wanted: Set[bytes] = _Everything() if words is None else {word.encode() for word in words}
    content = read_vectors(path, wanted)
    found = {word.decode("utf-8", "replace"): vector for word, vector in content.vectors.items()}
    if words and not found:
        raise DataError(Problem(f"none of the {len(words):,} words has a vector in it", str(path)))
    names = [word for word in words if word in found] if words else list(found)
    vectors = np.stack([found[word] for word in names]) if names else np.zeros((0, content.dimension), np.float32)
    missing = [] if words is None else [word for word in words if word not in found]
    lines = [f"not in {path.name}: {embedding_matrix.examples(missing)}"] if missing else []
    return names, vectors, {"words_in_the_file": content.rows, "words_without_a_vector": len(missing)}, lines


def _of_fasttext(
    path: Path, words: list[str] | None
) -> tuple[list[str], Vectors, Mapping[str, int], Sequence[str]] | None:
    """None where the file is word2vec's binary, which has the same ending."""
    from launcher.training.fasttext.model_file import FastTextFile
    from launcher.training.fasttext.settings import MAGIC

    with path.open("rb") as file:
        if path.suffix == ".bin" and file.read(4) != MAGIC.to_bytes(4, "little"):
            return None
    model = FastTextFile.open(path)
    known = dict.fromkeys(model.words)
    names = list(known) if words is None else words
    vectors = model.vectors(names)
    composed = [word for word in names if word not in known]
    lines = [f"of their subwords: {embedding_matrix.examples(composed)}"] if composed else []
    return names, vectors, {"words_that_it_knows": len(names) - len(composed)}, lines


class _Near:
    """Words by the cosine of their vectors."""

    def __init__(self, words: Sequence[str], vectors: Vectors) -> None:
        self.words, self.numbers = words, {word: number for number, word in enumerate(words)}
        self.directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def of(self, word: str) -> Vectors:
        """A word's direction. Raises DataError for one without a vector."""
        if word not in self.numbers:
            raise DataError(Problem(f"{word!r} has no vector here", do=did_you_mean(word, self.words)))
        direction: Vectors = self.directions[self.numbers[word]]
        return direction

    def to(self, direction: Vectors, without: Set[str], top: int) -> list[dict[str, Any]]:
        """The nearest words."""
        cosines = self.directions @ (direction / max(float(np.linalg.norm(direction)), 1e-12))
        nearest = (int(number) for number in np.argsort(-cosines, kind="stable"))
        kept = [number for number in nearest if self.words[number] not in without][:top]
        return [{"word": self.words[number], "cosine": round(float(cosines[number]), 4)} for number in kept]

    def analogy(self, words: Sequence[str], top: int) -> list[dict[str, Any]]:
        """What is to the third word as the second is to the first (3CosAdd, Mikolov et al. 2013)."""
        first, second, third = words
        return self.to(self.of(second) - self.of(first) + self.of(third), {first, second, third}, top)
