"""Embedding sources: where the vectors come from that the model starts with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from launcher.recipe.beside import Beside
from launcher.recipe.declared import Tokens
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Buckets, Count, Depth, Length, Width
from launcher.recipe.task import PlainTask, answer_of, tokens_of_rows
from launcher.recipe.user_file import Custom


@noun
class MeanPooling:
    """Mean and smooth maximum of the token vectors, then one hidden layer (for a token task: each token by itself)."""

    kind: Literal["MeanPooling"] = "MeanPooling"
    hidden: Width = 128
    """Units of the hidden layer."""


@noun
class BiLSTM:
    """A bidirectional LSTM (Graves and Schmidhuber 2005); a text is the smooth maximum over its states."""

    kind: Literal["BiLSTM"] = "BiLSTM"
    hidden: Width = 128
    """Units of each direction."""
    layers: Depth = 1
    """LSTMs on top of each other."""


@noun
class TextCNN:
    """Filters over windows of tokens (Kim 2014, arXiv 1408.5882); a text is the smooth maximum over its windows."""

    kind: Literal["TextCNN"] = "TextCNN"
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=32)], ...], Field(min_length=1, max_length=32)] = (3, 4, 5)
    """Tokens in a window."""
    filters: Width = 100
    """Of each width."""


@noun
class Transformer:
    """A small pre-norm transformer (Vaswani et al. 2017); a text is the smooth maximum over its states."""

    kind: Literal["Transformer"] = "Transformer"
    hidden: Width = 128
    """Width of a token's state."""
    layers: Depth = 2
    """Blocks of attention and feed-forward part."""
    heads: Depth = 4
    """Heads of attention, which share `hidden` evenly."""
    feed_forward: Width = 256
    """Units between the two layers of the feed-forward part."""


Encoder = Annotated[MeanPooling | BiLSTM | TextCNN | Transformer, Field(discriminator="kind")]


@noun
class Pretrained:
    """A pretrained transformer: hub name, local folder, or `package:NAME/FOLDER` (an installed package)."""

    kind: Literal["Pretrained"] = "Pretrained"
    model: str
    """Name on the hub (`bert-base-chinese`), folder, or `package:NAME/FOLDER`."""
    max_length: Length | None = None
    """Longest input in subword tokens; None takes what the model and its tokenizer can hold, up to 512."""
    decoder: str | None = None
    """A second encoder (or the same) that becomes the decoder of an encoder-decoder, for tasks that write texts: it
    then reads forwards and looks at what the first one has read, by layers that are new (Rothe et al. 2020, arXiv
    1907.12461). Both must have the same tokenizer."""
    new_tokens: tuple[str, ...] | dict[str, str] = ()
    """Tokens that are added to the model's own: `("[E1]", "<url>")`, or `{"[E1]": "start of an entity"}`. A row starts
    as the mean of the pieces into which the model cuts the token, or its description. Their rows of the token table are
    new and train; the others stay. For methods that train parts beside a frozen model."""


@noun
class TrainedTokenizer:
    """A subword tokenizer that is trained on the training split."""

    kind: Literal["TrainedTokenizer"] = "TrainedTokenizer"
    tokens: Annotated[int, Field(ge=300, le=2**20)] = 8000
    """How many it has at most; a small corpus may give fewer."""
    pieces: Literal["bytes", "unigram", "wordpiece"] = "bytes"
    """`bytes`: byte pairs, which know every text (Sennrich et al. 2016, arXiv 1508.07909; of bytes as in GPT-2).
    `unigram`: the pieces that are likeliest together (Kudo 2018, arXiv 1804.10959), for languages without white space.
    `wordpiece`: BERT's, where every Chinese character stands by itself."""
    lowercase: bool = False
    """Texts are put in lower case first."""


