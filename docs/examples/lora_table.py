from launcher import BiLSTM, LoRA, RandomVectors, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=RandomVectors(dimension=32, encoder=BiLSTM(hidden=16)),
    peft=LoRA(rank=4, alpha=8),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
