from launcher import BiLSTM, Columns, Full, RandomVectors, Recipe, TokenClassification, Training, start

recipe = Recipe(
    task=TokenClassification(),
    data=Columns(train="tags.conll"),
    embedding=RandomVectors(dimension=32, encoder=BiLSTM(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