@noun
class FromConfig:
    """A model of transformers' whose weights are drawn at random: nothing of it is pretrained, so all of it trains."""

    kind: Literal["FromConfig"] = "FromConfig"
    config: str | dict[str, JsonValue]
    """Path (or `package:…`) of a config.json; or its values, the `model_type` and what differs from what transformers
    takes by default: `{"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [64, 128]}`."""
    tokenizer: TrainedTokenizer | str | None = None
    """Of a task of texts: one that is trained on the training split, or where to take one from (a folder, `package:…`,
    a name of the hub). The model's table gets as many rows as it has tokens, where the configuration says no number."""
    max_length: Length | None = None
    """Longest input in tokens; None takes what the model can hold, up to 512."""


@noun
class Static:
    """What the static sources share: how texts are cut, and which tokens get a vector."""

    tokens: Tokens | None = None
    """How a text is cut. None means what a token task says; else words (fastText's own are parted by white space), but
    where no white space parts the words, characters or what jieba finds: what leaves fewer of them unknown."""
    minimum_count: Count = 1
    """Tokens seen less often in the training split share one vector for the unknown."""
    max_length: Length = 256
    """Longest input in tokens; the rest is cut and counted."""
    lowercase: bool = False
    """Texts are put in lower case before they are cut."""
    stop_words: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Tokens that are left out of every text (`launcher data` counts them), or the path of a file with one a line."""


@noun
class Encoded(Static):
    """What those share whose vectors go through an encoder."""

    encoder: Encoder = Field(default_factory=BiLSTM)
    """What makes one vector for a text, or one for each token, of the tokens' vectors."""
    beside: tuple[Beside, ...] = ()
    """What knows more of a text than the vectors of its tokens, one of a kind: `NgramBag(…)`, `Lexicon(…)`."""


