from launcher import BiLSTM, CustomMethod, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=RandomVectors(dimension=16, encoder=BiLSTM(hidden=16)),
    peft=CustomMethod(file="scale.py"),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
