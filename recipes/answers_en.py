"""Tell whether a sentence holds the answer to a question (QNLI): pairs of texts, a small pretrained transformer.

Run:     launcher run recipes/answers_en.py
Expect:  75.9 % of 522 local pairs in QNLI's form, made from XQuAD (1,799 to train on), six minutes on two busy cores
"""

from launcher import Full, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(
        train="hub:nyu-mll/glue/qnli#train",
        test="hub:nyu-mll/glue/qnli#validation",
        text="question",
        text_pair="sentence",
    ),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=Full(),
    training=Training(epochs=3, batch_size=32, learning_rate=2e-4),
)

if __name__ == "__main__":
    start(recipe)
