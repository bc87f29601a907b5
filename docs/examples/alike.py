from launcher import BiLSTM, Full, RandomVectors, Recipe, Regression, Table, Training, start

recipe = Recipe(
    task=Regression(),
    data=Table(train="alike.csv", text="one", text_pair="other", label="score"),
    embedding=RandomVectors(dimension=32, encoder=BiLSTM(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
