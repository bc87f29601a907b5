"""The public face: a stored list of names, and one tree of errors."""

from __future__ import annotations

import ast

from tree import ROOT, parsed, python_files

import launcher
from launcher import errors
from launcher.errors import FAMILIES, LauncherError

PUBLIC = """
    AdaLoRA
    Adapter
    Augment
    BackendError
    BiLSTM
    BitFit
    CausalLanguageModel
    Columns
    Conversations
    CustomEmbedding
    CustomMethod
    CustomTask
    CustomTracker
    DataError
    Dialogue
    EmbeddingMatrix
    evaluate
    FastText
    FastTextClassifier
    Freeze
    FromConfig
    Full
    Generation
    HeadOnly
    IA3
    ImageClassification
    ImageFolders
    Interrupted
    LabelledFiles
    LabelledLines
    LauncherError
    Lexicon
    load
    LoRA
    MaskedLanguageModel
    MeanPooling
    Mixture
    MultiLabelClassification
    NewTokens
    NgramBag
    OFT
    Pairs
    ParallelLines
    PlanError
    predict
    PrefixTuning
    Pretrained
    Prompted
    PromptTuning
    QLoRA
    QuestionAnswering
    Questions
    RandomVectors
    Recipe
    RecipeError
    Regression
    RelationExtraction
    Reranker
    run
    SemEvalLines
    start
    Summarisation
    Table
    TaggedWords
    TextClassification
    TextCNN
    TextEmbedding
    Texts
    TokenClassification
    TopLayers
    TrainedTokenizer
    Training
    Transformer
    Translation
    VeRA
    WordVectors
    WorkerError
"""
"""Adding a name here is a promise; taking one away breaks recipes."""

EXIT_CODES = {
    "RecipeError": ("recipe", 2),
    "DataError": ("data", 2),
    "PlanError": ("plan", 3),
    "BackendError": ("backend", 4),
    "WorkerError": ("worker", 5),
    "Interrupted": ("stopped", 75),
}


def below(error: type[LauncherError]) -> set[type[LauncherError]]:
    """All classes under it that are defined in `launcher`."""
    mine = {child for child in error.__subclasses__() if child.__module__.startswith("launcher")}
    return mine.union(*(below(child) for child in mine))


def test_the_public_names_are_those_that_are_stored() -> None:
    assert set(launcher.__all__) == set(PUBLIC.split())
    assert len(launcher.__all__) == len(set(launcher.__all__))


def test_the_public_names_are_sorted_and_exist() -> None:
    assert launcher.__all__ == sorted(launcher.__all__, key=lambda name: (not name.isupper(), name))  # as ruff sorts
    assert [name for name in launcher.__all__ if not hasattr(launcher, name)] == []


def test_nothing_public_is_missing_from_all() -> None:
    imports = [node for node in parsed(ROOT / "launcher/__init__.py").body if isinstance(node, ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    assert imported == set(launcher.__all__)


def test_every_error_has_its_family_and_exit_code() -> None:
    assert {error.__name__: (error.family, error.exit_code) for error in FAMILIES} == EXIT_CODES
    for error in FAMILIES:
        assert {"family", "exit_code"} <= set(vars(error)), f"{error.__name__} inherits them"
    assert len({error.family for error in (LauncherError, *FAMILIES)}) == len(FAMILIES) + 1


def test_the_families_are_all_the_leaves_of_the_tree() -> None:
    leaves = {error for error in below(LauncherError) if not below(error)}
    assert leaves == set(FAMILIES)


def test_the_docstring_draws_the_tree() -> None:
    told = errors.__doc__ or ""
    for error in FAMILIES:
        line = next(line for line in told.splitlines() if error.__name__ in line)
        assert f"exit {error.exit_code}" in line


def test_no_error_class_hides_elsewhere() -> None:
    """Exceptions of launcher's own that are not in the tree must not reach a user; each is named here."""
    known = {"Stopped", "Damaged", "Fault", "NotThere", "Refusal", "Unnamed", "Unusable"}
    names = set()
    for path in python_files("launcher"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                if any(base.endswith(("Error", "Exception")) for base in bases):
                    names.add(node.name)
    assert names - known == {"LauncherError", *EXIT_CODES}
