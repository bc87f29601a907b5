from launcher import Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train=["data.csv"], validation_size=0.2, test_size=8, duplicates="drop"),
    embedding=RandomVectors(dimension=16, encoder=MeanPooling(hidden=16)),
    peft=Full(),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
