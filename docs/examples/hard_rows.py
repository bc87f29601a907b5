from launcher import BiLSTM, CustomTask, Full, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=CustomTask(file="focal.py", like=TextClassification()),
    data=Table(train="data.csv"),
    embedding=RandomVectors(dimension=16, encoder=BiLSTM(hidden=16)),
    peft=Full(),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
