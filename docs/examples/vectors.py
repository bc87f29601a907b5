from launcher import BiLSTM, HeadOnly, NgramBag, Recipe, Table, TextClassification, Training, WordVectors, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=WordVectors(file="vectors.vec", beside=(NgramBag(longest=2),), encoder=BiLSTM(hidden=16)),
    peft=HeadOnly(),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
