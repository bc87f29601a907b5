"""Tasks of search: vectors that texts are found by, and a score for a query and a passage (`launcher.recipe.task`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from launcher.recipe.declared import AboveZero, Asked, Body, Head, Metrics
from launcher.recipe.fields import Field
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Length

RANKED = (Field("text", "text"), Field("negatives", "passages", optional=True), Field("label", "passage"))
"""A query, passages that do not belong to it, and the one that does."""
RANKING: Metrics = {"ndcg_at_10": "max", "mrr_at_10": "max", "recall_at_1": "max", "recall_at_10": "max", "loss": "min"}
SCORED: Metrics = {"spearman": "max", "pearson": "max", "loss": "min"}


@noun
class TextEmbedding:
    """A vector of length 1 for each text, so that texts that belong together lie close.

    Under `ranking` a row is a query and its passage (`Pairs`), perhaps with passages that do not answer it. The loss is
    the cross entropy of the passage against all others of the whole batch (InfoNCE, van den Oord et al. 2018, arXiv
    1807.03748; multiple negatives ranking), whatever the number of processes and the micro-batch: gradients are cached
    (Gao et al. 2021, arXiv 2101.06983). Under `cosine` and `cosent` a row is two texts and a number, as in
    `Regression`.
    """

    head: ClassVar[Head] = "embedding"
    asked: ClassVar[Asked] = "either"
    bodies: ClassVar[frozenset[Body]] = frozenset({"encoder", "decoder"})
    metrics: ClassVar[Metrics] = {**RANKING, **SCORED}
    kind: Literal["TextEmbedding"] = "TextEmbedding"
    loss: Literal["ranking", "cosine", "cosent"] = "ranking"
    """What rows are and what is learnt from them: queries with passages (`ranking`), or two texts with a number for how
    alike they are, which their cosine is to be (`cosine`, from -1 to 1) or is to be ordered by (`cosent`, Su 2022)."""
    temperature: AboveZero = 0.05
    """What cosines are divided by before the softmax of `ranking`, and the differences of `cosent`."""
    pooling: Literal["mean", "first", "last"] | None = None
    """Which states of a text become its vector: the mean of all, that of the first token (`[CLS]`) or of the last. None
    takes what the model's folder says (`1_Pooling/config.json`), else the last of a model that reads forwards only and
    the mean of any other."""
    sizes: tuple[Length, ...] = ()
    """Numbers of leading components that are to be vectors by themselves (Matryoshka, Kusupati et al. 2022, arXiv
    2205.13147): the loss is the mean over these sizes and the whole."""
    query_prefix: str = ""
    """What stands before each query: E5 was taught with `"query: "`, Chinese BGE with
    `"为这个句子生成表示以用于检索相关文章："`. Of scored pairs it stands before both."""
    passage_prefix: str = ""
    """What stands before each passage: `"passage: "`."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The loss says which."""
        if self.loss == "ranking":
            return RANKED
        return Field("text", "text"), Field("text_pair", "text"), Field("label", "number")

    @property
    def measured(self) -> Metrics:
        """Those of its metrics that such rows have."""
        return RANKING if self.loss == "ranking" else SCORED

    @property
    def couples_rows(self) -> bool:
        """Whether its loss is one of a whole batch: then no row has one of its own."""
        return self.loss != "cosine"


@noun
class Reranker:
    """A score for a query and a passage that are read together (a cross-encoder, Nogueira and Cho 2019, arXiv
    1901.04085): slower than vectors, and better at telling the best of few passages.

    A row is a query, its passage and at least one that does not answer it, such as `launcher mine` finds.
    """

    head: ClassVar[Head] = "sequence"
    asked: ClassVar[Asked] = "pairs"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("text", "text"),
        Field("negatives", "passages"),
        Field("label", "passage"),
    )
    bodies: ClassVar[frozenset[Body]] = frozenset({"encoder", "decoder"})
    metrics: ClassVar[Metrics] = {"mrr_at_10": "max", "ndcg_at_10": "max", "accuracy": "max", "loss": "min"}
    kind: Literal["Reranker"] = "Reranker"
    loss: Literal["listwise", "binary"] = "listwise"
    """The cross entropy of the right passage among those of its row, or whether each passage belongs to its query."""
