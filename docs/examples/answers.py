from launcher import BiLSTM, Full, QuestionAnswering, Questions, RandomVectors, Recipe, Training, start

recipe = Recipe(
    task=QuestionAnswering(),
    data=Questions(train="answers.json"),
    embedding=RandomVectors(dimension=32, max_length=64, encoder=BiLSTM(hidden=32)),
    peft=Full(),
    training=Training(epochs=2, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
