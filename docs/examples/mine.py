from launcher import BiLSTM, Full, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=RandomVectors(dimension=64, encoder=BiLSTM(hidden=64)),
    peft=Full(),
    training=Training(epochs=3, batch_size=16),
)

if __name__ == "__main__":
    start(recipe)
