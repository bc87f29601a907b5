"""recipe-launcher: fine-tune from one Python recipe, launched, watched and proven.

This module is the public vocabulary of a recipe and nothing else. It imports nothing heavy.
"""

from launcher.api import evaluate, load, predict, run, start
from launcher.errors import (
    BackendError,
    DataError,
    Interrupted,
    LauncherError,
    PlanError,
    RecipeError,
    WorkerError,
)
from launcher.recipe.augment import Augment
from launcher.recipe.beside import Lexicon, NgramBag
from launcher.recipe.data import Columns, LabelledFiles, LabelledLines, Questions, SemEvalLines, Table, TaggedWords
from launcher.recipe.method import (
    IA3,
    OFT,
    AdaLoRA,
    Adapter,
    BitFit,
    CustomMethod,
    Freeze,
    Full,
    HeadOnly,
    LoRA,
    PrefixTuning,
    PromptTuning,
    QLoRA,
    TopLayers,
    VeRA,
)
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import (
    BiLSTM,
    CustomEmbedding,
    FastText,
    MeanPooling,
    Pretrained,
    RandomVectors,
    TextCNN,
    Transformer,
    WordVectors,
)
from launcher.recipe.task import (
    CustomTask,
    MultiLabelClassification,
    Prompted,
    QuestionAnswering,
    Regression,
    RelationExtraction,
    TextClassification,
    TokenClassification,
)
from launcher.recipe.training import Training

__version__ = "0.1.0"
__all__ = [
    "IA3",
    "OFT",
    "AdaLoRA",
    "Adapter",
    "Augment",
    "BackendError",
    "BiLSTM",
    "BitFit",
    "Columns",
    "CustomEmbedding",
    "CustomMethod",
    "CustomTask",
    "DataError",
    "FastText",
    "Freeze",
    "Full",
    "HeadOnly",
    "Interrupted",
    "LabelledFiles",
    "LabelledLines",
    "LauncherError",
    "Lexicon",
    "LoRA",
    "MeanPooling",
    "MultiLabelClassification",
    "NgramBag",
    "PlanError",
    "PrefixTuning",
    "Pretrained",
    "PromptTuning",
    "Prompted",
    "QLoRA",
    "QuestionAnswering",
    "Questions",
    "RandomVectors",
    "Recipe",
    "RecipeError",
    "Regression",
    "RelationExtraction",
    "SemEvalLines",
    "Table",
    "TaggedWords",
    "TextCNN",
    "TextClassification",
    "TokenClassification",
    "TopLayers",
    "Training",
    "Transformer",
    "VeRA",
    "WordVectors",
    "WorkerError",
    "evaluate",
    "load",
    "predict",
    "run",
    "start",
]
