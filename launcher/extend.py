"""What a file of your own may import from us: these names stay, whatever moves inside.

    from launcher import extend

    class Focal(extend.TextClassificationWork):
        def loss(self, outputs, wanted): ...

    def work(task, reader):
        return Focal(task, reader)

`CustomTask(file=…)` calls `work(task, reader)`. A saved model carries such files: what they name here must last as long
as it. Heavy: it imports torch, so a recipe must not import it; the files that a recipe names are imported in the ranks
only.
"""

from launcher.training.batches.split import Ragged, Split
from launcher.training.sources.crf_head import AutoModelForCRFTokenClassification
from launcher.training.sources.embedding_head import AutoModelForTextEmbedding
from launcher.training.sources.entity_head import AutoModelForRelationExtraction
from launcher.training.sources.static.relations import StaticVectorsForRelationExtraction
from launcher.training.tasks.base import Encoded, Kept, Reader, TaskWork
from launcher.training.tasks.causal_language_model import Work as CausalLanguageModelWork
from launcher.training.tasks.continued_text import Work as ContinuedTextWork
from launcher.training.tasks.crf_tagging import Work as CRFTaggingWork
from launcher.training.tasks.dialogue import Work as DialogueWork
from launcher.training.tasks.image_classification import Work as ImageClassificationWork
from launcher.training.tasks.masked_language_model import Work as MaskedLanguageModelWork
from launcher.training.tasks.multi_label_classification import Work as MultiLabelClassificationWork
from launcher.training.tasks.next_sentence import Work as NextSentenceWork
from launcher.training.tasks.prompted import Work as PromptedWork
from launcher.training.tasks.question_answering import Work as QuestionAnsweringWork
from launcher.training.tasks.regression import Work as RegressionWork
from launcher.training.tasks.relation_extraction import Work as RelationExtractionWork
from launcher.training.tasks.reranker import Work as RerankerWork
from launcher.training.tasks.text_classification import Work as TextClassificationWork
from launcher.training.tasks.text_embedding import Work as TextEmbeddingWork
from launcher.training.tasks.text_to_text import Work as TextToTextWork
from launcher.training.tasks.token_classification import Work as TokenClassificationWork
from launcher.training.tasks.views import AgainstTheRest, Bar, Bars, Confusion, Sheet, of_entities, of_targets
from launcher.training.tasks.writing import Writes, left_padded

__all__ = [
    "AgainstTheRest",
    "AutoModelForCRFTokenClassification",
    "AutoModelForRelationExtraction",
    "AutoModelForTextEmbedding",
    "Bar",
    "Bars",
    "CRFTaggingWork",
    "CausalLanguageModelWork",
    "Confusion",
    "ContinuedTextWork",
    "DialogueWork",
    "Encoded",
    "ImageClassificationWork",
    "Kept",
    "MaskedLanguageModelWork",
    "MultiLabelClassificationWork",
    "NextSentenceWork",
    "PromptedWork",
    "QuestionAnsweringWork",
    "Ragged",
    "Reader",
    "RegressionWork",
    "RelationExtractionWork",
    "RerankerWork",
    "Sheet",
    "Split",
    "StaticVectorsForRelationExtraction",
    "TaskWork",
    "TextClassificationWork",
    "TextEmbeddingWork",
    "TextToTextWork",
    "TokenClassificationWork",
    "Writes",
    "left_padded",
    "of_entities",
    "of_targets",
]
