"""Find the answer to a question in a Chinese text (DRCD, CMRC 2018): extractive, contexts read in windows.

Run:     launcher run recipes/questions_zh.py
Expect:  no run on the whole of DRCD is recorded yet; a BERT-base has 85.7 exact match and 91.6 F1 (ERNIE's README)
"""

from launcher import Full, Pretrained, QuestionAnswering, Questions, Recipe, Training, start

recipe = Recipe(
    task=QuestionAnswering(),
    data=Questions(train="DRCD/DRCD_training.json", validation="DRCD/DRCD_dev.json", test="DRCD/DRCD_test.json"),
    embedding=Pretrained(model="hfl/rbt3", max_length=256),
    peft=Full(),
    training=Training(epochs=2, batch_size=32, learning_rate=1e-4),
)

if __name__ == "__main__":
    start(recipe)
