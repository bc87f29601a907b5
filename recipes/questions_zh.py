"""Find the answer to a question in a Chinese text (DRCD, CMRC 2018): extractive, contexts read in windows.

Run:     launcher run recipes/questions_zh.py
Expect:  exact match 29.1, F1 42.9 from 2,922 of DRCD's questions with a 4-layer encoder, two passes; on all of it a
         BERT-base has 85.7 and 91.6 (ERNIE's README)
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
