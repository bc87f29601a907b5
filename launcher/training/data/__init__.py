"""Reading, checking and splitting rows: from what a recipe says of its data to three lists of rows.

read_corpus            everything a recipe's data names, checked and split, with a report
read_rows              one more file of the same kind, to evaluate on
under_known_labels     holds such rows against a trained model's labels
read_asked             a file of texts without labels, to predict on, with all its columns
read_texts, read_pairs  the texts of such a file alone
content_digest         which data this is
"""

from launcher.training.data.asked import Asked, Wanted, read_asked
from launcher.training.data.corpus import read_corpus, read_rows, under_known_labels
from launcher.training.data.digest import content_digest
from launcher.training.data.examples import Corpus, Place, Row
from launcher.training.data.reader import read_pairs, read_texts

__all__ = [
    "Asked",
    "Corpus",
    "Place",
    "Row",
    "Wanted",
    "content_digest",
    "read_asked",
    "read_corpus",
    "read_pairs",
    "read_rows",
    "read_texts",
    "under_known_labels",
]
