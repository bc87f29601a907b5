"""AG news by class, static vectors: `going_on.py` says which classes."""

from launcher import Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification, Training

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="train.tsv", test="test.tsv"),
    embedding=RandomVectors(dimension=64, lowercase=True, encoder=MeanPooling(hidden=64)),
    peft=Full(),
    training=Training(epochs=3, batch_size=32, log_every=100),
)
