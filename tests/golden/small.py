"""A recipe of the golden tests."""

from launcher import FastText, LabelledFiles, LoRA, MeanPooling, Recipe, TextClassification, Training

recipe = Recipe(
    task=TextClassification(labels=("差", "好")),
    data=LabelledFiles(train={"好": "good.txt", "差": "bad.txt"}, duplicates="drop"),
    embedding=FastText(tokens="characters", dimension=16, encoder=MeanPooling()),
    peft=LoRA(rank=4),
    training=Training(epochs=2, batch_size=24, micro_batch_size=5, max_steps=11),
)
