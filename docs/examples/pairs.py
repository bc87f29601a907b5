from launcher import BiLSTM, Full, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="pairs.csv", text="premise", text_pair="hypothesis"),
    embedding=RandomVectors(dimension=32, encoder=BiLSTM(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
