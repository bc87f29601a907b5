"""Topics of English news (AG News) by fastText's classifier: what `benchmarks/fasttext_classifier.py` runs."""

from launcher import FastTextClassifier, Full, Recipe, Table, TextClassification, Training

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="dev.tsv", test="test.tsv", columns=("text", "label")),
    embedding=FastTextClassifier(tokens="words", dimension=50, word_ngrams=2, lowercase=True),
    peft=Full(),
    training=Training(epochs=3, batch_size=512, learning_rate=3e-2),
)
