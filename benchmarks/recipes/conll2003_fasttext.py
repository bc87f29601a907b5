"""CoNLL-2003 on fastText vectors under a BiLSTM: what `benchmarks/unseen_words.py` runs."""

from launcher import BiLSTM, Columns, FastText, Full, Recipe, TokenClassification, Training

recipe = Recipe(
    task=TokenClassification(),
    data=Columns(train="train.txt", validation="validation.txt", test="test.txt"),
    embedding=FastText(dimension=100, epochs=5, buckets=200_000, encoder=BiLSTM(hidden=100)),
    peft=Full(),
    training=Training(epochs=3, batch_size=32),
)
