"""Tasks at work. Each module implements the same interface, `base.TaskWork`."""

from __future__ import annotations

from typing import assert_never

from launcher.recipe.task import (
    CausalLanguageModel,
    CustomTask,
    Dialogue,
    ImageClassification,
    MaskedLanguageModel,
    MultiLabelClassification,
    Prompted,
    QuestionAnswering,
    Regression,
    RelationExtraction,
    Reranker,
    Summarisation,
    Task,
    TextClassification,
    TextEmbedding,
    TokenClassification,
    Translation,
)
from launcher.training.tasks.base import Reader, TaskWork


def work_for(task: Task, reader: Reader) -> TaskWork:
    """The task at work, with the plain loss that is measured. The one `match` over tasks."""
    match task:
        case TextClassification():
            from launcher.training.tasks import text_classification

            return text_classification.Work(task, reader)
        case MultiLabelClassification():
            from launcher.training.tasks import multi_label_classification

            return multi_label_classification.Work(task, reader)
        case TokenClassification(crf=True):
            from launcher.training.tasks import crf_tagging

            return crf_tagging.Work(task, reader)
        case TokenClassification():
            from launcher.training.tasks import token_classification

            return token_classification.Work(task, reader)
        case Regression():
            from launcher.training.tasks import regression

            return regression.Work(task, reader)
        case QuestionAnswering():
            from launcher.training.tasks import question_answering

            return question_answering.Work(task, reader)
        case Prompted():
            from launcher.training.tasks import prompted

            return prompted.Work(task, reader)
        case RelationExtraction():
            from launcher.training.tasks import relation_extraction

            return relation_extraction.Work(task, reader)
        case ImageClassification():
            from launcher.training.tasks import image_classification

            return image_classification.Work(task, reader)
        case TextEmbedding() | Reranker():
            return _of_search(task, reader)
        case CausalLanguageModel() | MaskedLanguageModel() | Dialogue() | Translation() | Summarisation():
            return _of_language(task, reader)
        case CustomTask():
            from launcher.training.tasks import custom

            return custom.work_for(task, reader)
        case _:
            assert_never(task)


def _of_language(
    task: CausalLanguageModel | MaskedLanguageModel | Dialogue | Translation | Summarisation, reader: Reader
) -> TaskWork:
    """Of tasks whose answers are texts."""
    match task:
        case CausalLanguageModel():
            from launcher.training.tasks import causal_language_model

            return causal_language_model.Work(task, reader)
        case MaskedLanguageModel(next_sentence=True):
            from launcher.training.tasks import next_sentence

            return next_sentence.Work(task, reader)
        case MaskedLanguageModel():
            from launcher.training.tasks import masked_language_model

            return masked_language_model.Work(task, reader)
        case Dialogue():
            from launcher.training.tasks import dialogue

            return dialogue.Work(task, reader)
        case Translation(template=None) | Summarisation(template=None):
            from launcher.training.tasks import text_to_text

            return text_to_text.Work(task, reader)
        case Translation() | Summarisation():
            from launcher.training.tasks import continued_text

            return continued_text.Work(task, reader)
        case _:
            assert_never(task)


def _of_search(task: TextEmbedding | Reranker, reader: Reader) -> TaskWork:
    """Of tasks that compare texts."""
    match task:
        case TextEmbedding():
            from launcher.training.tasks import text_embedding

            return text_embedding.Work(task, reader)
        case Reranker():
            from launcher.training.tasks import reranker

            return reranker.Work(task, reader)
        case _:
            assert_never(task)
