"""recipe-launcher: fine-tune from one Python recipe, launched, watched and proven.

This module is the public vocabulary of a recipe and nothing else. It imports nothing heavy.
"""

from launcher.entry import evaluate, predict, start
from launcher.errors import (
    BackendError,
    DataError,
    Interrupted,
    LauncherError,
    PlanError,
    RecipeError,
    WorkerError,
)
from launcher.recipe import Recipe
from launcher.spec.data import Columns, LabelledFiles, LabelledLines, Table, TaggedWords
from launcher.spec.embedding import BiLSTM, FastText, MeanPooling, Pretrained, RandomVectors
from launcher.spec.peft import Adapter, Full, LoRA, QLoRA
from launcher.spec.task import TextClassification, TokenClassification
from launcher.spec.training import Training

__version__ = "0.1.0"
__all__ = [
    "Adapter",
    "BackendError",
    "BiLSTM",
    "Columns",
    "DataError",
    "FastText",
    "Full",
    "Interrupted",
    "LabelledFiles",
    "LabelledLines",
    "LauncherError",
    "LoRA",
    "MeanPooling",
    "PlanError",
    "Pretrained",
    "QLoRA",
    "RandomVectors",
    "Recipe",
    "RecipeError",
    "Table",
    "TaggedWords",
    "TextClassification",
    "TokenClassification",
    "Training",
    "WorkerError",
    "evaluate",
    "predict",
    "start",
]
