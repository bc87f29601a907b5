from launcher import Full, MeanPooling, MultiLabelClassification, RandomVectors, Recipe, Table, Training, start

recipe = Recipe(
    task=MultiLabelClassification(threshold=0.4),
    data=Table(train="labels.jsonl", label="labels"),
    embedding=RandomVectors(dimension=32, encoder=MeanPooling(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
