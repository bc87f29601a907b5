from launcher import FastText, Full, LabelledFiles, Recipe, TextClassification, TextCNN, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(train={"positive": "pos.txt", "negative": "neg.txt"}),
    embedding=FastText(tokens="characters", dimension=16, epochs=1, encoder=TextCNN(widths=(2, 3), filters=16)),
    peft=Full(),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
