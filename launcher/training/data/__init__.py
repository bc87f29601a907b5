"""Reading, checking and splitting rows: from a recipe's data to three lists of rows.

read_corpus            everything a recipe's data names, checked and split, with a report
read_rows              one more file of the same kind, to evaluate on
under_known_labels     checks such rows against a trained model's labels
read_unlabelled        a file of texts without labels, to predict on, with all its columns
read_texts, read_pairs  the texts of such a file alone
content_digest         which data this is
"""

from launcher.training.data.corpus import read_corpus, read_rows, under_known_labels
from launcher.training.data.digest import content_digest
from launcher.training.data.examples import Corpus, Location, Row
from launcher.training.data.raw_texts import read_pairs, read_texts
from launcher.training.data.unlabelled import UnlabelledTexts, Wanted, read_unlabelled

__all__ = [
    "Corpus",
    "Location",
    "Row",
    "UnlabelledTexts",
    "Wanted",
    "content_digest",
    "read_corpus",
    "read_pairs",
    "read_rows",
    "read_texts",
    "read_unlabelled",
    "under_known_labels",
]