@noun
class FastText(Encoded):
    """fastText vectors (Bojanowski et al. 2017): a `.bin`, or trained on the training split on the fly."""

    kind: Literal["FastText"] = "FastText"
    model: str | None = None
    """Path (or `package:…`) of a `.bin`; None trains one with the official library, cached by content."""
    algorithm: Literal["skipgram", "cbow"] = "skipgram"
    """Whether a token predicts those around it, or these predict it."""
    dimension: Width = 100
    """Numbers in a vector, where vectors are trained."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    """Passes over the training split that make the vectors."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    """Of the training of the vectors, not of the model."""
    window: Annotated[int, Field(ge=1, le=1000)] = 5
    """Tokens on each side that a vector learns to predict."""
    shortest_subword: Annotated[int, Field(ge=0, le=100)] = 3
    """Characters of the shortest subword."""
    longest_subword: Annotated[int, Field(ge=0, le=100)] = 6
    """0 means no subwords: vectors of whole tokens only."""
    buckets: Buckets = 200_000
    """Rows that all subwords share, by their hash."""
    subword_rows: bool = False
    """Whether the table holds the rows of the training split's subwords, instead of one a word: then these train, and a
    word that training never saw gets its vector from them."""


@noun
class FastTextClassifier(Static):
    """fastText's own classifier (Joulin et al. 2016, arXiv 1607.01759): the mean of the vectors of all words, subwords
    and n-grams of words of a text, and one linear layer. It starts from nothing.
    """

    kind: Literal["FastTextClassifier"] = "FastTextClassifier"
    dimension: Width = 100
    """Numbers in a vector."""
    word_ngrams: Annotated[int, Field(ge=1, le=100)] = 2
    """Words of the longest n-gram; 1 means words alone."""
    shortest_subword: Annotated[int, Field(ge=0, le=100)] = 0
    """Characters of the shortest subword."""
    longest_subword: Annotated[int, Field(ge=0, le=100)] = 0
    """0 means no subwords."""
    buckets: Buckets = 2_000_000
    """Into which a hash puts n-grams and subwords; those that the training split has get a row."""

    @property
    def subword_rows(self) -> bool:
        """Its table holds rows of n-grams, always."""
        return True


@noun
class WordVectors(Encoded):
    """Published vectors: text with a header (`.vec`) or without (GloVe), or word2vec's binary, packed or not.

    A token that the file lacks starts from a random vector, drawn with the mean and deviation of those that were found.
    """

    kind: Literal["WordVectors"] = "WordVectors"
    file: str
    """Path (or `package:…`)."""
    try_lowercase: bool = True
    """A token that the file lacks takes the vector of its lower-case form, if there is one."""


@noun
class RandomVectors(Encoded):
    """Vectors drawn from a normal distribution: the baseline of every comparison."""

    kind: Literal["RandomVectors"] = "RandomVectors"
    dimension: Width = 100
    """Numbers in a vector."""


@noun
class EmbeddingMatrix(Encoded):
    """Word vectors taken out of a pretrained model: a row for every token of the recipe (after model2vec, Tulkens and
    van Dongen 2024).

    A token that the model's tokenizer splits is composed of its pieces; one of which it knows nothing starts from a
    random vector, drawn with the mean and deviation of the others. `launcher data` says how many there are of each.
    """

    kind: Literal["EmbeddingMatrix"] = "EmbeddingMatrix"
    model: str
    """Name on the hub, folder, `package:NAME/FOLDER`, or `run:NAME` for a model that was trained here."""
    read_from: Literal["outputs", "inputs"] = "outputs"
    """`outputs`: each token goes through the model by itself, and its last states count. `inputs`: rows of the table
    that the model looks its tokens up in."""
    compose: Literal["mean", "first", "context"] = "mean"
    """What becomes of a token of several pieces: their mean, or the first. `context`: texts of the training split go
    through the model, and a token is the mean over the places where it stands (Bommasani et al. 2020, ACL 431)."""
    contexts: Count = 5000
    """How many texts `context` reads at most, evenly spread."""
    dimension: Width | None = None
    """Numbers in a vector, the first principal components; None takes 256, or what the model has if it has fewer."""
    centre: bool = True
    """The mean of all vectors is taken off them: what all words of a model share tells nothing."""
    normalise: bool = True
    """Every vector gets length 1 before it is weighted."""
    weighting: Literal["zipf", "sif"] | None = None
    """Rare tokens weigh more. `zipf`: log(1 + rank by frequency). `sif`: 0.001 / (0.001 + share of all tokens) (Arora
    et al. 2017)."""


@noun
class CustomEmbedding(Encoded, Custom):
    """Vectors of your own: `vectors(tokens, dimension, **options)` in `file` gives one row a token."""

    kind: Literal["CustomEmbedding"] = "CustomEmbedding"
    dimension: Width = 100
    """Numbers in a vector."""


@noun
class Mixture(Encoded):
    """Several sources of vectors for each token, as one: side by side, or weighed token by token.

    How texts are cut, and all else that sources share, is the mixture's. Each source's vectors are scaled alike.
    """

    kind: Literal["Mixture"] = "Mixture"
    sources: Annotated[
        tuple[
            Annotated[FastText | WordVectors | EmbeddingMatrix | RandomVectors, Field(discriminator="kind")],
            ...,
        ],
        Field(min_length=2, max_length=8),
    ]
    """What is mixed: `(FastText(), EmbeddingMatrix(model=…))`."""
    combine: Literal["concatenate", "gate"] = "concatenate"
    """`concatenate`: the vectors side by side. `gate`: each goes through a layer to one width, and what they weigh is
    learnt from the token's vectors (Kiela et al. 2018, arXiv 1804.07983)."""
    dimension: Width = 128
    """Numbers in a vector behind the gate."""


Embedding = Annotated[
    Pretrained
    | FastText
    | FastTextClassifier
    | WordVectors
    | EmbeddingMatrix
    | Mixture
    | RandomVectors
    | CustomEmbedding
    | FromConfig,
    Field(discriminator="kind"),
]


def tokens_of(embedding: Static, task: PlainTask) -> Tokens:
    """How texts are cut: as a token task says, else as the source says, else as its vectors of English were made."""
    if answer_of(task) == "tags":
        return tokens_of_rows(task) or embedding.tokens or "words"
    return embedding.tokens or ("whitespace" if isinstance(embedding, FastText | FastTextClassifier) else "words")
