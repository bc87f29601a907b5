from launcher import Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(class_weights="balanced", label_smoothing=0.1),
    data=Table(train="data.csv"),
    embedding=RandomVectors(dimension=32, encoder=MeanPooling(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
